//! Hears the terminal call for the manager, which it does in its log only. Keeps nothing else of what it says.

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

struct Ears;

impl Subscriber for Ears {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Call);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Call;

impl Visit for Call {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" && text.contains(" needs the manager: ") {
            CALLS.with_borrow_mut(|calls| calls.push(text));
        }
    }
}
