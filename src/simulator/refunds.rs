//! Refunds in the gateway's books: accepted at once, credited later.

use super::order::{Order, State};
use super::wire::Fields;
use super::world::{Refusal, Which, World};
use crate::time::Timestamp;

/// Partial refunds of one order (API page of refund).
const MOST: usize = 50;

const OVERDUE: Refusal = Refusal::new("TRADE_OVERDUE", "订单已经超过退款期限");
const UNPAID: Refusal = Refusal::new("ERROR", "订单未支付");
const REVERSED: Refusal = Refusal::new("ERROR", "订单已撤销");
const TOO_MUCH: Refusal = Refusal::new("ERROR", "累计退款金额大于支付金额");
const ALL_BACK: Refusal = Refusal::new("ERROR", "订单已全额退款");
const TOO_MANY: Refusal = Refusal::new("ERROR", "退款次数超过上限");
const OTHER_TOTAL: Refusal = Refusal::new("PARAM_ERROR", "订单金额或退款金额与之前请求不一致，请核实后再试");
const OTHER_TERMS: Refusal = Refusal::new("INVALID_REQUEST", "201 商户退款单号重复");
const NO_REFUND: Refusal = Refusal::new("REFUNDNOTEXIST", "退款订单查询失败");

/// A request to refund, as the gateway understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundAsk {
    /// The order.
    pub which: Which,
    /// `out_refund_no`.
    pub number: String,
    /// The order's amount in fen, as the merchant believes it to be.
    pub total: u32,
    /// Fen to give back.
    pub fee: u32,
    /// The other fields.
    pub terms: Fields,
}

/// How an accepted refund ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Credited.
    Success,
    /// Closed: the money stays with the merchant.
    Close,
    /// The payer's card is gone: someone must hand it over by other means.
    Change,
}

/// How a request names refunds, in the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichRefund {
    /// One, by WeChat's number.
    Id(String),
    /// One, by the merchant's.
    Number(String),
    /// All of an order.
    Order(Which),
}

/// One refund.
#[derive(Debug, Clone)]
pub struct Refund {
    /// `out_refund_no`.
    pub number: String,
    /// `refund_id`.
    pub id: String,
    /// Fen, vouchers included.
    pub fee: u32,
    /// Fen for the payer's pocket.
    pub cash: u32,
    /// Vouchers that are given back: their place in the order's list, and fen.
    pub coupons: Vec<(usize, u32)>,
    /// Fen that the merchant pays for it.
    pub settlement: u32,
    /// When it was accepted.
    pub accepted: Timestamp,
    due: Timestamp,
    fate: Fate,
    /// When it came to its end.
    pub ended: Option<Timestamp>,
    terms: Fields,
}

impl Refund {
    /// `refund_status`.
    pub fn status(&self) -> &'static str {
        match (self.ended, self.fate) {
            (None, _) => "PROCESSING",
            (Some(_), Fate::Success) => "SUCCESS",
            (Some(_), Fate::Close) => "REFUNDCLOSE",
            (Some(_), Fate::Change) => "CHANGE",
        }
    }

    pub(super) fn arrived(&self) -> bool {
        self.ended.is_some() && self.fate == Fate::Success
    }

    /// Whether it uses up the order's amount: a closed one does not.
    pub(super) fn counts(&self) -> bool {
        self.ended.is_none() || self.fate != Fate::Close
    }

    pub(super) fn settle(&mut self, now: Timestamp) {
        if self.ended.is_none() && self.due <= now {
            self.ended = Some(self.due);
        }
    }

    /// Fen of vouchers.
    pub fn coupon_fee(&self) -> u32 {
        self.coupons.iter().map(|(_, fee)| fee).sum()
    }
}

impl World {
    /// Accepts a refund and gives its place in the order's list. The same number with the same terms is the same refund.
    pub fn refund(
        &mut self,
        now: Timestamp,
        ask: &RefundAsk,
        fate: Fate,
    ) -> Result<(&Order, usize), Refusal> {
        self.catch_up(now);
        self.refund_now(now, ask, fate)
    }

