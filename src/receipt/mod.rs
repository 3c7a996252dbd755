//! What is on the paper, as a value. Its layout in columns is here; bytes are the printer's business.

use crate::ids::{OrderNumber, TerminalId};
use crate::money::Amount;
use crate::time::Timestamp;

pub mod bitmap;
pub mod code128;
mod layout;
pub mod raster;
pub mod template;
pub mod text;

pub use bitmap::Bitmap;
pub use layout::{COLUMNS_MAX, COLUMNS_MIN, Line, layout, to_text};
pub use raster::to_png;
pub use template::Template;

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

/// The paper that receipts are laid out for: what a preview must know to show what the printer will print.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paper {
    /// Characters of half width in a line.
    pub columns: usize,
    /// Dots in a line, at least twelve a column.
    pub dots: usize,
    /// What the shop wants on its receipts.
    pub template: Template,
}

impl Paper {
    /// 58 mm paper, 203 dots an inch, and the built-in template.
    pub fn narrow() -> Self {
        Self { columns: 32, dots: 384, template: Template::default() }
    }

    /// `receipt` as the paper shows it, as text.
    pub fn text(&self, receipt: &Receipt) -> String {
        to_text(&layout(receipt, self.columns, &self.template), self.columns)
    }

    /// `receipt` as the paper shows it, as a PNG picture, one bit a dot.
    pub fn png(&self, receipt: &Receipt) -> Vec<u8> {
        to_png(&layout(receipt, self.columns, &self.template), self.columns, self.dots)
    }
}
