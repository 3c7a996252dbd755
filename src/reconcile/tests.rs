//! Each cause once; then random days with random edits of their bills: every edit is listed, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::ids::{OrderNumber, TerminalId};
use crate::money::Amount;
use crate::payment::{Attempt, Doubt, Payment, Phase, Proof, Reason, Refusal, Reversal, Why};
use crate::refund::{self, Key, Refund};
use crate::sale::{ReceiptState, Sale};

fn day() -> Day {
    "2026-11-21".parse().unwrap()
}

fn noon() -> Timestamp {
    day().start() + Duration::from_secs(12 * 60 * 60)
}

fn terminal() -> TerminalId {
    "T01".parse().unwrap()
}

fn id(n: u64) -> SaleId {
    SaleId::new(&terminal(), day(), n, 7)
}

fn proof(n: u64) -> Proof {
    Proof { gateway_txn: format!("42{n:08}"), paid_at: noon(), payer_paid: 1000, coupon: 250 }
}

fn refusal() -> Refusal {
    Refusal { code: "NOTENOUGH".to_owned(), text: String::new(), reason: Reason::BalanceTooLow }
}

fn sale_of(n: u64, phases: Vec<Phase>) -> Sale {
    let attempts = phases.into_iter().map(|phase| Attempt { phase, hint: None, wake: None }).collect();
    Sale {
        id: id(n),
        payment: Payment { amount: Amount::from_fen(1250).unwrap(), single: false, attempts },
        refunds: Vec::new(),
        subject: "茶".to_owned(),
        reference: None,
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: noon(),
        updated_at: noon(),
    }
}

fn sale(phase: Phase) -> Sale {
    sale_of(1, vec![phase])
}

fn row(n: u64, attempt: u8, kind: Kind) -> Row {
    Row { at: noon(), order: id(n).order(attempt).to_string(), gateway_txn: format!("42{n:08}"), kind }
}

const PAID: Kind = Kind::Paid { amount: 1250, coupon: 250 };
const BACK: Kind = Kind::Reversed { amount: 1250 };

fn refund_row(n: u64, number: &str, amount: u64, state: RefundState) -> Row {
    row(n, 1, Kind::Refund { number: number.to_owned(), id: "503".to_owned(), amount, state })
}

fn recorded(n: u64, number: &str, amount: u64) -> Recorded {
    Recorded {
        order: id(n).order(1),
        number: number.to_owned(),
        amount,
        counts: true,
        asking: false,
        day: day(),
    }
}

fn causes(report: &Report) -> Vec<Cause> {
    report.differences.iter().map(|difference| difference.cause).collect()
}

/// The causes that a sale's first attempt in this phase and these lines of the bill are listed with.
fn listed(phase: Phase, kinds: &[Kind]) -> Vec<Cause> {
    let rows: Vec<Row> = kinds.iter().map(|kind| row(1, 1, kind.clone())).collect();
    causes(&compare(day(), &rows, &[sale(phase)], &[]))
}

#[test]
fn what_is_in_order_is_not_listed() {
    let reversing = || Phase::Reversing(Reversal::new(noon(), noon(), Why::GaveUp));
    assert_eq!(listed(Phase::Paid(proof(1)), &[PAID]), []);
    assert_eq!(listed(Phase::Reversed(Why::GaveUp), &[]), [], "never charged");
    assert_eq!(listed(Phase::Reversed(Why::GaveUp), &[PAID, BACK]), []);
    assert_eq!(listed(Phase::Reversed(Why::GaveUp), &[BACK]), [], "charged on another day");
    assert_eq!(listed(Phase::Reversed(Why::GaveUp), &[PAID, Kind::Reversed { amount: 0 }]), []);
    assert_eq!(listed(Phase::Declined(refusal()), &[]), []);
    assert_eq!(listed(Phase::Void, &[]), []);
    assert_eq!(listed(reversing(), &[]), []);
    let report = compare(day(), &[], &[], &[]);
    assert!(report.agrees());
    let other_day = Proof { paid_at: day().end(), ..proof(1) };
    assert_eq!(listed(Phase::Paid(other_day), &[]), [], "paid on another day");
}

