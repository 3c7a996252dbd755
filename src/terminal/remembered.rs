//! Reads sales and refunds back out of the log, which is the journal's shadow: for a journal that has lost them. Never
//! guesses: a line that is not wholly one of ours is passed over.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use crate::ids::{ATTEMPTS_MAX, OrderNumber, RefundNumber, SaleId, TerminalId};
use crate::journal::{Remembered, RememberedSale};
use crate::payment::{Proof, SalePhase, Why};
use crate::sale::ReceiptState;
use crate::time::Timestamp;

mod refunds;

/// The longest line that is looked at in one piece; ours are shorter.
const LINE_MAX: u64 = 16 << 10;

/// What a log tells.
#[derive(Debug, Default)]
pub struct Memory {
    /// The sales and the refunds whose beginning is in it.
    pub told: Remembered,
    /// How many more sales are named: they began before it does.
    pub without_beginning: usize,
}

/// What is the same for all sales of a terminal, and not in its log.
#[derive(Clone, Debug)]
pub struct Common {
    /// Whose sales are looked for.
    pub terminal: TerminalId,
    /// What payers saw.
    pub subject: String,
    /// The gateway's name.
    pub gateway: String,
    /// Whether receipts are printed at all.
    pub prints: bool,
}

/// Reads the daemon's lines, as it wrote them or as `journalctl` shows them; all others are passed over.
pub fn read(mut log: impl BufRead, common: &Common) -> io::Result<Memory> {
    let mut sales: BTreeMap<SaleId, Told> = BTreeMap::new();
    let mut refunds: BTreeMap<RefundNumber, refunds::Told> = BTreeMap::new();
    let mut line = Vec::new();
    while log.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if let Some((id, at, event)) = step(&text, &common.terminal) {
            if let Some((number, what)) = refunds::of(&id, event) {
                refunds.entry(number).or_default().hear(at, what);
            }
            sales.entry(id.clone()).or_default().hear(&id, at, event);
        }
        line.clear();
    }
    let named = sales.len();
    let mut sales: Vec<_> = sales.into_iter().filter_map(|(id, told)| told.remembered(id, common)).collect();
    let without_beginning = named - sales.len();
    sales.sort_by_key(|sale| (sale.at, sale.number));
    let refunds = refunds.into_iter().filter_map(|(number, told)| told.remembered(number, &common.terminal));
    Ok(Memory { told: Remembered { sales, refunds: refunds.collect() }, without_beginning })
}

/// The step that a line tells of: `[TIME] … SEQUENCE SALE EVENT`.
fn step<'a>(line: &'a str, terminal: &TerminalId) -> Option<(SaleId, Option<Timestamp>, &'a str)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (id, name) = words.windows(2).find_map(|pair| {
        pair[0].parse::<u64>().ok()?;
        let id: SaleId = pair[1].parse().ok()?;
        id.made_of(terminal).is_some().then_some((id, pair[1]))
    })?;
    let event = line.split_once(&format!(" {name} "))?.1.trim_end();
    let at = words[0].parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()));
    Some((id, at, event))
}

/// What was told of a sale so far.
#[derive(Default)]
struct Told {
    opened: Option<(Option<Timestamp>, String)>,
    attempts: u8,
    paid: Option<(u8, Option<Timestamp>, String, u32)>,
    contradicted: bool,
    taken_back: BTreeMap<u8, Why>,
    printed: u32,
}

