//! What can go wrong at the gateway, and who the customers are: the same for the desk in its simulated world and for the
//! real binary that is killed. Lists, and nothing else.

use std::sync::LazyLock;

use micropayd::simulator::fields::Api;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};

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
    (Where::Micropay, Fault::Replay),
    (Where::Orderquery, Fault::Replay),
    (Where::Reverse, Fault::Replay),
    (Where::Any, Fault::Html),
    (Where::Any, Fault::Portal),
    (Where::Any, Fault::Status500),
    (Where::Any, Fault::Status302),
    (Where::Any, Fault::Empty),
    (Where::Any, Fault::Doctype),
    (Where::Any, Fault::DuplicateKeys),
    (Where::Any, Fault::Nul),
];

/// What can go wrong with a refund request and with a look-up: every fault that there is for them. Left out: bytes that
/// are no HTTP, or too many, which are the transport's business (`tests/hostile`); and the replay of a look-up: an old "no
/// such refund" names none, and a daemon that was started anew since cannot know it again.
pub static REFUND_FAULTS: LazyLock<Vec<(Where, Fault)>> = LazyLock::new(|| {
    let applies = |api| Fault::ALL.iter().filter(move |fault| fault.apis().contains(&api));
    let transport = [
        Fault::Drip,
        Fault::Huge,
        Fault::BadChunk,
        Fault::BadLength,
        Fault::Garbage,
        Fault::HeaderFlood,
        Fault::TwoAnswers,
    ];
    let asked = applies(Api::Refund).map(|fault| (Where::Refund, *fault));
    let queried = applies(Api::Refundquery).map(|fault| (Where::Refundquery, *fault));
    // What decides, eight times as often, or it would hardly be met among all that only delays.
    let deciding = [Fault::Refuse, Fault::FailButPaid, Fault::ArriveLate, Fault::RefundClose];
    let deciding = deciding.iter().flat_map(|fault| [(Where::Refund, *fault); 7]);
    let survivable = queried.filter(|(_, fault)| *fault != Fault::Replay);
    asked.chain(survivable).chain(deciding).filter(|(_, fault)| !transport.contains(fault)).collect()
});

/// A fault so many times; `late` draws the seconds of one that is about lateness.
pub fn rule((api, fault): (Where, Fault), times: u32, late: impl FnOnce() -> f64) -> Rule {
    let rule = Rule::once(api, fault).times(times);
    match (api, fault) {
        (_, Fault::Delay | Fault::ArriveLate) => rule.seconds(late()),
        // A refusal that is one; what it says otherwise is on no list, and so nothing.
        (Where::Refund, Fault::Refuse) => Rule { err_code: Some("NOTENOUGH".to_owned()), ..rule },
        _ => rule,
    }
}

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
