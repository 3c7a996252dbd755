//! Stories: one payment a file, what happens on the left, what the terminal makes of it on the right.
//!
//! A line is `seconds  event | reaction | what the cashier reads`. Only the left part is written by hand. A timer that
//! rings when the machine did not ask for it, or does not ring when it did, is an error in the story.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use micropayd::ids::CodeHint;
use micropayd::money::Amount;
use micropayd::payment::cashier::{Language, told};
use micropayd::payment::{Asked, Event, Payment, Policy, step};
use micropayd::time::Timestamp;

use crate::words::{self, START};

const FOLDER: &str = "tests/payment/stories";

#[test]
fn every_story_goes_as_it_is_told() {
    let folder = format!("{}/{FOLDER}", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot read {folder}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 20, "only {} stories are left", names.len());
    for name in names {
        let path = format!("{FOLDER}/{name}");
        let text = fs::read_to_string(format!("{folder}/{name}")).unwrap();
        words::compare_with_file(&path, &play(&name, &text));
    }
}

#[test]
#[should_panic(expected = "the machine did not ask for it")]
fn a_timer_rings_only_when_the_machine_asked_for_it() {
    play("cheat", "Cheat.\n\n0 code\n3 wake\n");
}

#[test]
#[should_panic(expected = "the timer should have rung at 30")]
fn a_timer_that_was_asked_for_is_not_forgotten() {
    play("cheat", "Cheat.\n\n0 code\n40 query: paid\n");
}

/// A payment as a story follows it.
struct Stage {
    policy: Policy,
    live: Payment,
    /// What a power cut leaves.
    synced: Payment,
    /// What the cashier reads; told again only when it changes.
    screen: String,
}

/// Plays the left side of a story and writes both.
fn play(name: &str, text: &str) -> String {
    let mut lines = text.lines();
    let mut told = String::new();
    let (mut single, mut policy) = (false, Policy::default());
    for line in lines.by_ref() {
        writeln!(told, "{line}").unwrap();
        single |= line.contains("one code only");
        // Other waits than the usual ones, where those would make the story too long or impossible.
        let two_minutes = Duration::from_secs(120);
        match line {
            _ if line.contains("reversed for two minutes only") => policy.reverse_for = two_minutes,
            _ if line.contains("reversed after two minutes only") => policy.reverse_after = two_minutes,
            _ => {}
        }
        if line.is_empty() {
            break;
        }
    }
    let payment = Payment::new(Amount::from_fen(1250).unwrap(), single, START, &policy);
    let mut stage = Stage { policy, live: payment.clone(), synced: payment, screen: String::new() };
    for line in lines {
        let left = line.split('|').next().unwrap().trim();
        if left.is_empty() || left.starts_with('#') {
            writeln!(told, "{line}").unwrap();
            continue;
        }
        let (time, event) = left.split_once(' ').unwrap_or_else(|| panic!("{name}: {line:?} has no event"));
        let reaction = stage.happens(name, words::at(time), event.trim());
        let screen = stage.new_screen(words::at(time));
        let left = format!("{time:>7}  {}", event.trim());
        writeln!(told, "{}", format!("{left:<32} | {reaction:<64} | {screen}").trim_end()).unwrap();
    }
    told
}

impl Stage {
    fn happens(&mut self, name: &str, now: Timestamp, text: &str) -> String {
        let wake = self.live.wake();
        let restarts = matches!(text, "restart" | "power cut");
        match wake {
            Some(wake) if text == "wake" && wake != now => panic!(
                "{name}: the timer rings at {}, the machine did not ask for it; it asked for {}",
                words::clock(now),
                words::clock(wake)
            ),
            None if text == "wake" => panic!("{name}: the timer rings, the machine did not ask for it"),
            Some(wake) if text != "wake" && !restarts && wake < now => {
                panic!("{name}: the timer should have rung at {} before {text:?}", words::clock(wake));
            }
            Some(_) | None => {}
        }
        if text == "power cut" {
            self.live = self.synced.clone();
        }
        let step = step(self.live.clone(), event(name, text, &self.live), now, &self.policy);
        if step.durable {
            self.synced = step.payment.clone();
        }
        let reaction = reaction(&self.live, &step);
        self.live = step.payment;
        reaction
    }

    fn new_screen(&mut self, now: Timestamp) -> String {
        let told = told(&self.live, now, &self.policy, Language::Chinese);
        let goods = if told.hand_over_goods { " (goods)" } else { "" };
        let screen = format!("{}{goods}", told.text);
        if screen == self.screen {
            return String::new();
        }
        self.screen.clone_from(&screen);
        screen
    }
}

/// `code`, `cancel`, `check`, `wake`, `restart`, `power cut`, or `pay 2: paid`, with the last attempt where none is named.
fn event(name: &str, text: &str, payment: &Payment) -> Event {
    let (request, answer) = text.split_once(": ").unwrap_or((text, ""));
    let (kind, attempt) = match request.rsplit_once(' ') {
        Some((kind, ordinal)) if ordinal.parse::<u8>().is_ok() => (kind, ordinal.parse().unwrap()),
        _ => (request, payment.ordinal()),
    };
    let unheard = || -> ! { panic!("{name}: nobody says {text:?}") };
    match kind {
        "code" => Event::Code(CodeHint::from_digits("8406").unwrap()),
        "cancel" => Event::Cancel,
        "check" => Event::Check,
        "wake" => Event::Wake,
        "restart" | "power cut" => Event::Restarted,
        "reverse" => match words::reversals().into_iter().find(|(name, _)| *name == answer) {
            Some((_, answer)) => Event::Reversed { attempt, answer },
            None => unheard(),
        },
        "pay" | "query" => match words::answers().into_iter().find(|(name, _)| *name == answer) {
            Some((_, answer)) => {
                let to = if kind == "pay" { Asked::Pay } else { Asked::Query };
                Event::Answered { attempt, to, answer }
            }
            None => unheard(),
        },
        _ => unheard(),
    }
}

/// What changed, what was asked for, and when the timer rings next; `*` where that must be durable first.
fn reaction(before: &Payment, step: &micropayd::payment::Step) -> String {
    let after = &step.payment;
    let several = after.attempts.len() > 1;
    let mut parts = Vec::new();
    for (index, attempt) in after.attempts.iter().enumerate() {
        let phase = words::phase(&attempt.phase);
        let old = before.attempts.get(index).map(|attempt| words::phase(&attempt.phase));
        if old.as_ref() != Some(&phase) {
            parts.push(if several { format!("{} {phase}", index + 1) } else { phase });
        }
    }
    parts.extend(step.effects.iter().map(|effect| words::effect(*effect, after.attempts.len())));
    if after.wake() != before.wake() || parts.is_empty() {
        parts.push(after.wake().map_or("at rest".to_owned(), |wake| format!("next {}", words::clock(wake))));
    }
    format!("{}{}", if step.durable { "* " } else { "" }, parts.join(", "))
}
