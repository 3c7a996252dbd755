//! What must be true of a shop: at each word to the cashier, at each reversal, and when a payment has come to rest. Holds
//! the journal against the gateway's books, the paper and the drawer. Never changes anything, so that a check cannot make
//! itself true.

use std::time::Duration;

use micropayd::gateway::Order;
use micropayd::ids::SaleId;
use micropayd::input::{Obligation, ObligationKind};
use micropayd::payment::cashier::Language;
use micropayd::payment::{Attempt, Phase, Policy, SalePhase};
use micropayd::refund;
use micropayd::sale::{ReceiptState, told};

use crate::shop::Shop;

impl Shop<'_> {
    /// Never sooner than 15 s after the pay request, by the documents of the reverse API.
    pub fn not_too_soon(&self, order: &Order) {
        let Some((_, sent)) = self.pay_requests.get(order.number.as_str()) else { return };
        let age = self.now.since(*sent);
        assert!(
            age >= Duration::from_secs(15),
            "reversed {age:?} after the pay request\n{}",
            self.story.join("\n")
        );
    }

    /// Fen that the gateway took under the `n`-th attempt of this sale and did not reverse; refunds are another matter.
    fn held_of(&mut self, id: &SaleId, n: u8) -> u64 {
        let order = self.front.world.order(self.now, id.order(n).as_str());
        order.filter(|order| order.reversed_at.is_none()).map_or(0, |order| u64::from(order.charged))
    }

    /// Fen that the gateway holds of this sale's orders, and how many orders it holds money for.
    fn held(&mut self, id: &SaleId) -> (u64, usize) {
        let held: Vec<u64> = (1..=9).map(|n| self.held_of(id, n)).filter(|held| *held > 0).collect();
        (held.iter().sum(), held.len())
    }

    /// Cashier: the sentence and the goods agree with the gateway at every moment. Money of another attempt than the paid one
    /// is one that the terminal still has to ask about.
    pub fn check_cashier(&mut self, id: &SaleId) {
        let sale = self.sale(id);
        let told = told(&sale, self.clock(), &Policy::default(), Language::Chinese);
        assert!(!told.text.is_empty(), "a sentence for {sale:?}");
        if told.hand_over_goods {
            let price = u64::from(sale.payment.amount.fen());
            for (attempt, n) in sale.payment.attempts.iter().zip(1..) {
                let held = self.held_of(id, n);
                let right = match attempt.phase {
                    Phase::Paid(_) => held == price,
                    _ => held == 0 || attempt.phase.is_open(),
                };
                assert!(right, "goods handed over, {held} fen of {attempt:?}\n{}", self.story.join("\n"));
            }
            let given = self.given(id);
            assert!(given < price, "goods handed over, {given} fen went back\n{}", self.story.join("\n"));
        }
        self.check_list(id);
        self.check_refunds(id);
    }

    /// What the gateway still has to say is on the list of what is not finished, whatever the sale itself is called.
    pub fn check_list(&mut self, id: &SaleId) {
        let sale = self.sale(id);
        let unsettled = |attempt: &Attempt| attempt.phase.is_open() && attempt.phase != Phase::Armed;
        let mut open = self.status().open;
        open.retain(|open| open.sale == sale.id);
        let of_payment =
            |open: &Obligation| matches!(open.kind, ObligationKind::Query | ObligationKind::Reversal);
        let listed = open.iter().any(of_payment);
        let owed = sale.payment.attempts.iter().any(unsettled);
        assert_eq!(listed, owed, "{open:?} of {sale:?}\n{}", self.story.join("\n"));
        // A refund that waits for a person has no next time, any other has.
        let mut listed: Vec<bool> = open
            .iter()
            .filter(|open| open.kind == ObligationKind::Refund)
            .map(|open| open.next.is_some())
            .collect();
        let mut owed: Vec<bool> = sale
            .refunds
            .iter()
            .filter_map(|refund| match refund.phase {
                refund::Phase::Asking(_) | refund::Phase::Accepted { .. } => Some(true),
                refund::Phase::Stuck { .. } => Some(false),
                refund::Phase::Returned { .. } | refund::Phase::Refused(_) | refund::Phase::Closed { .. } => {
                    None
                }
            })
            .collect();
        listed.sort_unstable();
        owed.sort_unstable();
        assert_eq!(listed, owed, "{open:?} of {sale:?}\n{}", self.story.join("\n"));
    }

    /// All is at rest, and of this sale journal, gateway, paper and drawer agree.
    pub fn check_rest(&mut self, id: &SaleId) {
        let sale = self.sale(id);
        let story = self.story.join("\n");
        let phase = sale.payment.phase();
        assert!(!sale.payment.is_open(), "{id} is at rest: {sale:?}\n{story}");
        // Of every sale of this world: nothing comes again later either.
        for (order, (count, _)) in &self.pay_requests {
            assert_eq!(*count, 1, "order {order} has {count} pay requests\n{story}");
        }
        let price = u64::from(sale.payment.amount.fen());
        let (held, orders) = self.held(id);
        match phase {
            SalePhase::Paid => assert!(
                held == price && orders == 1,
                "paid, but the gateway holds {held} of {orders}\n{story}"
            ),
            SalePhase::Declined | SalePhase::Reversed | SalePhase::Cancelled => {
                assert_eq!(held, 0, "{} of {id}, but the gateway holds {held}\n{story}", phase.label());
            }
            SalePhase::AwaitingCode | SalePhase::Paying | SalePhase::Reversing | SalePhase::InDoubt => {
                panic!("{} is no rest\n{story}", phase.label())
            }
        }
        self.check_refunds_rest(id);
        let (opened, life) = self.opened;
        let paid = u32::from(phase == SalePhase::Paid);
        assert!(opened <= paid, "{id} opened the drawer {opened} times\n{story}");
        assert!(opened == paid || life != self.life, "{id} is paid and did not open the drawer\n{story}");
        let (unmarked, marked) = self.paper.get(id.as_str()).copied().unwrap_or_default();
        for (sale, (unmarked, _)) in &self.paper {
            assert!(*unmarked <= 1, "{unmarked} unmarked receipts of {sale}\n{story}");
        }
        assert!(
            phase == SalePhase::Paid || unmarked + marked == 0,
            "{id} has a receipt and is not paid\n{story}"
        );
        if phase == SalePhase::Paid {
            let visible = matches!(sale.receipt, ReceiptState::Unconfirmed | ReceiptState::Failed);
            assert!(
                unmarked + marked > 0 || visible,
                "{id} has no receipt and none is owed: {:?}\n{story}",
                sale.receipt
            );
        }
    }
}
