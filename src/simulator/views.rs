//! The books as a person or a test reads them; the control API's JSON and the in-process inspection are the same values.

use std::collections::BTreeMap;

use serde::Serialize;

use super::front::masked;
use super::order::Order;
use super::world::{Which, World};
use crate::time::Timestamp;

/// What one customer is out of pocket for. Amounts are fen; vouchers are nobody's pocket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Purse {
    /// Number of the customer.
    pub customer: u32,
    /// The codes that this customer showed; those that the simulator did not issue are masked.
    pub codes: Vec<String>,
    /// Taken and not given back.
    pub out_of_pocket: u64,
    /// Taken at any time.
    pub charged: u64,
    /// Given back.
    pub returned: u64,
    /// How often money was taken.
    pub charges: u32,
    /// The same for each order that this customer was asked to pay.
    pub orders: Vec<PurseOrder>,
}

/// One order's share of a purse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurseOrder {
    /// The merchant's number.
    pub out_trade_no: String,
    /// As orderquery would say.
    pub trade_state: &'static str,
    /// Fen taken.
    pub charged: u32,
    /// Fen given back.
    pub returned: u32,
}

/// An order as the gateway sees it. Amounts are fen, times RFC 3339 in Beijing time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderView {
    /// The merchant's number.
    pub out_trade_no: String,
    /// WeChat's number.
    pub transaction_id: String,
    /// As orderquery would say.
    pub trade_state: &'static str,
    /// Number of the customer.
    pub customer: u32,
    /// The order's amount.
    pub total_fee: u32,
    /// The payer's own part of it.
    pub cash_fee: u32,
    /// The vouchers' part.
    pub coupon_fee: u32,
    /// Taken from the payer at any time.
    pub charged: u32,
    /// Given back to the payer.
    pub returned: u32,
    /// When the first request arrived.
    pub created_at: String,
    /// When it was paid.
    pub paid_at: Option<String>,
    /// When a paid order was reversed.
    pub reversed_at: Option<String>,
    /// Its refunds.
    pub refunds: Vec<RefundView>,
}

/// A refund as the gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefundView {
    /// The merchant's number.
    pub out_refund_no: String,
    /// WeChat's number.
    pub refund_id: String,
    /// Fen, vouchers included.
    pub refund_fee: u32,
    /// As refundquery would say.
    pub refund_status: &'static str,
}

impl World {
    /// Every purse at `now`, by customer.
    pub fn purses(&mut self, now: Timestamp) -> Vec<Purse> {
        self.settle_all(now);
        let empty = |customer| Purse {
            customer,
            codes: Vec::new(),
            out_of_pocket: 0,
            charged: 0,
            returned: 0,
            charges: 0,
            orders: Vec::new(),
        };
        let mut purses: BTreeMap<u32, Purse> = BTreeMap::new();
        for (code, card) in &self.codes {
            let shown = if card.issued { code.clone() } else { masked(code) };
            purses.entry(card.customer).or_insert_with(|| empty(card.customer)).codes.push(shown);
        }
        for order in self.orders.values().filter(|order| order.customer > 0) {
            let purse = purses.entry(order.customer).or_insert_with(|| empty(order.customer));
            purse.charged += u64::from(order.charged());
            purse.returned += u64::from(order.returned());
            purse.charges += u32::from(order.paid_at.is_some());
            purse.orders.push(PurseOrder {
                out_trade_no: order.number.clone(),
                trade_state: order.trade_state(),
                charged: order.charged(),
                returned: order.returned(),
            });
        }
        let mut purses: Vec<Purse> = purses.into_values().collect();
        for purse in &mut purses {
            purse.out_of_pocket = purse.charged - purse.returned;
            purse.codes.sort();
            purse.orders.sort_by(|a, b| a.out_trade_no.cmp(&b.out_trade_no));
        }
        purses
    }

    /// An order at `now`.
    pub fn order(&mut self, now: Timestamp, number: &str) -> Option<OrderView> {
        self.query(now, &Which::Order(number.to_owned())).ok().map(OrderView::of)
    }

    /// Every order at `now`, by number.
    pub fn orders(&mut self, now: Timestamp) -> Vec<OrderView> {
        self.settle_all(now);
        let mut orders: Vec<OrderView> = self.orders.values().map(OrderView::of).collect();
        orders.sort_by(|a, b| a.out_trade_no.cmp(&b.out_trade_no));
        orders
    }

    pub(super) fn settle_all(&mut self, now: Timestamp) {
        self.catch_up(now);
        for order in self.orders.values_mut() {
            order.settle(now);
        }
    }
}

impl OrderView {
    fn of(order: &Order) -> Self {
        Self {
            out_trade_no: order.number.clone(),
            transaction_id: order.transaction.clone(),
            trade_state: order.trade_state(),
            customer: order.customer,
            total_fee: order.total,
            cash_fee: order.cash_fee(),
            coupon_fee: order.coupon_fee(),
            charged: order.charged(),
            returned: order.returned(),
            created_at: order.created.rfc3339(),
            paid_at: order.paid_at.map(Timestamp::rfc3339),
            reversed_at: order.reversed_at.map(Timestamp::rfc3339),
            refunds: order
                .refunds
                .iter()
                .map(|refund| RefundView {
                    out_refund_no: refund.number.clone(),
                    refund_id: refund.id.clone(),
                    refund_fee: refund.fee,
                    refund_status: refund.status(),
                })
                .collect(),
        }
    }
}
