//! One order in the gateway's books, and what time does to it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::refunds::Refund;
use super::wire::Fields;
use super::world::{Refusal, refuse_reversal};
use crate::time::Timestamp;

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Known, nothing taken, nobody asked.
    NotPay,
    /// The payer sees a password or confirmation dialog.
    UserPaying,
    /// Money was taken.
    Paid,
    /// The payer or the bank refused.
    PayError,
    /// Ended without money.
    Closed,
    /// Reversed; whatever was taken went back.
    Revoked,
}

/// What the payer will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Enters the password.
    Pays,
    /// Closes the dialog.
    Refuses,
}

/// A voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coupon {
    /// Fen.
    pub fee: u32,
    /// Whether the merchant is paid for it.
    #[serde(rename = "type", default)]
    pub kind: CouponKind,
}

/// The two kinds of vouchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CouponKind {
    /// Funded by a recharge (充值): the merchant gets the money.
    #[serde(rename = "CASH")]
    #[default]
    Cash,
    /// Not funded (免充值): the merchant settles less.
    #[serde(rename = "NO_CASH")]
    NoCash,
}

impl Coupon {
    /// The vouchers as far as they fit into `total`.
    pub(super) fn spent(coupons: &[Coupon], total: u32) -> Vec<Coupon> {
        let mut left = total;
        let fitted = coupons.iter().map(|coupon| {
            let fee = coupon.fee.min(left);
            left -= fee;
            Coupon { fee, ..*coupon }
        });
        fitted.filter(|coupon| coupon.fee > 0).collect()
    }
}

/// One order.
#[derive(Debug, Clone)]
pub struct Order {
    /// `out_trade_no`.
    pub number: String,
    /// `transaction_id`.
    pub transaction: String,
    /// Fen.
    pub total: u32,
    /// The request's other fields.
    pub terms: Fields,
    pub(super) code: String,
    /// Who pays.
    pub customer: u32,
    /// The vouchers that it used up.
    pub coupons: Vec<Coupon>,
    /// When the first request for it arrived.
    pub created: Timestamp,
    pub(super) revoke_at: Timestamp,
    /// Where it stands.
    pub state: State,
    pub(super) turn: Option<(Timestamp, Turn)>,
    /// When money was taken.
    pub paid_at: Option<Timestamp>,
    /// When what was taken went back as a whole.
    pub reversed_at: Option<Timestamp>,
    /// In the order of their acceptance.
    pub refunds: Vec<Refund>,
}

impl Order {
    pub(super) fn never_paid(number: &str, now: Timestamp) -> Self {
        Self {
            number: number.to_owned(),
            transaction: String::new(),
            total: 0,
            terms: Fields::new(),
            code: String::new(),
            customer: 0,
            coupons: Vec::new(),
            created: now,
            revoke_at: now,
            state: State::Closed,
            turn: None,
            paid_at: None,
            reversed_at: None,
            refunds: Vec::new(),
        }
    }

    /// `trade_state`.
    pub fn trade_state(&self) -> &'static str {
        match self.state {
            State::NotPay => "NOTPAY",
            State::UserPaying => "USERPAYING",
            State::Paid if self.refunds.iter().any(Refund::counts) => "REFUND",
            State::Paid => "SUCCESS",
            State::PayError => "PAYERROR",
            State::Closed => "CLOSED",
            State::Revoked => "REVOKED",
        }
    }

    /// Fen that vouchers took over.
    pub fn coupon_fee(&self) -> u32 {
        self.coupons.iter().map(|coupon| coupon.fee).sum()
    }

    /// Fen out of the payer's own pocket.
    pub fn cash_fee(&self) -> u32 {
        self.total - self.coupon_fee()
    }

    /// Fen that vouchers took over for which the merchant gets nothing.
    pub fn unfunded(&self) -> u32 {
        self.coupons.iter().filter(|coupon| coupon.kind == CouponKind::NoCash).map(|coupon| coupon.fee).sum()
    }

    /// Fen that ever left the payer's pocket for this order.
    pub fn charged(&self) -> u32 {
        if self.paid_at.is_some() { self.cash_fee() } else { 0 }
    }

    /// Fen that came back into it.
    pub fn returned(&self) -> u32 {
        if self.reversed_at.is_some() {
            self.cash_fee()
        } else {
            self.refunds.iter().filter(|refund| refund.arrived()).map(|refund| refund.cash).sum()
        }
    }

    /// Lets the payer act and the platform revoke, as far as either was due by `now`; the earlier one wins.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for refund in &mut self.refunds {
            refund.settle(now);
        }
        if !matches!(self.state, State::NotPay | State::UserPaying | State::PayError) {
            return;
        }
        if let Some((at, turn)) = self.turn.filter(|(at, _)| *at <= now && *at <= self.revoke_at) {
            self.turn = None;
            match turn {
                Turn::Pays => {
                    self.state = State::Paid;
                    self.paid_at = Some(at);
                    return;
                }
                Turn::Refuses => self.state = State::PayError,
            }
        }
        if self.revoke_at <= now {
            self.state = State::Revoked;
            self.turn = None;
        }
    }

    pub(super) fn reverse(&mut self, now: Timestamp, window: Duration) -> Result<(), Refusal> {
        match self.state {
            State::Closed | State::Revoked => {}
            State::NotPay | State::PayError => self.state = State::Closed,
            State::UserPaying => {
                self.state = State::Revoked;
                self.turn = None;
            }
            State::Paid if now.since(self.created) > window => return Err(refuse_reversal(true)),
            State::Paid if self.refunds.iter().any(Refund::counts) => return Err(refuse_reversal(false)),
            State::Paid => {
                self.state = State::Revoked;
                self.reversed_at = Some(now);
            }
        }
        Ok(())
    }
}
