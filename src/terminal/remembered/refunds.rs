//! Reads refunds back out of the log. What was not heard to its end is still being asked for; a refusal is one only where
//! the log has that it was confirmed.

use crate::ids::{RefundNumber, SaleId, TerminalId};
use crate::journal::RememberedRefund;
use crate::money::Amount;
use crate::payment::{Reason, Refusal};
use crate::refund::{Asking, Phase};
use crate::time::Timestamp;

/// The refund of this sale that an event is about, and what happened to it.
pub fn of<'a>(id: &SaleId, event: &'a str) -> Option<(RefundNumber, &'a str)> {
    let (number, what) = event.split_once(' ')?;
    let number: RefundNumber = number.parse().ok()?;
    (number.split().0 == *id).then_some((number, what))
}

/// What was told of a refund so far.
#[derive(Default)]
pub struct Told {
    asked: Option<(Option<Timestamp>, Amount, Option<String>)>,
    refusal: Option<Refusal>,
    accepted_at: Option<Timestamp>,
    /// What it came to, and when; nothing while it is being asked for.
    became: Option<(Became, Option<Timestamp>)>,
}

enum Became {
    Accepted(String),
    Stuck(String),
    Returned(String),
    Closed(String),
    Refused,
}

impl Told {
    /// One more line: `WHAT -> refund PHASE`, as [`words`](crate::terminal::words) writes it.
    pub fn hear(&mut self, at: Option<Timestamp>, event: &str) {
        let Some((what, phase)) = event.rsplit_once(" -> refund ") else { return };
        let words: Vec<&str> = what.split(' ').collect();
        let became = match (words.as_slice(), phase) {
            (["of", amount, "asked", "for", ..], "asking") => {
                let reason = what.split_once(" asked for reason ").map(|(_, reason)| reason.to_owned());
                self.asked = amount.parse().ok().map(|amount| (at, amount, reason));
                return;
            }
            (["refund:", "refused", code, ..], "asking") => {
                let text = what.split_once(&format!(" {code} ")).map_or("", |(_, text)| text);
                self.refusal = Some(refusal(code, text));
                return;
            }
            (["query:", "no", "such", "refund"], "refused") => Became::Refused,
            (["refund:" | "query:", "accepted", number], "accepted") => {
                Became::Accepted((*number).to_owned())
            }
            (["refund:" | "query:", "returned", number], "returned") => {
                Became::Returned((*number).to_owned())
            }
            (["refund:" | "query:", "closed", number], "closed") => Became::Closed((*number).to_owned()),
            (["refund:" | "query:", "the", "payer's", "card", "is", "gone", number], "stuck") => {
                Became::Stuck((*number).to_owned())
            }
            _ => return,
        };
        match &became {
            Became::Refused => self.accepted_at = None,
            Became::Accepted(number)
            | Became::Stuck(number)
            | Became::Returned(number)
            | Became::Closed(number)
                if number.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                self.accepted_at = self.accepted_at.or(at);
            }
            Became::Accepted(_) | Became::Stuck(_) | Became::Returned(_) | Became::Closed(_) => return,
        }
        self.became = Some((became, at));
    }

    /// The refund, if its beginning was told.
    pub fn remembered(self, number: RefundNumber, terminal: &TerminalId) -> Option<RememberedRefund> {
        let (asked_at, amount, reason) = self.asked?;
        let (day, _) = number.split().0.made_of(terminal)?;
        let asked_at = asked_at.unwrap_or(day.start());
        let accepted_at = self.accepted_at.unwrap_or(asked_at);
        let at = self.became.as_ref().and_then(|(_, at)| *at).unwrap_or(asked_at);
        let phase = match self.became.map(|(became, _)| became) {
            // The next start takes it that a request may have left until then, whatever stands here.
            None => Phase::Asking(Asking {
                since: asked_at,
                under_way: false,
                left_at: Some(asked_at),
                refused: self.refusal,
                asked_late: false,
                called: false,
            }),
            Some(Became::Accepted(gateway_number)) => {
                Phase::Accepted { gateway_number, accepted_at, since: at, called: false }
            }
            Some(Became::Stuck(gateway_number)) => Phase::Stuck { gateway_number, accepted_at, since: at },
            Some(Became::Returned(gateway_number)) => Phase::Returned { gateway_number, accepted_at },
            Some(Became::Closed(gateway_number)) => Phase::Closed { gateway_number },
            Some(Became::Refused) => Phase::Refused(self.refusal.unwrap_or_else(|| refusal("", ""))),
        };
        Some(RememberedRefund { number, amount, reason, asked_at, phase, at })
    }
}

