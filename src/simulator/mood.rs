//! How a customer behaves once the payment code is scanned.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a simulated customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// Pays at once, without a password.
    Pay,
    /// Is asked for the password and pays after `after` (3 s).
    Password,
    /// Is asked for the password and closes the dialog after `after` (3 s): the order ends in PAYERROR.
    Cancel,
    /// Is asked for the password and never answers: USERPAYING until it is reversed or revoked after 45 s.
    WalkAway,
    /// Answers the password late, after `after` (40 s): shortly before the automatic revocation.
    Late,
    /// Is asked to confirm because of the same amount within a minute, and pays after `after` (3 s).
    Again,
    /// Has too little money: NOTENOUGH.
    Poor,
    /// Has a card that is not supported here: NOTSUPORTCARD.
    Card,
    /// Shows a code that is older than a minute: AUTHCODEEXPIRE.
    Expired,
    /// Shows something that is not a payment code: AUTH_CODE_INVALID.
    Invalid,
}

impl Mood {
    /// Every mood; its place is the last digit of the fixed codes that show it.
    pub const ALL: [Mood; 10] = [
        Mood::Pay,
        Mood::Password,
        Mood::Cancel,
        Mood::WalkAway,
        Mood::Late,
        Mood::Again,
        Mood::Poor,
        Mood::Card,
        Mood::Expired,
        Mood::Invalid,
    ];

    /// The mood of a code that the simulator did not issue: codes that begin with 15 choose it by their last digit
    /// (its place in [`Mood::ALL`]), all others pay.
    pub fn of_foreign_code(code: &str) -> Self {
        match (code.starts_with("15"), code.bytes().last()) {
            (true, Some(digit @ b'0'..=b'9')) => Self::ALL[usize::from(digit - b'0')],
            _ => Self::Pay,
        }
    }

    /// How long the customer takes when nobody says otherwise.
    pub fn usually_after(self) -> Duration {
        match self {
            Self::Password | Self::Cancel | Self::Again => Duration::from_secs(3),
            Self::Late => Duration::from_secs(40),
            Self::Pay | Self::WalkAway | Self::Poor | Self::Card | Self::Expired | Self::Invalid => {
                Duration::ZERO
            }
        }
    }
}
