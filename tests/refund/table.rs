//! The table of what every phase does on every event, printed and compared: a change of behaviour is a diff of a table.

use std::fmt::Write;
use std::time::Duration;

use micropayd::ids::SaleId;
use micropayd::money::Amount;
use micropayd::payment::{Cause, Policy, Reason, Refusal};
use micropayd::refund::{Answer, Asked, Asking, Effect, Event, Key, Phase, Refund, step};
use micropayd::time::Timestamp;

const TABLE: &str = "src/refund/transitions.txt";
const START: Timestamp = Timestamp(1_795_233_600_000);

fn refusal() -> Refusal {
    Refusal { code: "NOTENOUGH".to_owned(), text: "余额不足".to_owned(), reason: Reason::Merchant }
}

fn number() -> String {
    "50000".to_owned()
}

fn seconds(after: u64) -> Timestamp {
    START + Duration::from_secs(after)
}

/// A name, a phase, the seconds since it was asked for, and when the timer is set to ring.
fn situations() -> Vec<(&'static str, Phase, u64, Option<u64>)> {
    let asking = Asking {
        since: START,
        under_way: false,
        left_at: None,
        refused: None,
        asked_late: false,
        called: false,
    };
    let under_way = Asking { under_way: true, ..asking.clone() };
    let lost = Asking { left_at: Some(seconds(5)), ..asking.clone() };
    let refused = Asking { left_at: Some(seconds(2)), refused: Some(refusal()), ..asking.clone() };
    let asked_late = Asking { asked_late: true, ..refused.clone() };
    let accepted = |called| Phase::Accepted {
        gateway_number: number(),
        accepted_at: seconds(1),
        since: seconds(1),
        called,
    };
    let day = 24 * 60 * 60;
    vec![
        ("asking, under way", Phase::Asking(under_way.clone()), 1, Some(30)),
        ("asking, no answer came", Phase::Asking(under_way), 30, Some(30)),
        ("asking, nothing was ever sent", Phase::Asking(asking.clone()), 10, Some(10)),
        ("asking, a request has left", Phase::Asking(lost), 10, Some(10)),
        ("asking, for ten minutes", Phase::Asking(asking), 600, Some(600)),
        ("asking, refused, a request may arrive", Phase::Asking(refused.clone()), 20, Some(67)),
        ("asking, refused, none can any more", Phase::Asking(refused), 67, Some(67)),
        ("asking, refused, asked then", Phase::Asking(asked_late), 68, Some(97)),
        ("accepted", accepted(false), 6, Some(6)),
        ("accepted, for nearly twelve days", accepted(false), 12 * day, Some(12 * day)),
        ("accepted, for twelve days", accepted(false), 12 * day + 1, Some(12 * day + 1)),
        ("accepted, a person was called", accepted(true), 13 * day, Some(13 * day)),
        (
            "stuck",
            Phase::Stuck { gateway_number: number(), accepted_at: seconds(1), since: seconds(1) },
            60,
            Some(60),
        ),
        ("returned", Phase::Returned { gateway_number: number(), accepted_at: seconds(1) }, 60, None),
        ("refused", Phase::Refused(refusal()), 100, None),
        ("closed", Phase::Closed { gateway_number: number() }, 60, None),
    ]
}

fn events() -> Vec<(String, Event)> {
    let answers = [
        ("accepted", Answer::Accepted(number())),
        ("returned", Answer::Returned(number())),
        ("the card is gone", Answer::Stuck(number())),
        ("closed", Answer::Closed(number())),
        ("no such refund", Answer::NotFound),
        ("refused", Answer::Refused(refusal())),
        ("never sent", Answer::NeverSent(Cause::Connect)),
        ("not known", Answer::Unknown(Cause::Timeout)),
    ];
    let mut events = Vec::new();
    for (asked, name) in [(Asked::Refund, "refund"), (Asked::Query, "query")] {
        for (word, answer) in &answers {
            events.push((format!("{name}: {word}"), Event::Answered(asked, answer.clone())));
        }
    }
    for (name, event) in [("check", Event::Check), ("timer", Event::Wake), ("restart", Event::Restarted)] {
        events.push((name.to_owned(), event));
    }
    events
}

fn refund(phase: Phase, wake: Option<u64>) -> Refund {
    let sale: SaleId = "T01261121000042ABCDEF".parse().unwrap();
    let key = Key { key: [0; 16], request: [0; 8] };
    let fresh = Refund::new(
        sale.refund(1, 7),
        1,
        Amount::from_fen(500).unwrap(),
        None,
        key,
        START,
        &Policy::default(),
    );
    Refund { phase, wake: wake.map(seconds), ..fresh }
}

#[test]
fn every_phase_answers_every_event_as_the_table_says() {
    let mut table = String::from(
        "What the refund machine does, by phase and event. Written by a test (UPDATE=1 writes it anew).\n\
         Times are seconds after the refund was asked for; `sync` marks what must be on the disk first.\n",
    );
    for (name, phase, now, wake) in situations() {
        let _ = write!(table, "\n{name}, at {now} s");
        let _ = writeln!(table, "{}", wake.map(|at| format!(", timer at {at} s")).unwrap_or_default());
        let before = refund(phase, wake);
        for (what, event) in events() {
            let stepped = step(before.clone(), event.clone(), seconds(now), &Policy::default());
            let after = &stepped.refund;
            // What holds whatever the table says.
            assert_eq!(after.is_open(), after.wake.is_some(), "{name}, {what}: what is open has a timer");
            assert_eq!((&after.number, after.amount), (&before.number, before.amount), "{name}, {what}");
            assert_eq!(stepped.durable, after.phase.label() != before.phase.label(), "{name}, {what}");
            let (label, asked) = (after.phase.label(), ["accepted", "stuck", "returned"]);
            assert_eq!(after.accepted_at().is_some(), asked.contains(&label), "{name}, {what}");
            assert!(
                after.accepted_at().is_none_or(|at| (seconds(1)..=seconds(now)).contains(&at)),
                "{name}, {what}"
            );
            assert_eq!(after.is_given(), asked.contains(&label) || label == "asking", "{name}, {what}");
            let known = asked.contains(&label) || label == "closed";
            assert_eq!(after.phase.gateway_number(), known.then_some("50000"), "{name}, {what}");
            let asks = stepped.effects.contains(&Effect::Ask);
            let is_refused = matches!(&before.phase, Phase::Asking(asking) if asking.refused.is_some());
            assert!(
                !asks || (before.phase.label() == "asking" && !is_refused),
                "{name}, {what}: asked again"
            );
            assert!(stepped.effects.len() <= 2, "{name}, {what}");
            let mut row = after.phase.label().to_owned();
            if let Phase::Asking(asking) = &after.phase {
                row.push_str(if asking.refused.is_some() { ", refused" } else { "" });
                row.push_str(if asking.under_way { ", under way" } else { "" });
            }
            if after.wake != before.wake
                && let Some(wake) = after.wake
            {
                let _ = write!(row, ", timer at {}", wake.since(START).as_secs());
            }
            for effect in &stepped.effects {
                let _ = write!(row, ", {effect:?}");
            }
            let _ = writeln!(table, "  {what:<26} {row}{}", if stepped.durable { ", sync" } else { "" });
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), table, "{TABLE} is not what the machine does");
}
