//! What can go wrong at the gateway, and who the customers are: the same for the desk in its simulated world and for the
//! real binary that is killed. A list, and nothing else.

use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Where};

/// What can go wrong in the weather. Left out: an authentic lie that the money is not there when the code is
/// dead, which no client can survive.
pub const FAULTS: &[(Where, Fault)] = &[
    (Where::Micropay, Fault::SystemError),
    (Where::Micropay, Fault::SystemErrorPaid),
    (Where::Micropay, Fault::BankError),
    (Where::Micropay, Fault::BankErrorPaid),
    (Where::Micropay, Fault::FailButPaid),
    (Where::Micropay, Fault::ReturnFail),
    (Where::Micropay, Fault::ReturnFailPaid),
    (Where::Any, Fault::LostBefore),
    (Where::Any, Fault::LostAfter),
    (Where::Micropay, Fault::ArriveLate),
    (Where::Micropay, Fault::Twice),
    (Where::Reverse, Fault::Twice),
    (Where::Any, Fault::Delay),
    (Where::Any, Fault::Hang),
    (Where::Any, Fault::Cut),
    (Where::Any, Fault::Down),
    (Where::Reverse, Fault::Recall),
    (Where::Reverse, Fault::BeingPaid),
    (Where::Reverse, Fault::SystemError),
    (Where::Reverse, Fault::SystemErrorPaid),
    (Where::Orderquery, Fault::Stale),
    (Where::Any, Fault::FrequencyLimited),
    (Where::Any, Fault::Unsigned),
    (Where::Any, Fault::Forged),
    (Where::Any, Fault::WrongSignType),
    (Where::Micropay, Fault::OtherOrder),
    (Where::Micropay, Fault::OtherAmount),
    (Where::Orderquery, Fault::OtherOrder),
    (Where::Orderquery, Fault::OtherAmount),
    (Where::Any, Fault::OtherMerchant),
    (Where::Any, Fault::Replay),
    (Where::Any, Fault::Html),
    (Where::Any, Fault::Portal),
    (Where::Any, Fault::Status500),
    (Where::Any, Fault::Status302),
    (Where::Any, Fault::Empty),
    (Where::Any, Fault::Doctype),
    (Where::Any, Fault::DuplicateKeys),
    (Where::Any, Fault::Nul),
];

/// Customers: three of eleven simply pay, or the weather of an ordinary day would hardly be met.
pub const MOODS: &[Mood] = &[
    Mood::Pay,
    Mood::Pay,
    Mood::Pay,
    Mood::Password,
    Mood::Cancel,
    Mood::WalkAway,
    Mood::Late,
    Mood::Again,
    Mood::Poor,
    Mood::Card,
    Mood::Expired,
];
