//! The examiner examined: whatever is asked in whatever order, the books balance and no order goes back on its end.

use std::collections::HashMap;
use std::time::Duration;

use micropayd::simulator::dice::Dice;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::order::{Coupon, CouponKind};
use micropayd::simulator::refunds::{Fate, RefundAsk};
use micropayd::simulator::views::OrderView;
use micropayd::simulator::world::{Act, Offer, Pay, Rules, Which, World};
use micropayd::time::Timestamp;

/// Ways in which an order may go on; whoever is not listed stays.
fn may_follow(from: &str, to: &str) -> bool {
    from == to
        || match from {
            "NOTPAY" | "USERPAYING" => true,
            // Retried with another code of the same payer.
            "PAYERROR" => to != "NOTPAY",
            "SUCCESS" => matches!(to, "REFUND" | "REVOKED"),
            // A refund that was closed no longer counts.
            "REFUND" => to == "SUCCESS",
            _ => false,
        }
}

struct Life {
    world: World,
    dice: Dice,
    now: Timestamp,
    codes: Vec<String>,
    seen: HashMap<String, OrderView>,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(seed, Rules::default()),
            dice: Dice::new(!seed),
            now: Timestamp(1_795_233_600_000),
            codes: Vec::new(),
            seen: HashMap::new(),
        }
    }

    fn pick(&mut self, choices: u64) -> u64 {
        self.dice.throw() % choices
    }

    fn number(&mut self) -> String {
        format!("T01261121{:04}", self.pick(8))
    }

    fn pay(&mut self) -> Pay {
        let code = if self.codes.is_empty() || self.pick(2) == 0 {
            let mood = Mood::ALL[self.pick(Mood::ALL.len() as u64) as usize];
            let coupons = (0..self.pick(3)).map(|n| Coupon {
                fee: 40 * (n as u32 + 1),
                kind: if n == 0 { CouponKind::Cash } else { CouponKind::NoCash },
            });
            let customer = Some(self.dice.throw() as u32 % 8);
            let offer = Offer { coupons: coupons.collect(), customer, ..Offer::default() };
            self.codes.push(self.world.new_code(self.now, mood, offer).0);
            self.codes[self.codes.len() - 1].clone()
        } else {
            let n = self.pick(self.codes.len() as u64) as usize;
            self.codes[n].clone()
        };
        let total = 100 + 50 * self.pick(2) as u32;
        Pay { order: self.number(), total, code, terms: Default::default() }
    }

    fn refund(&mut self) -> RefundAsk {
        RefundAsk {
            which: Which::Order(self.number()),
            number: format!("R{}", self.pick(12)),
            total: 100 + 50 * self.pick(2) as u32,
            fee: 10 + 30 * self.pick(4) as u32,
            terms: Default::default(),
        }
    }

    fn step(&mut self) {
        let now = self.now;
        match self.pick(8) {
            0 | 1 => {
                let pay = self.pay();
                let _refused = self.world.pay(now, &pay);
            }
            2 => {
                let pay = self.pay();
                self.world.pay_without_bank(now, &pay);
            }
            3 => {
                let which = Which::Order(self.number());
                let _refused = self.world.reverse(now, &which);
            }
            4 => {
                let fate = [Fate::Success, Fate::Close, Fate::Change][self.pick(3) as usize];
                let ask = self.refund();
                let _refused = self.world.refund(now, &ask, fate);
            }
            5 => {
                let late = now + Duration::from_secs(self.pick(60));
                let act = match self.pick(3) {
                    0 => Act::Pay(self.pay()),
                    1 => Act::Reverse(Which::Order(self.number())),
                    _ => Act::Refund(self.refund()),
                };
                self.world.later(late, act);
            }
            _ => self.now = now + Duration::from_millis(self.pick(20_000)),
        }
    }

    fn check(&mut self) {
        let orders = self.world.orders(self.now);
        for order in &orders {
            assert_eq!(order.cash_fee + order.coupon_fee, order.total_fee, "{order:?}");
            assert!(order.returned <= order.charged, "{order:?}");
            let counted = order.refunds.iter().filter(|refund| refund.refund_status != "REFUNDCLOSE");
            assert!(counted.map(|refund| refund.refund_fee).sum::<u32>() <= order.total_fee, "{order:?}");
            let held = matches!(order.trade_state, "SUCCESS" | "REFUND");
            assert_eq!(order.charged > 0, order.paid_at.is_some() && order.cash_fee > 0, "{order:?}");
            assert!(held || order.charged == order.returned, "no money without a paid order: {order:?}");
            if let Some(before) = self.seen.get(&order.out_trade_no) {
                assert!(may_follow(before.trade_state, order.trade_state), "{before:?} became {order:?}");
                assert!(before.paid_at.is_none() || before.paid_at == order.paid_at, "paid twice: {order:?}");
                assert!(before.returned <= order.returned, "{order:?}");
            }
        }
        let purses = self.world.purses(self.now);
        let out: u64 = purses.iter().map(|purse| purse.out_of_pocket).sum();
        assert_eq!(out, orders.iter().map(|order| u64::from(order.charged - order.returned)).sum::<u64>());
        self.seen = orders.into_iter().map(|order| (order.out_trade_no.clone(), order)).collect();
    }
}

#[test]
fn the_books_balance_whatever_is_asked() {
    let mut states = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut life = Life::new(seed);
        for _ in 0..120 {
            life.step();
            life.check();
        }
        states.extend(life.seen.values().map(|order| order.trade_state));
    }
    let all = ["CLOSED", "NOTPAY", "PAYERROR", "REFUND", "REVOKED", "SUCCESS", "USERPAYING"];
    assert_eq!(states.into_iter().collect::<Vec<_>>(), all, "every state was reached");
}

#[test]
fn a_world_runs_without_sockets_and_fast() {
    let mut world = World::new(1, Rules::default());
    let now = Timestamp(1_795_233_600_000);
    for n in 0..20_000 {
        let (code, _) = world.new_code(now, Mood::Pay, Offer::default());
        let pay = Pay { order: format!("T01261121{n:06}"), total: 1, code, terms: Default::default() };
        assert!(world.pay(now, &pay).is_ok());
        assert!(world.reverse(now, &Which::Order(pay.order)).is_ok());
    }
    assert_eq!(world.purses(now).iter().map(|purse| purse.out_of_pocket).sum::<u64>(), 0);
}