    pub(super) fn refund_now(
        &mut self,
        now: Timestamp,
        ask: &RefundAsk,
        fate: Fate,
    ) -> Result<(&Order, usize), Refusal> {
        let takes = self.rules.refund_takes;
        let window = self.rules.refund_window;
        let day: String = now.day().to_string().chars().filter(char::is_ascii_digit).collect();
        let id = format!("5000{}{day}{}", self.dice.digits(6), self.dice.digits(11));
        let elsewhere = self.by_refund.get(&ask.number).cloned();
        let order = self.settled(now, &ask.which)?;
        let number = order.number.clone();
        if let Some(known) = order.refunds.iter().position(|refund| refund.number == ask.number) {
            let same = order.refunds[known].fee == ask.fee
                && order.total == ask.total
                && order.refunds[known].terms == ask.terms;
            return if same { Ok((&self.orders[&number], known)) } else { Err(OTHER_TERMS) };
        }
        let spent =
            |part: fn(&Refund) -> u32| order.refunds.iter().filter(|r| r.counts()).map(part).sum::<u32>();
        match order.state {
            _ if elsewhere.is_some() => return Err(OTHER_TERMS),
            State::Revoked | State::Closed => return Err(REVERSED),
            State::NotPay | State::UserPaying | State::PayError => return Err(UNPAID),
            State::Paid if order.total != ask.total => return Err(OTHER_TOTAL),
            State::Paid if now.since(order.created) > window => return Err(OVERDUE),
            State::Paid if spent(|r| r.fee) == order.total => return Err(ALL_BACK),
            State::Paid if ask.fee > order.total - spent(|r| r.fee) => return Err(TOO_MUCH),
            State::Paid if order.refunds.len() >= MOST => return Err(TOO_MANY),
            State::Paid => {}
        }
        // The payer's own money goes back first, then the vouchers in their order.
        let cash = ask.fee.min(order.cash_fee() - spent(|r| r.cash));
        let mut left = ask.fee - cash;
        let mut coupons = Vec::new();
        let mut unfunded = 0;
        for (place, coupon) in order.coupons.iter().enumerate() {
            let counted = order.refunds.iter().filter(|r| r.counts());
            let given: u32 =
                counted.flat_map(|r| &r.coupons).filter(|(at, _)| *at == place).map(|(_, fee)| fee).sum();
            let part = left.min(coupon.fee - given);
            if part > 0 {
                left -= part;
                coupons.push((place, part));
                unfunded += if coupon.kind == super::order::CouponKind::NoCash { part } else { 0 };
            }
        }
        order.refunds.push(Refund {
            number: ask.number.clone(),
            id: id.clone(),
            fee: ask.fee,
            cash,
            coupons,
            settlement: ask.fee - unfunded,
            accepted: now,
            due: now + takes,
            fate,
            ended: None,
            terms: ask.terms.clone(),
        });
        let place = order.refunds.len() - 1;
        self.by_refund.insert(ask.number.clone(), number.clone());
        self.by_refund.insert(id, number.clone());
        Ok((&self.orders[&number], place))
    }

    /// The order that the refunds belong to, and the places of those that are meant.
    pub fn refunds(&mut self, now: Timestamp, which: &WhichRefund) -> Result<(&Order, Vec<usize>), Refusal> {
        self.catch_up(now);
        let order = match which {
            WhichRefund::Order(which) => which.clone(),
            WhichRefund::Id(name) | WhichRefund::Number(name) => {
                Which::Order(self.by_refund.get(name).cloned().ok_or(NO_REFUND)?)
            }
        };
        let order = self.settled(now, &order).map_err(|_| NO_REFUND)?;
        let meant = |refund: &Refund| match which {
            WhichRefund::Order(_) => true,
            WhichRefund::Id(id) => refund.id == *id,
            WhichRefund::Number(number) => refund.number == *number,
        };
        let places: Vec<usize> =
            (0..order.refunds.len()).filter(|&place| meant(&order.refunds[place])).collect();
        if places.is_empty() { Err(NO_REFUND) } else { Ok((order, places)) }
    }
}
