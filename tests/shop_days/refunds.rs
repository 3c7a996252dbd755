//! What the manager gives back of a payment: drawn like the payment itself. And what must be true of that, by the
//! gateway's own books: at each request, at every turn, and when all has come to rest.

use std::collections::BTreeMap;
use std::time::Duration;

use micropayd::gateway::RefundOrder;
use micropayd::ids::SaleId;
use micropayd::input::{Command, Input, Refunding, Refused};
use micropayd::money::Amount;
use micropayd::payment::{Money, SalePhase};
use micropayd::refund::{Phase, Refund};
use micropayd::sale::{Filter, NewRefund, Sale};
use micropayd::simulator::refunds::WhichRefund;
use micropayd::simulator::views::OrderView;
use micropayd::simulator::weather::{Fault, Where};
use tokio::sync::oneshot;

use crate::ears;
use crate::faults::REFUND_FAULTS;
use crate::given::{away, complaint, given, returned};
use crate::payment::LOSS;
use crate::shop::Shop;

/// A look-up that is answered with what an earlier one was. Only here, where the weather is over before a query can
/// confirm a refusal.
const OLD_WORD: (Where, Fault) = (Where::Refundquery, Fault::Replay);

/// Where the manager is sent when the platform says something of a payment that nobody here has asked for.
const DOUBT: &str = "docs/when-money-is-in-doubt.md";