fn refusal(code: &str, text: &str) -> Refusal {
    Refusal { code: code.to_owned(), text: text.to_owned(), reason: Reason::Other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Remembered;
    use crate::payment::Policy;
    use crate::refund::{Answer, Asked, Event, Key, Refund, step};
    use crate::terminal::remembered::{Common, read};
    use crate::terminal::words;

    const SALE: &str = "T01261121000042000001";

    /// What a log tells, and the lines that the loop would write for a refund that these events happen to.
    fn remembered(reason: Option<&str>, events: Vec<Event>) -> (Remembered, Refund, String) {
        let after = |n: i64| Timestamp(1_795_233_600_000 + n * 120_000);
        let (id, policy) = (SALE.parse::<SaleId>().unwrap(), Policy::default());
        let key = Key { key: [7; 16], request: [7; 8] };
        let amount = Amount::from_fen(500).unwrap();
        let mut refund =
            Refund::new(id.refund(1, 4711), 1, amount, reason.map(str::to_owned), key, after(0), &policy);
        let mut lines = vec![words::refund_asked(&refund)];
        for (event, n) in events.into_iter().zip(1..) {
            let what = words::refund_event(&refund, &event);
            refund = step(refund, event, after(n), &policy).refund;
            lines.push(format!("{what} -> refund {}", refund.phase.label()));
        }
        let lines = lines.iter().zip(0..).map(|(line, n)| {
            let at = after(n).rfc3339();
            format!("{at}  INFO {} {SALE} {line}", n + 7)
        });
        let log = lines.collect::<Vec<_>>().join("\n");
        (read(log.as_bytes(), &common()).unwrap().told, refund, log)
    }

    fn common() -> Common {
        Common {
            terminal: "T01".parse().unwrap(),
            subject: String::new(),
            gateway: "wechat".to_owned(),
            prints: true,
        }
    }

    fn heard(asked: Asked, answer: Answer) -> Event {
        Event::Answered(asked, answer)
    }

    fn number() -> String {
        "50300002".to_owned()
    }

    fn refused() -> Answer {
        let text = "余额不足 -> refund returned".to_owned();
        Answer::Refused(Refusal { code: "NOTENOUGH".to_owned(), text, reason: Reason::Other })
    }

    #[test]
    fn a_refund_is_read_back_from_the_lines_that_the_loop_writes() {
        use Asked::{Query, Refund};
        let accepted = || heard(Refund, Answer::Accepted(number()));
        let refusal = || vec![heard(Refund, refused()), Event::Wake, heard(Query, Answer::NotFound)];
        let lives = [
            (vec![], "asking"),
            (vec![Event::Wake, Event::Restarted], "asking"),
            (vec![heard(Refund, refused())], "asking"),
            (vec![accepted()], "accepted"),
            (vec![accepted(), heard(Query, Answer::Accepted(number())), Event::Restarted], "accepted"),
            (vec![accepted(), heard(Query, Answer::Stuck(number()))], "stuck"),
            (vec![accepted(), heard(Query, Answer::Returned(number()))], "returned"),
            (vec![heard(Query, Answer::Closed(number()))], "closed"),
            (refusal(), "refused"),
            ([refusal(), vec![heard(Query, Answer::Accepted(number()))]].concat(), "accepted"),
        ];
        for (events, phase) in lives {
            let (told, before, log) = remembered(Some("two words"), events);
            let [refund] = told.refunds.as_slice() else { panic!("{log}") };
            assert_eq!((refund.phase.label(), before.phase.label()), (phase, phase), "{log}");
            assert_eq!(refund.number, before.number);
            assert_eq!((refund.amount, refund.asked_at), (before.amount, before.asked_at));
            assert_eq!(refund.reason.as_deref(), Some("two words"));
            assert_eq!(refund.phase.gateway_number(), before.phase.gateway_number(), "{log}");
            let of = |phase: &Phase| match phase {
                Phase::Refused(refusal) | Phase::Asking(Asking { refused: Some(refusal), .. }) => {
                    Some(refusal.clone())
                }
                _ => None,
            };
            assert_eq!(of(&refund.phase), of(&before.phase), "{log}");
            let counts_on = |phase: &Phase| match phase {
                Phase::Accepted { accepted_at, .. }
                | Phase::Stuck { accepted_at, .. }
                | Phase::Returned { accepted_at, .. } => Some(*accepted_at),
                _ => None,
            };
            assert_eq!(counts_on(&refund.phase), counts_on(&before.phase), "{log}");
            let told_later = matches!(phase, "asking") || refund.at > refund.asked_at;
            assert!(told_later, "{log}");
        }
        assert_eq!(remembered(None, vec![]).0.refunds[0].reason, None);
    }

    #[test]
    fn what_is_no_step_of_a_refund_of_this_sale_is_passed_over() {
        let id: SaleId = SALE.parse().unwrap();
        let own = id.refund(1, 4711);
        let of_another = "T01261121000043000001".parse::<SaleId>().unwrap().refund(1, 4711);
        for line in [
            // Without its beginning its amount is not known.
            format!("7 {id} {own} refund: accepted 503 -> refund accepted"),
            format!("7 {id} {of_another} of 5.00 asked for -> refund asking"),
            format!("7 {id} {own} of 0.00 asked for -> refund asking"),
            format!("7 {id} {own} of 5.00 asked for -> refund accepted"),
            format!("7 {id} opened 1.00 reference {own} of 5.00 asked for -> refund asking"),
            format!("7 {own} of 5.00 asked for -> refund asking"),
        ] {
            assert_eq!(read(line.as_bytes(), &common()).unwrap().told.refunds, [], "{line}");
        }
        // Words that look like an end, in a reason and in what the gateway said of another end.
        let asked = format!("7 {id} {own} of 5.00 asked for reason -> refund returned -> refund asking\n");
        for end in [
            "query: returned 50/3 -> refund returned",
            "query: returned 503 -> refund asking",
            "query: not known, returned 503 -> refund returned",
            "query: no such refund -> refund asking",
        ] {
            let log = format!("{asked}8 {id} {own} {end}\n");
            let refund = &read(log.as_bytes(), &common()).unwrap().told.refunds[0];
            assert_eq!((refund.phase.label(), refund.amount.fen()), ("asking", 500), "{log}");
        }
    }
}