impl Told {
    fn hear(&mut self, id: &SaleId, at: Option<Timestamp>, event: &str) {
        let (what, phase) = match event.rsplit_once(" -> ") {
            Some((what, label)) => (what, SalePhase::from_label(label)),
            None => (event, None),
        };
        if let Some(opened) = what.strip_prefix("opened ") {
            self.opened = Some((at, opened.to_owned()));
            self.attempts = self.attempts.max(1);
            return;
        }
        let words: Vec<&str> = what.split(' ').collect();
        let of_this =
            |word: &&str| Some(word.parse::<OrderNumber>().ok()?.split()).filter(|(of, _)| of == id);
        let ordinal = words.first().and_then(of_this).map_or(0, |(_, ordinal)| ordinal);
        // Whatever is said of one code, another is awaited: the next was armed.
        let next = u8::from(ordinal > 0 && phase == Some(SalePhase::AwaitingCode));
        self.attempts = self.attempts.max(ordinal.saturating_add(next)).min(ATTEMPTS_MAX);
        match (phase, words.as_slice()) {
            (Some(SalePhase::Paid), [_, "pay:" | "query:", "paid", number, "coupon", coupon])
                if ordinal > 0
                    && self.paid.is_none()
                    && number.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                let coupon = coupon.parse().ok();
                self.paid = coupon.map(|coupon| (ordinal, at, (*number).to_owned(), coupon));
            }
            (None, _) => {}
            (Some(SalePhase::Paid), _) => self.contradicted = false,
            (Some(SalePhase::InDoubt), [_, "query:", "closed"]) if self.paid.is_some() => {
                self.contradicted = true;
            }
            (Some(SalePhase::InDoubt), _) if self.contradicted => {}
            (Some(_), _) => (self.paid, self.contradicted) = (None, false),
        }
        self.hear_reversal(ordinal, phase, &words);
        if let ["receipt", number, "printed" | "printed:", ..] = words.as_slice() {
            self.printed = number.parse().unwrap_or(self.printed);
        }
    }

    /// A reverse request can still be on its way: its attempt must not be taken for paid, whatever the gateway says now.
    fn hear_reversal(&mut self, ordinal: u8, phase: Option<SalePhase>, words: &[&str]) {
        // What is said of no code in particular is said of the newest.
        let named = if ordinal > 0 { ordinal } else { self.attempts };
        let paid_it = self.paid.as_ref().is_some_and(|(paid, ..)| *paid == named);
        match (phase, words) {
            // Over: what was seen of money went back.
            (Some(SalePhase::Reversed | SalePhase::Declined | SalePhase::Cancelled), _) => {
                self.taken_back.values_mut().for_each(|why| *why = Why::Interrupted);
            }
            (Some(phase), [_, "pay:" | "query:", "paid", ..])
                if ordinal > 0 && !paid_it && (phase != SalePhase::Paid || self.paid.is_some()) =>
            {
                self.taken_back.insert(named, Why::LatePaid);
            }
            (_, [_, "reverse:", ..]) if ordinal > 0 => {
                self.taken_back.entry(named).or_insert(Why::Interrupted);
            }
            (Some(SalePhase::Reversing | SalePhase::InDoubt), _) if !paid_it => {
                self.taken_back.entry(named).or_insert(Why::Interrupted);
            }
            _ => {}
        }
    }

    fn remembered(self, id: SaleId, common: &Common) -> Option<RememberedSale> {
        let (day, number) = id.made_of(&common.terminal)?;
        let (opened_at, opened) = self.opened?;
        let (amount, reference) = match opened.split_once(" reference ") {
            Some((amount, reference)) => (amount, Some(reference.to_owned())),
            None => (opened.as_str(), None),
        };
        let amount: crate::money::Amount = amount.parse().ok()?;
        let at = opened_at.unwrap_or(day.start());
        let paid = self.paid.and_then(|(ordinal, paid_at, gateway_txn, coupon)| {
            let payer_paid = amount.fen().checked_sub(coupon)?;
            Some((ordinal, Proof { gateway_txn, paid_at: paid_at.unwrap_or(at), payer_paid, coupon }))
        });
        let (receipt, copies) = match (common.prints, &paid, self.printed) {
            (_, Some(_), printed @ 1..) => (ReceiptState::Printed, printed),
            (true, Some(_), 0) => (ReceiptState::Unconfirmed, 1),
            (true, None, _) => (ReceiptState::Unconfirmed, 0),
            (false, ..) => (ReceiptState::None, 0),
        };
        Some(RememberedSale {
            number,
            amount,
            subject: common.subject.clone(),
            reference,
            gateway: common.gateway.clone(),
            at,
            attempts: self.attempts,
            contradicted: self.contradicted && paid.is_some(),
            taken_back: self.taken_back,
            paid,
            receipt,
            copies,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CodeHint;
    use crate::money::Amount;
    use crate::payment::{
        Answer, Asked, Cause, Event, Payment, Policy, Reason, Refusal, ReversalAnswer, step,
    };
    use crate::sale::Sale;
    use crate::terminal::words;

    fn common() -> Common {
        Common {
            terminal: "T01".parse().unwrap(),
            subject: "朝阳门店-消费".to_owned(),
            gateway: "wechat".to_owned(),
            prints: true,
        }
    }

    fn proof(number: &str) -> Proof {
        Proof { gateway_txn: number.to_owned(), paid_at: Timestamp(0), payer_paid: 1150, coupon: 100 }
    }

    /// Lines that the loop would write for a sale that these events happen to.
    fn lines(id: &str, reference: Option<&str>, events: Vec<Event>) -> Vec<String> {
        let amount: Amount = "12.50".parse().unwrap();
        let mut sale = Sale {
            refunds: Vec::new(),
            id: id.parse().unwrap(),
            payment: Payment::new(amount, false, Timestamp(0), &Policy::default()),
            subject: String::new(),
            reference: reference.map(str::to_owned),
            gateway: String::new(),
            receipt: ReceiptState::None,
            copies: 0,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let mut lines = vec![words::opened(&sale)];
        for (event, n) in events.into_iter().zip(1..) {
            let what = words::event(&sale, &event);
            let now = Timestamp(n * 120_000);
            sale.payment = step(sale.payment, event, now, &Policy::default()).payment;
            lines.push(format!("{what} -> {}", sale.payment.phase().label()));
        }
        lines.iter().enumerate().map(|(n, line)| format!("{} {id} {line}", n + 7)).collect()
    }

    fn answered(attempt: u8, to: Asked, answer: Answer) -> Event {
        Event::Answered { attempt, to, answer }
    }

    fn refused() -> Answer {
        Answer::Refused(Refusal {
            code: "NOTENOUGH".to_owned(),
            text: "余额不足 -> paid".to_owned(),
            reason: Reason::BalanceTooLow,
        })
    }

    fn scanned() -> Event {
        Event::Code(CodeHint::from_digits("8406").unwrap())
    }

    fn remembered(log: &str) -> Memory {
        read(log.as_bytes(), &common()).unwrap()
    }

    #[test]
    fn a_sale_is_read_back_from_the_lines_that_the_loop_writes() {
        let id = "T01261121000042000001";
        let paid_at_once = vec![scanned(), answered(1, Asked::Pay, Answer::Paid(proof("42001")))];
        let second_code = vec![
            scanned(),
            answered(1, Asked::Pay, refused()),
            answered(1, Asked::Query, Answer::NotFound),
            scanned(),
            answered(2, Asked::Query, Answer::Paid(proof("42002"))),
            // The first code was charged after all; that goes back and is not what paid the sale.
            answered(1, Asked::Query, Answer::Paid(proof("42009"))),
        ];
        let back_again = vec![
            scanned(),
            answered(1, Asked::Pay, Answer::Paid(proof("42003"))),
            answered(1, Asked::Query, Answer::Closed),
        ];
        let still_doubted =
            [back_again.clone(), vec![answered(1, Asked::Query, Answer::NotFound), Event::Wake]].concat();
        let decided = [back_again.clone(), vec![answered(1, Asked::Query, Answer::Refunded)]].concat();
        let gone =
            [back_again.clone(), vec![Event::Wake, Event::Wake, answered(1, Asked::Query, Answer::Closed)]]
                .concat();
        let awaits_second =
            vec![scanned(), answered(1, Asked::Pay, refused()), answered(1, Asked::Query, Answer::NotFound)];
        let nothing: Option<(u8, &str)> = None;
        let expected = [
            (vec![], 1, nothing),
            (paid_at_once, 1, Some((1, "42001"))),
            (second_code, 2, Some((2, "42002"))),
            (back_again.clone(), 1, Some((1, "42003"))),
            (still_doubted, 1, Some((1, "42003"))),
            (decided, 1, Some((1, "42003"))),
            (gone, 1, None),
            (awaits_second, 2, None),
        ];
        for (events, attempts, paid) in expected {
            let log = lines(id, Some("a reference of words"), events).join("\n");
            let memory = remembered(&log);
            let [sale] = memory.told.sales.as_slice() else { panic!("{log}") };
            assert_eq!((sale.id.as_str(), sale.number, sale.amount.fen()), (id, 42, 1250), "{log}");
            assert_eq!(sale.reference.as_deref(), Some("a reference of words"));
            assert_eq!(sale.at.rfc3339(), "2026-11-21T00:00:00.000+08:00", "no line has a time");
            assert_eq!(sale.attempts, attempts, "{log}");
            let found = sale.paid.as_ref().map(|(n, proof)| (*n, proof.gateway_txn.as_str()));
            assert_eq!(found, paid, "{log}");
            assert_eq!(sale.contradicted, log.ends_with("-> in_doubt"), "{log}");
            let parts = sale.paid.as_ref().map(|(_, proof)| (proof.payer_paid, proof.coupon));
            assert_eq!(parts, paid.map(|_| (1150, 100)));
        }
    }

    #[test]
    fn what_was_being_taken_back_is_known_as_that() {
        let id = "T01261121000042000001";
        let paid = |attempt, number| answered(attempt, Asked::Query, Answer::Paid(proof(number)));
        let reversed = |attempt, answer| Event::Reversed { attempt, answer };
        let unknown = || answered(1, Asked::Pay, Answer::Unknown(Cause::Timeout));
        let cancelled = || vec![scanned(), unknown(), Event::Cancel];
        let second = || {
            vec![
                scanned(),
                answered(1, Asked::Pay, refused()),
                answered(1, Asked::Query, Answer::NotFound),
                scanned(),
            ]
        };
        type Life = (Vec<Event>, &'static [(u8, Why)]);
        let lives: [Life; 8] = [
            (vec![scanned(), unknown()], &[]),
            (cancelled(), &[(1, Why::Interrupted)]),
            (
                [cancelled(), vec![Event::Wake, reversed(1, ReversalAnswer::Again)]].concat(),
                &[(1, Why::Interrupted)],
            ),
            // What it holds must go back before "closed" ends it.
            ([cancelled(), vec![paid(1, "42001")]].concat(), &[(1, Why::LatePaid)]),
            (
                [
                    cancelled(),
                    vec![
                        paid(1, "42001"),
                        Event::Wake,
                        reversed(1, ReversalAnswer::Done),
                        answered(1, Asked::Query, Answer::Closed),
                    ],
                ]
                .concat(),
                &[(1, Why::Interrupted)],
            ),
            ([second(), vec![Event::Cancel]].concat(), &[(2, Why::Interrupted)]),
            // The first code was charged after all.
            ([second(), vec![paid(2, "42002"), paid(1, "42001")]].concat(), &[(1, Why::LatePaid)]),
            (
                vec![
                    scanned(),
                    paid(1, "42001"),
                    answered(1, Asked::Query, Answer::Closed),
                    paid(1, "42001"),
                ],
                &[],
            ),
        ];
        for (events, taken_back) in lives {
            let log = lines(id, None, events).join("\n");
            let found: Vec<_> = remembered(&log).told.sales[0].taken_back.clone().into_iter().collect();
            assert_eq!(found, taken_back, "{log}");
        }
        // What cannot be read of a payment is no reason to take it back.
        let log =
            format!("7 {id} opened 5.00 -> awaiting_code\n8 {id} {id}01 pay: paid 42/1 coupon 0 -> paid");
        assert!(remembered(&log).told.sales[0].taken_back.is_empty());
    }

    #[test]
    fn times_and_receipts_are_read_where_they_stand() {
        let id = "T01261121000042000001";
        let step = lines(id, None, vec![scanned(), answered(1, Asked::Pay, Answer::Paid(proof("42001")))]);
        let log = format!(
            "2026-11-21T11:38:41.25Z  INFO {}\n2026-11-21T19:38:42+08:00 shop micropayd[7]: {}\n\
             2026-11-21T19:38:43+0800 shop micropayd[7]: {}\n9 {id} receipt 1 sending: sending to the printer\n\
             10 {id} receipt 1 printed\n",
            step[0], step[1], step[2]
        );
        let sale = &remembered(&log).told.sales[0];
        assert_eq!(sale.at.rfc3339(), "2026-11-21T19:38:41.250+08:00");
        let (_, proof) = sale.paid.as_ref().unwrap();
        assert_eq!(proof.paid_at.rfc3339(), "2026-11-21T19:38:43.000+08:00");
        assert_eq!((sale.reference.as_deref(), sale.receipt, sale.copies), (None, ReceiptState::Printed, 1));
        // Without the printer's word it may be out; without a printer none is owed.
        let (until_sending, _) = log.rsplit_once("10 ").unwrap();
        let sale = &remembered(until_sending).told.sales[0];
        assert_eq!((sale.receipt, sale.copies), (ReceiptState::Unconfirmed, 1));
        let nothing = read(until_sending.as_bytes(), &Common { prints: false, ..common() }).unwrap();
        assert_eq!((nothing.told.sales[0].receipt, nothing.told.sales[0].copies), (ReceiptState::None, 0));
    }

    #[test]
    fn what_is_no_step_of_this_terminal_is_passed_over() {
        let id = "T01261121000042000001";
        let mut log: Vec<u8> = vec![b'x'; 100_000];
        log.extend_from_slice(b"\n\xff\xfe 7 T02261121000001000001 opened 1.00 -> awaiting_code\n");
        for line in [
            "7 T0126112100004200000 opened 1.00 -> awaiting_code",
            "7 T01261321000042000001 opened 1.00 -> awaiting_code",
            "x T01261121000042000001 opened 1.00 -> awaiting_code",
            "not finished: 1 to be looked up",
            "8 T01261121000043000001 receipt 1 printed",
            "8 T01261121000044000001 opened 0.00 -> awaiting_code",
        ] {
            log.extend_from_slice(line.as_bytes());
            log.push(b'\n');
        }
        // A reference that pretends to be a line.
        let reference = "9 T01261121000045000001 opened 9.99 -> paid";
        log.extend_from_slice(lines(id, Some(reference), vec![]).join("\n").as_bytes());
        let memory = read(log.as_slice(), &common()).unwrap();
        let ids: Vec<&str> = memory.told.sales.iter().map(|sale| sale.id.as_str()).collect();
        assert_eq!((ids, memory.without_beginning), (vec![id], 2));
        assert_eq!(memory.told.sales[0].amount.fen(), 1250);
        assert_eq!(memory.told.sales[0].paid, None);
    }
}
