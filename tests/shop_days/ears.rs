//! Hears what the terminal says in its log: its calls for the manager, and the lines of which a lost journal is put back.

use std::cell::RefCell;
use std::fmt::Debug;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    /// What was called on this thread: a shop lives on one.
    static CALLS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// What else was said since somebody took it.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Begins to listen, for all threads.
pub fn listen() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| tracing::subscriber::set_global_default(Ears).expect("nobody else listens"));
}

/// Forgets the calls to `page`.
pub fn forget(page: &str) {
    CALLS.with_borrow_mut(|calls| calls.retain(|call| !call.contains(page)));
}

/// Whether the manager was called to `page` because of something whose name begins so.
pub fn called(name: &str, page: &str) -> bool {
    CALLS.with_borrow(|calls| calls.iter().any(|call| call.starts_with(name) && call.contains(page)))
}

/// What was said on this thread since it was last asked for, but for calls.
pub fn take_lines() -> Vec<String> {
    LINES.take()
}

struct Ears;

impl Subscriber for Ears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Said);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Said;

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            return;
        }
        let text = format!("{value:?}");
        match text.contains(" needs the manager: ") {
            true => CALLS.with_borrow_mut(|calls| calls.push(text)),
            false => LINES.with_borrow_mut(|lines| lines.push(text)),
        }
    }
}
