//! `[policy]`: the waits, held against the gateway's documented minimum.

use std::time::Duration;

use super::section::{Section, written};
use crate::payment::Policy;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The smallest values that the gateway's documents allow.
struct Minimum {
    key: &'static str,
    least: Duration,
    source: &'static str,
}

const MINIMA: [Minimum; 6] = [
    Minimum { key: "query_after", least: seconds(5), source: "WeChat Pay APIv2, micropay page, 2025-08-14" },
    Minimum { key: "query_every", least: seconds(5), source: "WeChat Pay APIv2, micropay page, 2025-08-14" },
    Minimum {
        key: "give_up_after",
        least: seconds(30),
        source: "WeChat Pay APIv2, partner micropay guide, 2025-03-21",
    },
    Minimum { key: "reverse_after", least: seconds(15), source: "WeChat Pay APIv2, reverse page" },
    Minimum { key: "reverse_every", least: seconds(5), source: "the pause between queries" },
    Minimum { key: "code_life", least: seconds(65), source: "payment code page: about 60 s, and a margin" },
];

/// `bench`: every gateway address is a loopback address, so any wait goes. `longest_call`: the longest that one
/// call can be under way, all hosts and time-outs together.
pub fn read(section: Section<'_>, bench: bool, longest_call: Option<Duration>) -> Policy {
    let default = Policy::default();
    let wait = |key, otherwise: Duration| {
        let Some(entry) = section.duration(key) else { return otherwise };
        if entry.value.is_zero() {
            entry.refuse(
                section.found(),
                "is zero, expected a wait",
                format!("write {key} = \"{}\"", written(otherwise)),
            );
        }
        let minimum = MINIMA.iter().find(|minimum| minimum.key == key);
        if let Some(minimum) = minimum
            && entry.value < minimum.least
            && !bench
        {
            let least = written(minimum.least);
            let what = format!("is {}, expected at least {least} ({})", written(entry.value), minimum.source);
            let help = format!("write {key} = \"{least}\"; only a gateway on loopback may be hurried");
            entry.refuse(section.found(), what, help);
        }
        entry.value
    };
    let policy = Policy {
        query_after: wait("query_after", default.query_after),
        query_every: wait("query_every", default.query_every),
        give_up_after: wait("give_up_after", default.give_up_after),
        reverse_after: wait("reverse_after", default.reverse_after),
        reverse_every: wait("reverse_every", default.reverse_every),
        call_manager_after: wait("call_manager_after", default.call_manager_after),
        scan_within: wait("scan_within", default.scan_within),
        code_life: wait("code_life", default.code_life),
        answer_within: longest_call.map_or(default.answer_within, |span| span + seconds(10)),
        ..default
    };
    let longest = [
        ("query_after", policy.query_after, "give_up_after", policy.give_up_after, default.query_after),
        (
            "reverse_every",
            policy.reverse_every,
            "its longest",
            policy.reverse_every_max,
            default.reverse_every,
        ),
        (
            "reverse_after",
            policy.reverse_after,
            "the time for reversals",
            policy.reverse_for,
            default.reverse_after,
        ),
    ];
    for (key, wait, other, most, otherwise) in longest {
        if wait <= most {
            continue;
        }
        let (wait, most, otherwise) = (written(wait), written(most), written(otherwise));
        if let Some(entry) = section.duration(key) {
            let what = format!("is {wait}, expected at most {other} ({most})");
            entry.refuse(section.found(), what, format!("write {key} = \"{otherwise}\""));
        } else if let Some(entry) = section.duration("give_up_after") {
            let what = format!("is {most}, expected at least {key} ({wait})");
            entry.refuse(section.found(), what, format!("write give_up_after = \"45s\", or a shorter {key}"));
        }
    }
    section.finish();
    policy
}
