//! The door to the scanners: device bytes become whole payment codes or are refused with a reason, and then forgotten.

use crate::input::Inbox;

/// Which scanner, and how to read it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {}

/// Starts reading on the current runtime; reports scans and the device's state to `inbox`. An absent scanner is
/// reported and taken up when it appears. Ends when `inbox` closes.
pub fn start(_settings: Settings, _inbox: Inbox) {}