#[test]
fn each_cause_is_named() {
    let paid = || Phase::Paid(proof(1));
    let reversed = || Phase::Reversed(Why::GaveUp);
    assert_eq!(listed(Phase::Declined(refusal()), &[PAID]), [Cause::DeclinedHere]);
    assert_eq!(listed(Phase::Declined(refusal()), &[PAID, BACK]), [Cause::DeclinedHere]);
    assert_eq!(listed(Phase::Void, &[PAID]), [Cause::CancelledHere]);
    assert_eq!(listed(paid(), &[]), [Cause::NotInBill]);
    assert_eq!(listed(paid(), &[PAID, BACK]), [Cause::ReversedInBill]);
    assert_eq!(listed(paid(), &[BACK]), [Cause::ReversedInBill]);
    assert_eq!(listed(reversed(), &[PAID]), [Cause::ReversalNotInBill]);
    assert_eq!(listed(paid(), &[Kind::Paid { amount: 1251, coupon: 250 }]), [Cause::AmountDiffers]);
    assert_eq!(listed(paid(), &[Kind::Paid { amount: 1250, coupon: 0 }]), [Cause::CouponDiffers]);
    assert_eq!(listed(reversed(), &[PAID, Kind::Reversed { amount: 250 }]), [Cause::AmountDiffers]);
    assert_eq!(listed(reversed(), &[PAID, BACK, BACK]), [Cause::AmountDiffers]);
    assert_eq!(listed(paid(), &[PAID, PAID]), [Cause::ChargedTwice]);
    assert_eq!(listed(reversed(), &[PAID, PAID, BACK]), [Cause::ChargedTwice]);
    let magic = Kind::Other { state: "MAGIC".to_owned(), amount: 1 };
    assert_eq!(listed(paid(), &[PAID, magic]), [Cause::NotUnderstood]);
    let other = Phase::Paid(Proof { gateway_txn: "43".to_owned(), ..proof(1) });
    assert_eq!(listed(other, &[PAID]), [Cause::GatewayTxnDiffers]);
}

#[test]
fn what_the_terminal_is_not_done_with_is_said_to_be_open() {
    let reversal = || Reversal::new(noon(), noon(), Why::GaveUp);
    let open = [
        Phase::Armed,
        Phase::Paying { sent_at: noon(), payer_asked: false, refusal: None, interrupted: false },
        Phase::Reversing(reversal()),
        Phase::InDoubt(reversal(), Doubt::TooLong),
        Phase::Contradicted { proof: proof(1), since: noon() },
        Phase::Refused { sent_at: noon(), refusal: refusal() },
    ];
    for phase in open {
        assert_eq!(listed(phase.clone(), &[PAID]), [Cause::StillOpen], "{phase:?}");
        let alone = listed(phase.clone(), &[]);
        assert_eq!(alone.is_empty(), !matches!(phase, Phase::Contradicted { .. }), "{phase:?}");
    }
}

#[test]
fn an_order_that_is_not_here_is_listed_with_its_amount_and_without_a_sale() {
    let report = compare(day(), &[row(9, 1, PAID)], &[sale(Phase::Void)], &[]);
    assert_eq!(causes(&report), [Cause::UnknownHere]);
    let difference = &report.differences[0];
    assert_eq!((difference.here, difference.bill, &difference.sale), (None, Some(1250), &None));
    assert_eq!(difference.order, id(9).order(1).as_str());
    // The sale is here, and has made no second attempt.
    assert_eq!(causes(&compare(day(), &[row(1, 2, PAID)], &[sale(Phase::Void)], &[])), [Cause::UnknownHere]);
}

#[test]
fn each_attempt_is_an_order_of_its_own() {
    let two = sale_of(1, vec![Phase::Declined(refusal()), Phase::Paid(proof(1))]);
    assert!(compare(day(), &[row(1, 2, PAID)], std::slice::from_ref(&two), &[]).agrees());
    let report = compare(day(), &[row(1, 1, PAID)], &[two], &[]);
    let found: BTreeSet<_> = report.differences.iter().map(|each| (each.cause, each.order.clone())).collect();
    let expected = [(Cause::DeclinedHere, id(1).order(1)), (Cause::NotInBill, id(1).order(2))];
    assert_eq!(found, expected.map(|(cause, order)| (cause, order.to_string())).into());
}

