//! The words in which tables and stories speak of events, effects and phases.

use std::time::Duration;

use micropayd::ids::CodeHint;
use micropayd::payment::{
    Answer, Asked, Cause, Doubt, Effect, Event, MoneySeen, Phase, Proof, Reason, Refusal, Reversal,
    ReversalAnswer, Why,
};
use micropayd::time::Timestamp;

/// When a story begins; only differences matter.
pub const START: Timestamp = Timestamp(1_795_233_600_000);

/// `12.5` is 12.5 s after the start.
pub fn at(text: &str) -> Timestamp {
    let seconds: f64 = text.parse().unwrap_or_else(|_| panic!("{text:?} is not a number of seconds"));
    START + Duration::from_millis((seconds * 1000.0).round() as u64)
}

/// Seconds since the start, without needless zeros.
pub fn clock(moment: Timestamp) -> String {
    format!("{}", moment.since(START).as_millis() as f64 / 1000.0)
}

fn proof() -> Proof {
    Proof { gateway_txn: "42000".to_owned(), paid_at: START, payer_paid: 1250, coupon: 0 }
}

pub fn refusal(code: &str, reason: Reason) -> Refusal {
    Refusal { code: code.to_owned(), text: String::new(), reason }
}

/// What the gateway, or the line, can answer to a pay request or a query.
pub fn answers() -> Vec<(&'static str, Answer)> {
    vec![
        ("paid", Answer::Paid(proof())),
        ("awaiting payer", Answer::AwaitingPayer),
        ("refused", Answer::Refused(refusal("AUTHCODEEXPIRE", Reason::CodeExpired))),
        ("not paid", Answer::NotPaid),
        ("not found", Answer::NotFound),
        ("pay failed", Answer::PayFailed),
        ("closed", Answer::Closed),
        ("refunded", Answer::Refunded),
        ("never sent", Answer::NeverSent(Cause::Connect)),
        ("unknown", Answer::Unknown(Cause::Timeout)),
    ]
}

/// What the gateway, or the line, can answer to a reverse request.
pub fn reversals() -> Vec<(&'static str, ReversalAnswer)> {
    vec![
        ("done", ReversalAnswer::Done),
        ("again", ReversalAnswer::Again),
        ("not found", ReversalAnswer::NotFound),
        ("refused", ReversalAnswer::Refused(refusal("TRADE_ERROR", Reason::Other))),
        ("never sent", ReversalAnswer::NeverSent(Cause::ClientCertificate)),
        ("unknown", ReversalAnswer::Unknown(Cause::Timeout)),
    ]
}

/// Every event for an attempt: what kind it is of, and its name in that kind.
pub fn events(attempt: u8) -> Vec<(&'static str, &'static str, Event)> {
    let mut events = vec![
        ("code", "", Event::Code(CodeHint::from_digits("8406").unwrap())),
        ("cancel", "", Event::Cancel),
        ("check", "", Event::Check),
        ("wake", "", Event::Wake),
        ("restart", "", Event::Restarted),
    ];
    for (kind, to) in [("pay", Asked::Pay), ("query", Asked::Query)] {
        let told = |(name, answer)| (kind, name, Event::Answered { attempt, to, answer });
        events.extend(answers().into_iter().map(told));
    }
    events.extend(
        reversals().into_iter().map(|(name, answer)| ("reverse", name, Event::Reversed { attempt, answer })),
    );
    events
}

/// `query`, or `query 2` where a sale has several attempts.
pub fn effect(effect: Effect, attempts: usize) -> String {
    let (name, ordinal) = match effect {
        Effect::Pay(n) => ("PAY", n),
        Effect::Query(n) => ("query", n),
        Effect::Reverse(n) => ("REVERSE", n),
        Effect::Receipt(n) => ("receipt", n),
        Effect::CallManager(n) => ("call the manager", n),
    };
    if attempts == 1 { name.to_owned() } else { format!("{name} {ordinal}") }
}

/// A phase with what distinguishes it from others of its name, times left out.
pub fn phase(phase: &Phase) -> String {
    let because = |why: &Why| match why {
        Why::GaveUp => "gave up",
        Why::Cancelled => "cancelled",
        Why::PayFailed => "pay failed",
        Why::Interrupted => "interrupted",
        Why::LatePaid => "late paid",
        Why::Elsewhere => "elsewhere",
    };
    let money = |reversal: &Reversal| match reversal.money_seen {
        MoneySeen::No => None,
        MoneySeen::Yes => Some("money seen"),
        MoneySeen::AskedSince => Some("money seen, asked since"),
    };
    let details = match phase {
        Phase::Armed | Phase::Paid(_) | Phase::Contradicted { .. } | Phase::Void => vec![],
        Phase::Paying { payer_asked, refusal, interrupted, .. } => [
            (*payer_asked, "payer asked"),
            (refusal.is_some(), "refusal to confirm"),
            (*interrupted, "interrupted"),
        ]
        .into_iter()
        .filter_map(|(is, name)| is.then_some(name))
        .collect(),
        Phase::Reversing(reversal) => {
            [Some(because(&reversal.why)), money(reversal)].into_iter().flatten().collect()
        }
        Phase::InDoubt(reversal, doubt) => {
            let doubt = match doubt {
                Doubt::TooLong => "too long",
                Doubt::Refused => "refused",
                Doubt::Expired => "expired",
            };
            [Some(doubt), Some(because(&reversal.why)), money(reversal)].into_iter().flatten().collect()
        }
        Phase::Refused { refusal, .. } | Phase::Declined(refusal) => vec![refusal.code.as_str()],
        Phase::Reversed(why) => vec![because(why)],
    };
    let label = phase.label();
    if details.is_empty() { label.to_owned() } else { format!("{label} ({})", details.join(", ")) }
}

/// Compares `text` with the file at `path` (from the repository's root), or writes it there if `UPDATE=1` is set.
pub fn compare_with_file(path: &str, text: &str) {
    let full = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&full, text).unwrap_or_else(|error| panic!("cannot write {full}: {error}"));
        return;
    }
    let written = std::fs::read_to_string(&full).unwrap_or_default();
    if written == text {
        return;
    }
    let first = written.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line = first.unwrap_or_else(|| written.lines().count().min(text.lines().count()));
    panic!(
        "{path} is not what the machine does, first in line {}:\n  file:    {}\n  machine: {}\n\
         help: if the machine is right, run `UPDATE=1 cargo test --test payment` and read the diff",
        line + 1,
        written.lines().nth(line).unwrap_or("(nothing)"),
        text.lines().nth(line).unwrap_or("(nothing)"),
    );
}