impl Shop<'_> {
    /// The manager refunds the `number`-th payment of this shop, now and then in more than one piece, or tries to.
    pub fn refunds(&mut self, id: &SaleId, number: u64) {
        ears::forget(DOUBT);
        for _ in 0..self.dice.throw() % 4 {
            let drawn = usize::try_from(self.dice.throw()).unwrap_or(0) % (REFUND_FAULTS.len() + 1);
            let fault = REFUND_FAULTS.get(drawn).copied().unwrap_or(OLD_WORD);
            let times = 1 + u32::try_from(self.dice.throw() % 3).unwrap();
            // A refund is seldom asked for more than once or twice, and looked up more often.
            let looks = if fault.0 == Where::Refundquery { 3 } else { 1 };
            let skip = u32::try_from(self.dice.throw() % looks).unwrap();
            self.fault(fault, times, skip);
        }
        self.crash_chance = if self.dice.chance(0.15) { 0.1 } else { 0.0 };
        let mut key = String::new();
        for n in 0..1 + self.dice.throw() % 3 {
            if n == 0 || self.dice.chance(0.75) {
                key = format!("refund-{number}-{n}");
            }
            let sale = self.sale(id);
            let price = sale.payment.amount.fen();
            let left = price - u32::try_from(away(&sale)).unwrap();
            let part = 1 + u32::try_from(self.dice.throw() % u64::from(price)).unwrap();
            let fen = match (self.dice.throw() % 4, self.refund_keys.get(&key)) {
                (0 | 1, Some((_, fen))) => *fen,
                (0, None) => left.max(1),
                (1, None) => left + 1,
                _ => part,
            };
            self.ask_refund(id, fen, &key);
            match self.dice.throw() % 8 {
                0 => self.ask(|reply| Command::Check(id.clone(), reply)),
                1 => self.crash(),
                _ => {}
            }
            let until = self.now + Duration::from_millis(self.dice.throw() % 15_000);
            while self.turn_until(until) {
                self.check_refunds(id);
            }
            if self.dice.chance(LOSS) {
                self.lose_journal();
            }
            self.check_cashier(id);
        }
        self.conclude(id);
        // What the platform says now of the order is no news to who has refunded it.
        self.ask(|reply| Command::Check(id.clone(), reply));
        self.conclude(id);
        // One that the platform closed may have been on its way when the order was asked about.
        let closed = |refund: &Refund| matches!(refund.phase, Phase::Closed { .. });
        let surprised = ears::called(id.as_str(), DOUBT) && !self.sale(id).refunds.iter().any(closed);
        assert!(!surprised, "the manager is called for what was refunded here\n{}", self.story.join("\n"));
    }

    /// Asks for a refund: taken on or not as the books have it, and under a known key never a second one.
    pub fn ask_refund(&mut self, id: &SaleId, fen: u32, key: &str) {
        let before = self.sale(id);
        let left = u64::from(before.payment.amount.fen()) - away(&before);
        let expected = match self.refund_keys.get(key) {
            Some((_, known)) if *known == fen => "known",
            Some(_) => "another key",
            None if before.payment.phase() != SalePhase::Paid => "not now",
            None if u64::from(fen) > left => "too much",
            None => "new",
        };
        self.say(|| format!("refund {fen} under {key}: {expected}"));
        let (reply, mut answer) = oneshot::channel();
        let new = NewRefund { amount: Amount::from_fen(fen).expect("an amount"), reason: None };
        self.give(Input::Command(Command::Refund(id.clone(), new, key.to_owned(), reply)));
        let answer = answer.try_recv().expect("an answer at once");
        let became = match &answer {
            Ok(Refunding { new: true, .. }) => "new",
            Ok(_) => "known",
            Err(Refused::KeyReused(_)) => "another key",
            Err(Refused::NotNow(_)) => "not now",
            Err(Refused::RefundTooMuch(said)) if u64::from(*said) == left => "too much",
            Err(_) => "another refusal",
        };
        let story = self.story.join("\n");
        assert_eq!(became, expected, "{answer:?} of {before:?}\n{story}");
        let after = self.sale(id);
        assert_eq!(
            after.refunds.len(),
            before.refunds.len() + usize::from(became == "new"),
            "{after:?}\n{story}"
        );
        if became == "new" {
            self.refund_keys.insert(key.to_owned(), (after.refunds.len(), fen));
        }
        if let Some((nth, fen)) = self.refund_keys.get(key).copied().filter(|_| answer.is_ok()) {
            assert_eq!(after.refunds[nth - 1].amount.fen(), fen, "the refund of {key}\n{story}");
        }
        self.check_refunds(id);
    }

    /// The intent is on the disk, of a sale that is paid; and a refund goes by one number for ever.
    pub fn check_refund_request(&mut self, id: &SaleId, n: u8, order: &RefundOrder) {
        let sale = self.sale(id);
        let story = self.story.join("\n");
        let refund = sale.refunds.get(usize::from(n) - 1);
        let refund = refund.unwrap_or_else(|| panic!("{order:?} left before it was kept\n{story}"));
        let kept = (&refund.number, refund.amount, id.order(refund.attempt));
        assert_eq!(
            (&order.number, order.amount, order.order.number.clone()),
            kept,
            "as it was kept\n{story}"
        );
        assert!(matches!(refund.phase, Phase::Asking(_)), "asked for, though {:?}\n{story}", refund.phase);
        let number = order.number.as_str().to_owned();
        let first = self.refund_numbers.entry((id.clone(), n)).or_insert_with(|| number.clone());
        assert_eq!(*first, number, "another number for the same refund\n{story}");
        assert_eq!(sale.payment.phase(), SalePhase::Paid, "refunded\n{story}");
    }

    /// What the gateway has of this sale, by all its attempts.
    fn orders(&mut self, id: &SaleId) -> Vec<OrderView> {
        let attempts = (1..).take(self.sale(id).payment.attempts.len());
        let world = &mut self.front.world;
        attempts.filter_map(|attempt| world.order(self.now, id.order(attempt).as_str())).collect()
    }

    /// Fen that went back to the payer or are on their way, by the gateway.
    pub fn given(&mut self, id: &SaleId) -> u64 {
        given(&self.orders(id)).1
    }

    /// At every moment.
    pub fn check_refunds(&mut self, id: &SaleId) {
        if !self.refund_numbers.contains_key(&(id.clone(), 1)) {
            return;
        }
        let (sale, orders) = (self.sale(id), self.orders(id));
        if let Some(wrong) = complaint(&sale, &orders) {
            panic!("{wrong}\n{}", self.story.join("\n"));
        }
    }

    /// At rest every refund is over, but for those that wait for somebody at the platform, and the payer has what the
    /// journal says. No refund that was refused comes to life later.
    pub fn check_refunds_rest(&mut self, id: &SaleId) {
        self.check_refunds(id);
        let sale = self.sale(id);
        let story = self.story.join("\n");
        for refund in &sale.refunds {
            let number = refund.number.as_str();
            match refund.phase {
                Phase::Asking(_) | Phase::Accepted { .. } => panic!("{refund:?} is no rest\n{story}"),
                Phase::Stuck { .. } | Phase::Closed { .. } => {
                    assert!(ears::called(number, "docs/refunds.md"), "nobody is told of {number}\n{story}");
                }
                Phase::Returned { .. } => {}
                Phase::Refused(_) => {
                    self.refused.insert(number.to_owned());
                }
            }
        }
        for number in &self.refused {
            let known = self.front.world.refunds(self.now, &WhichRefund::Number(number.clone()));
            assert!(known.is_err(), "{number} was refused, and the gateway has it\n{story}");
        }
        if sale.refunds.is_empty() {
            return;
        }
        let back = returned(&sale);
        let order = id.order(sale.refunds[0].attempt);
        let order = self.front.world.order(self.now, order.as_str()).expect("it was paid");
        assert_eq!(u64::from(order.returned), back, "fen in the payer's purse\n{story}");
        let all = back == u64::from(sale.payment.amount.fen());
        assert_eq!(sale.money() == Money::Returned, all, "{back} went back of {sale:?}\n{story}");
    }

    /// The days' totals are the refunds that the gateway took on and did not give up, and the gateway has as many. Gives
    /// how many refunds ended how, and were put back on the way.
    pub fn check_totals(&mut self) -> BTreeMap<&'static str, u64> {
        let records = self.desk().records();
        let everything = Filter { limit: 100_000, ..Filter::default() };
        let sales: Vec<Sale> = records.page(&everything).expect("readable").sales;
        let mut days: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for refund in sales.iter().flat_map(|sale| &sale.refunds) {
            let Some(at) = refund.accepted_at() else { continue };
            let totals = records.totals(at.day()).expect("readable");
            days.insert(at.day().to_string(), (totals.refund_count, totals.refund_fen));
        }
        let told = days.values().fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));
        let mut taken_on = (0, 0);
        for sale in &sales {
            let (refunds, fen) = given(&self.orders(&sale.id));
            (taken_on.0, taken_on.1) = (taken_on.0 + refunds, taken_on.1 + fen);
        }
        assert_eq!(told, taken_on, "refunds and their fen, over all days");
        let mut ends = BTreeMap::from([("put back", self.put_back)]);
        for refund in sales.iter().flat_map(|sale| &sale.refunds) {
            *ends.entry(refund.phase.label()).or_default() += 1;
        }
        ends
    }
}