#[test]
fn a_reversal_of_a_later_day_is_looked_for_there() {
    let late = Sale { updated_at: day().end(), ..sale(Phase::Reversed(Why::GaveUp)) };
    let report = compare(day(), &[row(1, 1, PAID)], &[late], &[]);
    assert_eq!(causes(&report), [Cause::ReversedLater]);
    assert_eq!(report.here, report.bill, "on that day the money was with the shop");
}

#[test]
fn money_that_went_back_by_a_refund_on_the_platform_is_back() {
    let back = || sale(Phase::Reversed(Why::Elsewhere));
    let all = refund_row(1, "P1", 1250, RefundState::Done);
    let report = compare(day(), &[row(1, 1, PAID), all], &[back()], &[]);
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.here.refunded.fen, report.here.net()), (1250, 0));
    let part = refund_row(1, "P1", 250, RefundState::Done);
    assert_eq!(causes(&compare(day(), &[row(1, 1, PAID), part], &[back()], &[])), [Cause::ReversalNotInBill]);
    let failed = refund_row(1, "P1", 1250, RefundState::Failed);
    assert_eq!(
        causes(&compare(day(), &[row(1, 1, PAID), failed], &[back()], &[])),
        [Cause::ReversalNotInBill]
    );
}

#[test]
fn refunds_are_held_against_those_on_record() {
    let paid = || sale(Phase::Paid(proof(1)));
    let with = |rows: &[Row], refunds: &[Recorded]| {
        let rows = [&[row(1, 1, PAID)], rows].concat();
        compare(day(), &rows, &[paid()], refunds)
    };
    let line = |amount, state| refund_row(1, "R1", amount, state);
    let done = || line(300, RefundState::Done);
    let report = with(&[done()], &[recorded(1, "R1", 300)]);
    assert!(report.agrees(), "{report:?}");
    assert_eq!((report.here.refunded, report.here.net()), (Sum { count: 1, fen: 300 }, 950));
    assert_eq!(causes(&with(&[done()], &[])), [Cause::RefundNotRecorded]);
    assert_eq!(causes(&with(&[], &[recorded(1, "R1", 300)])), [Cause::RefundNotInBill]);
    assert_eq!(causes(&with(&[done()], &[recorded(1, "R1", 301)])), [Cause::RefundAmountDiffers]);
    let failed = line(300, RefundState::Failed);
    assert_eq!(causes(&with(&[failed], &[recorded(1, "R1", 300)])), [Cause::RefundStateDiffers]);
    let refused = Recorded { counts: false, ..recorded(1, "R1", 300) };
    assert_eq!(causes(&with(&[done()], std::slice::from_ref(&refused))), [Cause::RefundStateDiffers]);
    assert_eq!(causes(&with(&[], &[refused])), []);
    let asking = Recorded { counts: false, asking: true, ..recorded(1, "R1", 300) };
    assert_eq!(causes(&with(&[done()], std::slice::from_ref(&asking))), [Cause::RefundStillOpen]);
    assert_eq!(causes(&with(&[], &[asking])), []);
    assert_eq!(causes(&with(&[done(), done()], &[recorded(1, "R1", 300)])), [Cause::RefundTwice]);
    assert_eq!(causes(&with(&[done()], &[recorded(2, "R1", 300)])), [Cause::RefundOrderDiffers]);
    let other_day = Recorded { day: day().end().day(), ..recorded(1, "R1", 300) };
    assert_eq!(causes(&with(&[], &[other_day])), [], "the bill of that day has it");
}

