//! What is on the paper, as a value. Its layout in columns is here; bytes are the printer's business.

use crate::ids::{OrderNumber, TerminalId};
use crate::money::Amount;
use crate::time::Timestamp;

/// A receipt of a paid sale.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The shop.
    pub store_name: String,
    /// The terminal.
    pub terminal: TerminalId,
    /// The paid attempt's order number.
    pub order: OrderNumber,
    /// The gateway's number.
    pub gateway_txn: String,
    /// The wallet: `wechat`.
    pub gateway: String,
    /// What the payer was shown.
    pub subject: String,
    /// The shop's reference.
    pub reference: Option<String>,
    /// The price.
    pub amount: Amount,
    /// What coupons gave, fen.
    pub coupon: u32,
    /// What the payer's own purse gave, fen.
    pub payer_paid: u32,
    /// When it was paid, by the gateway's clock.
    pub paid_at: Timestamp,
    /// Whether another of its kind exists or may exist.
    pub copy: Copy,
    /// Play money: printed large, so that no one takes it for a receipt.
    pub sandbox: bool,
}

/// Whether another receipt of the same sale exists or may exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copy {
    /// The first and only one.
    Original,
    /// One may have come out before; nobody knows.
    MaybeSecond,
    /// Asked for again; the number of this copy, from 2.
    Reprint(u32),
}
