//! The numbers that stand for names in a step's state. A number is never given a second meaning.

use crate::payment::{Doubt, MoneySeen, Reason, Why};
use crate::sale::ReceiptState;

/// The number that stands for a receipt state, here and in the `job` table.
pub fn receipt_tag(state: ReceiptState) -> u8 {
    match state {
        ReceiptState::None => 0,
        ReceiptState::Queued => 1,
        ReceiptState::Sending => 2,
        ReceiptState::Printed => 3,
        ReceiptState::Unconfirmed => 4,
        ReceiptState::Failed => 5,
    }
}

/// Undoes [`receipt_tag`].
pub fn receipt_from_tag(tag: i64) -> Option<ReceiptState> {
    ReceiptState::ALL.into_iter().find(|state| i64::from(receipt_tag(*state)) == tag)
}

pub(super) fn why_tag(why: Why) -> u8 {
    match why {
        Why::GaveUp => 1,
        Why::Cancelled => 2,
        Why::PayFailed => 3,
        Why::Interrupted => 4,
        Why::LatePaid => 5,
        Why::Elsewhere => 6,
    }
}

pub(super) fn why_from_tag(tag: u8) -> Result<Why, String> {
    let all = [Why::GaveUp, Why::Cancelled, Why::PayFailed, Why::Interrupted, Why::LatePaid, Why::Elsewhere];
    all.into_iter().find(|why| why_tag(*why) == tag).ok_or_else(|| format!("why {tag} is not known"))
}

pub(super) fn doubt_tag(doubt: Doubt) -> u8 {
    match doubt {
        Doubt::TooLong => 1,
        Doubt::Refused => 2,
        Doubt::Expired => 3,
    }
}

pub(super) fn doubt_from_tag(tag: u8) -> Result<Doubt, String> {
    let all = [Doubt::TooLong, Doubt::Refused, Doubt::Expired];
    all.into_iter().find(|doubt| doubt_tag(*doubt) == tag).ok_or_else(|| format!("doubt {tag} is not known"))
}

pub(super) fn money_seen_tag(money: MoneySeen) -> u8 {
    match money {
        MoneySeen::No => 0,
        MoneySeen::Yes => 1,
        MoneySeen::AskedSince => 2,
    }
}

pub(super) fn money_seen_from_tag(tag: u8) -> Result<MoneySeen, String> {
    let all = [MoneySeen::No, MoneySeen::Yes, MoneySeen::AskedSince];
    all.into_iter()
        .find(|money| money_seen_tag(*money) == tag)
        .ok_or_else(|| format!("seen money {tag} is not known"))
}

pub(super) fn reason_tag(reason: Reason) -> u8 {
    match reason {
        Reason::CodeExpired => 1,
        Reason::CodeUsed => 2,
        Reason::CodeInvalid => 3,
        Reason::BalanceTooLow => 4,
        Reason::CardNotSupported => 5,
        Reason::CancelledByPayer => 6,
        Reason::PayerNotAllowed => 7,
        Reason::OtherPayer => 8,
        Reason::NumberUsed => 9,
        Reason::Merchant => 10,
        Reason::LineDown => 11,
        Reason::NotSendable => 12,
        Reason::Other => 13,
    }
}

pub(super) fn reason_from_tag(tag: u8) -> Result<Reason, String> {
    let all = [
        Reason::CodeExpired,
        Reason::CodeUsed,
        Reason::CodeInvalid,
        Reason::BalanceTooLow,
        Reason::CardNotSupported,
        Reason::CancelledByPayer,
        Reason::PayerNotAllowed,
        Reason::OtherPayer,
        Reason::NumberUsed,
        Reason::Merchant,
        Reason::LineDown,
        Reason::NotSendable,
        Reason::Other,
    ];
    all.into_iter()
        .find(|reason| reason_tag(*reason) == tag)
        .ok_or_else(|| format!("reason {tag} is not known"))
}
