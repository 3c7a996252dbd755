//! What a run of any length must meet, or it proves little.

use micropayd::payment::{Doubt, Phase, Why};

pub const SIGHTS: [&str; 23] = [
    "armed",
    "paying",
    "paying, interrupted",
    "reversing: gave up",
    "reversing: cancelled",
    "reversing: pay failed",
    "reversing: interrupted",
    "reversing: late paid",
    "in doubt: too long",
    "in doubt: refused",
    "in doubt: expired",
    "paid",
    "declined",
    "reversed: gave up",
    "reversed: cancelled",
    "reversed: pay failed",
    "reversed: interrupted",
    "reversed: late paid",
    "reversed: elsewhere",
    "void",
    "refused",
    "contradicted",
    // Nothing begins a reversal for this reason; the last of the list, so that it can be left out.
    "reversing: elsewhere",
];

/// How many of [`SIGHTS`] there must be.
pub const EXPECTED: usize = SIGHTS.len() - 1;

/// Which of [`SIGHTS`] a phase is.
pub fn sight(phase: &Phase) -> usize {
    match phase {
        Phase::Armed => 0,
        Phase::Paying { interrupted: false, .. } => 1,
        Phase::Paying { interrupted: true, .. } => 2,
        Phase::Reversing(reversal) => match reversal.why {
            Why::GaveUp => 3,
            Why::Cancelled => 4,
            Why::PayFailed => 5,
            Why::Interrupted => 6,
            Why::LatePaid => 7,
            Why::Elsewhere => 22,
        },
        Phase::InDoubt(_, Doubt::TooLong) => 8,
        Phase::InDoubt(_, Doubt::Refused) => 9,
        Phase::InDoubt(_, Doubt::Expired) => 10,
        Phase::Paid(_) => 11,
        Phase::Declined(_) => 12,
        Phase::Refused { .. } => 20,
        Phase::Contradicted { .. } => 21,
        Phase::Reversed(why) => match why {
            Why::GaveUp => 13,
            Why::Cancelled => 14,
            Why::PayFailed => 15,
            Why::Interrupted => 16,
            Why::LatePaid => 17,
            Why::Elsewhere => 18,
        },
        Phase::Void => 19,
    }
}
