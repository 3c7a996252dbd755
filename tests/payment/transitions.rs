//! The table of what every phase does on every event, printed and compared: a change of behaviour is a diff of a table.

use std::fmt::Write;
use std::time::Duration;

use micropayd::ids::{ATTEMPTS_MAX, CodeHint};
use micropayd::money::Amount;
use micropayd::payment::{
    Answer, Asked, Attempt, Doubt, Event, MoneySeen, Payment, Phase, Policy, Proof, Reason, Reversal, Why,
    step,
};
use micropayd::time::Timestamp;

use crate::words::{self, START};

const TABLE: &str = "src/payment/transitions.txt";

/// A phase at a moment: `name`, the phase, the seconds since the pay request, and when the timer is set to ring.
struct Situation {
    name: &'static str,
    phase: Phase,
    now_s: u64,
    wake_s: Option<u64>,
}

fn situations() -> Vec<Situation> {
    let paying = |payer_asked, refusal, interrupted| Phase::Paying {
        sent_at: START,
        payer_asked,
        refusal,
        interrupted,
    };
    let expired = || Some(words::refusal("AUTHCODEEXPIRE", Reason::CodeExpired));
    let reversal = |why, since_s: u64, tries| Reversal {
        tries,
        ..Reversal::new(START, START + Duration::from_secs(since_s), why)
    };
    let refused =
        |reversal| Reversal { refused: Some(words::refusal("TRADE_ERROR", Reason::Other)), ..reversal };
    let seen = |reversal| Reversal { money_seen: MoneySeen::Yes, ..reversal };
    let asked = |reversal| Reversal { money_seen: MoneySeen::AskedSince, ..reversal };
    let looks_again =
        Phase::Refused { sent_at: START, refusal: words::refusal("AUTHCODEEXPIRE", Reason::CodeExpired) };
    let proof = Proof { gateway_txn: "42000".to_owned(), paid_at: START, payer_paid: 1250, coupon: 0 };
    let day = 24 * 60 * 60;
    let is = |name, phase, now_s, wake_s| Situation { name, phase, now_s, wake_s };
    vec![
        is("armed", Phase::Armed, 600, Some(600)),
        is("paying, no answer yet", paying(false, None, false), 10, Some(10)),
        is("paying, time is up", paying(false, None, false), 45, Some(45)),
        is("paying, payer asked for a password", paying(true, None, false), 10, Some(10)),
        is("paying, refused and not yet confirmed", paying(false, expired(), false), 10, Some(10)),
        is("paying, interrupted by a restart", paying(false, None, true), 10, Some(10)),
        is("reversing, too soon to ask", Phase::Reversing(reversal(Why::Cancelled, 2, 0)), 3, Some(15)),
        is("reversing, first time", Phase::Reversing(reversal(Why::Cancelled, 2, 0)), 15, Some(15)),
        is("reversing, asked", Phase::Reversing(reversal(Why::GaveUp, 45, 1)), 46, Some(65)),
        is("reversing, the code dies", Phase::Reversing(reversal(Why::GaveUp, 45, 2)), 65, Some(65)),
        is(
            "reversing, asked since the code died",
            Phase::Reversing(reversal(Why::GaveUp, 45, 3)),
            66,
            Some(95),
        ),
        is("reversing, refused", Phase::Reversing(refused(reversal(Why::GaveUp, 45, 3))), 66, Some(95)),
        is("reversing, money was seen", Phase::Reversing(seen(reversal(Why::GaveUp, 45, 3))), 66, Some(95)),
        is("reversing, asked since", Phase::Reversing(asked(reversal(Why::GaveUp, 45, 3))), 66, Some(95)),
        is("reversing, money seen late", Phase::Reversing(reversal(Why::LatePaid, 0, 3)), 66, Some(95)),
        is("reversing, for ten minutes", Phase::Reversing(reversal(Why::GaveUp, 45, 9)), 645, Some(645)),
        is(
            "in doubt, too long",
            Phase::InDoubt(reversal(Why::GaveUp, 45, 9), Doubt::TooLong),
            900,
            Some(900),
        ),
        is(
            "in doubt, refused",
            Phase::InDoubt(refused(reversal(Why::GaveUp, 45, 9)), Doubt::Refused),
            900,
            Some(900),
        ),
        is(
            "in doubt, refused, and money was seen",
            Phase::InDoubt(seen(refused(reversal(Why::GaveUp, 45, 9))), Doubt::Refused),
            900,
            Some(900),
        ),
        is(
            "in doubt, for seven days",
            Phase::InDoubt(reversal(Why::GaveUp, 45, 2000), Doubt::TooLong),
            7 * day,
            Some(7 * day),
        ),
        is(
            "in doubt, expired",
            Phase::InDoubt(reversal(Why::GaveUp, 45, 2000), Doubt::Expired),
            8 * day,
            Some(8 * day),
        ),
        is("paid", Phase::Paid(proof.clone()), 60, None),
        is(
            "contradicted, too soon to decide",
            Phase::Contradicted { proof: proof.clone(), since: START },
            30,
            Some(70),
        ),
        is(
            "contradicted, time to ask",
            Phase::Contradicted { proof: proof.clone(), since: START },
            70,
            Some(70),
        ),
        is("contradicted, asked since", Phase::Contradicted { proof, since: START }, 71, Some(140)),
        is("refused", looks_again.clone(), 3, Some(65)),
        is("refused, the code is dead", looks_again.clone(), 65, Some(65)),
        is("refused, asked again", looks_again, 66, Some(95)),
        is("declined", Phase::Declined(words::refusal("AUTHCODEEXPIRE", Reason::CodeExpired)), 60, None),
        is("reversed", Phase::Reversed(Why::GaveUp), 90, None),
        is("void", Phase::Void, 600, None),
    ]
}