#[test]
fn a_refund_counts_once_the_gateway_has_taken_it_on() {
    let of = |phase| {
        let refund = Refund {
            number: id(1).refund(1, 7),
            attempt: 1,
            amount: Amount::from_fen(300).unwrap(),
            reason: None,
            key: Key { key: [0; 16], request: [0; 8] },
            asked_at: noon(),
            phase,
            wake: None,
        };
        let sale = Sale { refunds: vec![refund], ..sale(Phase::Paid(proof(1))) };
        let all = super::recorded(&[sale]);
        assert_eq!((all.len(), all[0].amount, all[0].order.clone()), (1, 300, id(1).order(1)));
        (all[0].counts, all[0].asking, all[0].day)
    };
    let tomorrow = day().end().day();
    let (gateway_number, accepted_at) = ("503".to_owned(), day().end());
    let number = || gateway_number.clone();
    let accepted =
        refund::Phase::Accepted { gateway_number: number(), accepted_at, since: accepted_at, called: false };
    assert_eq!(of(accepted), (true, false, tomorrow));
    assert_eq!(
        of(refund::Phase::Stuck { gateway_number: number(), accepted_at, since: accepted_at }),
        (true, false, tomorrow)
    );
    assert_eq!(
        of(refund::Phase::Returned { gateway_number: number(), accepted_at }),
        (true, false, tomorrow)
    );
    assert_eq!(of(refund::Phase::Refused(refusal())), (false, false, day()));
    assert_eq!(of(refund::Phase::Closed { gateway_number: number() }), (false, false, day()));
    let asking = refund::Asking {
        since: noon(),
        under_way: true,
        left_at: None,
        refused: None,
        asked_late: false,
        called: false,
    };
    assert_eq!(of(refund::Phase::Asking(asking)), (false, true, day()));
}

#[test]
fn only_lines_that_can_be_ours_belong_to_the_terminal() {
    let other = |order: &str, kind| Row { order: order.to_owned(), ..row(1, 1, kind) };
    assert!(belongs(&row(1, 1, PAID), &terminal()));
    for order in
        ["", "1415640626", "T02261121000001AAAAAA01", "T01261321000001AAAAAA01", "OUR-SHOP-20261121-000001"]
    {
        assert!(!belongs(&other(order, PAID), &terminal()), "{order}");
    }
    let refund = |number: &str| {
        let number = number.to_owned();
        Kind::Refund { number, id: String::new(), amount: 1, state: RefundState::Done }
    };
    let ours = format!("{}R01ABC", id(1));
    assert!(belongs(&other("1415640626", refund(&ours)), &terminal()));
    for number in ["", "R01ABC", "退款退款退款退款退款退款", "T02261121000001AAAAAAR01ABC"] {
        assert!(!belongs(&other("1415640626", refund(number)), &terminal()), "{number}");
    }
}

#[test]
fn every_cause_has_a_name_and_words_of_its_own() {
    let names: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.label()).collect();
    let chinese: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.chinese().means).collect();
    let english: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.english().means).collect();
    for set in [&names, &chinese, &english] {
        assert_eq!(set.len(), Cause::ALL.len());
    }
    let page = include_str!("../../docs/reconcile.md");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/reconcile.md does not say what {name} means");
    }
}

/// xorshift64*, Vigna 2016.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

/// A day, and the bill that it has when nothing went wrong.
struct Shop {
    sales: Vec<Sale>,
    refunds: Vec<Recorded>,
    rows: Vec<Row>,
}

fn shop(dice: &mut Dice) -> Shop {
    let mut shop = Shop { sales: Vec::new(), refunds: Vec::new(), rows: Vec::new() };
    for n in 1..=1 + dice.below(30) as u64 {
        let mut phases = vec![Phase::Declined(refusal()); dice.below(3)];
        let ordinal = phases.len() as u8 + 1;
        phases.push(match dice.below(8) {
            0 => Phase::Void,
            1 => Phase::Declined(refusal()),
            2 => Phase::Reversed(Why::Cancelled),
            3 => {
                shop.rows.extend([row(n, ordinal, PAID), row(n, ordinal, BACK)]);
                Phase::Reversed(Why::GaveUp)
            }
            _ => {
                shop.rows.push(row(n, ordinal, PAID));
                if dice.below(3) == 0 {
                    let number = format!("{}R01ABC", id(n));
                    let order = id(n).order(ordinal);
                    let line = refund_row(n, &number, 300, RefundState::Done);
                    shop.rows.push(Row { order: order.to_string(), ..line });
                    shop.refunds.push(Recorded { order, ..recorded(n, &number, 300) });
                }
                Phase::Paid(proof(n))
            }
        });
        shop.sales.push(sale_of(n, phases));
    }
    // The bill's order is WeChat's, not ours.
    for place in (1..shop.rows.len()).rev() {
        shop.rows.swap(place, dice.below(place + 1));
    }
    shop
}