#[test]
fn every_phase_answers_every_event_as_the_table_says() {
    let mut table = String::from(
        "What every phase does on every event. Printed by a test; `UPDATE=1 cargo test --test payment` rewrites it.\n\
         \n\
         Times are seconds since the pay request; `*` marks what must be durable before its effects are carried out;\n\
         `next` is when the timer rings then. The sale takes one code only (a sale that may rescan is in the stories).\n",
    );
    for situation in situations() {
        let at = words::clock(START + Duration::from_secs(situation.now_s));
        let wake = situation.wake_s.map_or("no timer".to_owned(), |wake| format!("timer set to {wake}"));
        let title = format!("{} at {at}, {wake}", situation.name);
        writeln!(table, "\n{title}\n{}", "-".repeat(title.len())).unwrap();
        // Events with the same reaction share a block, answers to the same request a line.
        let mut blocks: Vec<(String, Vec<(&str, String)>)> = Vec::new();
        for (kind, name, event) in words::events(1) {
            let reaction = reaction(&situation, event);
            let at = blocks.iter().position(|(other, _)| *other == reaction).unwrap_or_else(|| {
                blocks.push((reaction, Vec::new()));
                blocks.len() - 1
            });
            let lines = &mut blocks[at].1;
            match lines.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, names)) => write!(names, ", {name}").unwrap(),
                None => lines.push((kind, name.to_owned())),
            }
        }
        blocks.sort_by_key(|(reaction, _)| reaction == NOTHING);
        for (reaction, lines) in blocks {
            writeln!(table, "{reaction}").unwrap();
            for (kind, names) in lines {
                let colon = if names.is_empty() { "" } else { ": " };
                writeln!(table, "      {kind}{colon}{names}").unwrap();
            }
        }
    }
    words::compare_with_file(TABLE, &table);
}

const NOTHING: &str = "   nothing";

fn reaction(situation: &Situation, event: Event) -> String {
    let now = START + Duration::from_secs(situation.now_s);
    let wake = situation.wake_s.map(|s| START + Duration::from_secs(s));
    let hint = CodeHint::from_digits("8406");
    let attempt = Attempt { phase: situation.phase.clone(), hint, wake };
    let before = Payment { amount: Amount::from_fen(1250).unwrap(), single: true, attempts: vec![attempt] };
    let step = step(before.clone(), event, now, &Policy::default());
    if step.payment == before && step.effects.is_empty() {
        return NOTHING.to_owned();
    }
    let after = step.payment.current();
    let mark = if step.durable { "*" } else { " " };
    let mut reaction = format!("{mark}  {}", words::phase(&after.phase));
    for effect in &step.effects {
        write!(reaction, ", {}", words::effect(*effect, 1)).unwrap();
    }
    let next: Option<Timestamp> = after.wake;
    if let Some(next) = next {
        write!(reaction, "; next {}", words::clock(next)).unwrap();
    }
    reaction
}

#[test]
fn what_contradicts_itself_is_asked_about_no_faster_than_the_line_can_answer() {
    let proof = Proof { gateway_txn: "42000".to_owned(), paid_at: START, payer_paid: 1250, coupon: 0 };
    let pauses_s = |policy: &Policy| {
        let mut payment = Payment::new(Amount::from_fen(1250).unwrap(), false, START, policy);
        let phase = Phase::Contradicted { proof: proof.clone(), since: START };
        payment.attempts[0] = Attempt { phase, hint: None, wake: Some(START + policy.decide_after) };
        let mut ring = || {
            let now = payment.wake().unwrap();
            payment = step(payment.clone(), Event::Wake, now, policy).payment;
            payment.wake().unwrap().since(now).as_secs()
        };
        [ring(), ring(), ring(), ring(), ring()]
    };
    // Ever slower, up to the longest pause of a reversal.
    assert_eq!(pauses_s(&Policy::default()), [70, 140, 280, 300, 300]);
    let slow = Policy { answer_within: Duration::from_secs(90), ..Policy::default() };
    assert_eq!(pauses_s(&slow), [180, 250, 300, 300, 300]);
}

#[test]
fn an_order_number_has_room_for_ninety_nine_attempts_and_no_more() {
    let policy = Policy::default();
    let mut payment = Payment::new(Amount::from_fen(1250).unwrap(), false, START, &policy);
    for attempt in 1..=ATTEMPTS_MAX {
        assert_eq!(payment.ordinal(), attempt);
        let answered = |to, answer| Event::Answered { attempt, to, answer };
        let refusal = words::refusal("AUTHCODEEXPIRE", Reason::CodeExpired);
        for event in [
            Event::Code(CodeHint::from_digits("8406").unwrap()),
            answered(Asked::Pay, Answer::Refused(refusal)),
            answered(Asked::Query, Answer::NotPaid),
        ] {
            payment = step(payment, event, START, &policy).payment;
        }
    }
    // Each of them is to be looked at once more.
    assert_eq!((payment.ordinal(), payment.holds_lane(), payment.is_open()), (ATTEMPTS_MAX, false, true));
}