/// Changes one line, or adds one, about an order that was not changed before; the difference that must be listed.
fn edit(dice: &mut Dice, shop: &mut Shop, touched: &mut BTreeSet<String>) -> Option<(Cause, String)> {
    let fresh = |order: &str, touched: &mut BTreeSet<String>| touched.insert(order.to_owned());
    if dice.below(4) == 0 {
        let n = 100 + dice.below(100) as u64;
        let added = row(n, 1, PAID);
        let order = added.order.clone();
        return fresh(&order, touched).then(|| {
            shop.rows.push(added);
            (Cause::UnknownHere, order)
        });
    }
    let sale = &shop.sales[dice.below(shop.sales.len())];
    let place = dice.below(sale.payment.attempts.len());
    let order: OrderNumber = sale.id.order(place as u8 + 1);
    let text = order.to_string();
    if !fresh(&text, touched) {
        return None;
    }
    let line = |kind| Row {
        order: text.clone(),
        gateway_txn: format!("42{:08}", number_of(sale)),
        ..row(1, 1, kind)
    };
    let of_order = |row: &Row| row.order == text;
    let paid = shop.rows.iter().position(|row| of_order(row) && matches!(row.kind, Kind::Paid { .. }));
    let back = shop.rows.iter().position(|row| of_order(row) && matches!(row.kind, Kind::Reversed { .. }));
    let refund = shop.rows.iter().position(|row| of_order(row) && matches!(row.kind, Kind::Refund { .. }));
    let cause = match (&sale.payment.attempts[place].phase, paid) {
        (Phase::Declined(_), _) => {
            shop.rows.push(line(PAID));
            Cause::DeclinedHere
        }
        (Phase::Void, _) => {
            shop.rows.push(line(PAID));
            Cause::CancelledHere
        }
        (Phase::Reversed(_), Some(_)) => {
            shop.rows.remove(back.expect("it was taken back"));
            Cause::ReversalNotInBill
        }
        (Phase::Reversed(_), None) => {
            shop.rows.push(line(PAID));
            Cause::ReversalNotInBill
        }
        (_, Some(paid)) => match (dice.below(7), refund) {
            (0, None) => {
                shop.rows.remove(paid);
                Cause::NotInBill
            }
            (1, _) => {
                shop.rows[paid].kind = Kind::Paid { amount: 1249, coupon: 250 };
                Cause::AmountDiffers
            }
            (2, _) => {
                shop.rows[paid].gateway_txn = "4".to_owned();
                Cause::GatewayTxnDiffers
            }
            (3, _) => {
                shop.rows[paid].kind = Kind::Paid { amount: 1250, coupon: 249 };
                Cause::CouponDiffers
            }
            (4, _) => {
                shop.rows.push(shop.rows[paid].clone());
                Cause::ChargedTwice
            }
            (5, _) => {
                shop.rows.push(line(BACK));
                Cause::ReversedInBill
            }
            (_, Some(refund)) => {
                shop.rows.remove(refund);
                Cause::RefundNotInBill
            }
            (_, None) => {
                let added = refund_row(1, "P1", 100, RefundState::Processing);
                shop.rows.push(Row { order: text.clone(), ..added });
                Cause::RefundNotRecorded
            }
        },
        (_, None) => return None,
    };
    Some((cause, text))
}

fn number_of(sale: &Sale) -> u64 {
    sale.id.made_of(&terminal()).expect("it is of this terminal").1
}

#[test]
fn every_edit_of_a_bill_is_listed_and_an_unedited_bill_gives_nothing() {
    let mut seen = BTreeSet::new();
    for seed in 1..=2_000 {
        let mut dice = Dice(seed | 1 << 40);
        let mut shop = shop(&mut dice);
        let report = compare(day(), &shop.rows, &shop.sales, &shop.refunds);
        assert!(report.agrees(), "seed {seed}: {report:#?}");
        let (mut expected, mut touched) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..1 + dice.below(5) {
            expected.extend(edit(&mut dice, &mut shop, &mut touched));
        }
        let report = compare(day(), &shop.rows, &shop.sales, &shop.refunds);
        let found: BTreeSet<_> =
            report.differences.iter().map(|each| (each.cause, each.order.clone())).collect();
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(found.len(), report.differences.len(), "seed {seed}: nothing is listed twice");
        assert_eq!(report.agrees(), expected.is_empty(), "seed {seed}");
        seen.extend(expected.into_iter().map(|(cause, _)| cause));
    }
    assert_eq!(seen.len(), 12, "every kind of edit was made: {seen:?}");
}
