//! A receipt becomes lines of columns: total for every receipt, every template and every width.

use super::bitmap::Bitmap;
use super::template::{Code, Field, Language, Template};
use super::text::{clean, columns, wrap};
use super::{Copy, Receipt, code128};

/// The narrowest paper that is laid out for; narrower is treated as this.
pub const COLUMNS_MIN: usize = 20;
/// The widest.
pub const COLUMNS_MAX: usize = 80;

/// Dots of a half-width character at the usual 203 dots an inch (Font A, 12×24).
pub(super) const COLUMN_DOTS: usize = 12;
/// The narrowest bar of a bar code in dots: what every printer can print and every scanner can read.
pub const BAR_DOTS: usize = 2;

/// A line of the paper. Text is clean and not wider than the paper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// Text; may be empty.
    Text(String),
    /// Text of twice the height and width: at most half the columns.
    Large(String),
    /// A picture of its own.
    Picture(Bitmap),
    /// This text as Code 128, in the middle.
    Barcode(String),
    /// This text as a QR code, in the middle.
    Qr(String),
}

/// Lays `receipt` out on paper of `paper_columns` (20–80) half-width characters.
pub fn layout(receipt: &Receipt, paper_columns: usize, template: &Template) -> Vec<Line> {
    let mut sheet = Sheet {
        lines: Vec::new(),
        columns: paper_columns.clamp(COLUMNS_MIN, COLUMNS_MAX),
        language: template.language,
    };
    sheet.marks(receipt);
    if let Some(logo) = &template.logo
        && logo.width() <= sheet.columns * COLUMN_DOTS
    {
        sheet.lines.push(Line::Picture(logo.clone()));
    }
    for field in &template.fields {
        sheet.field(*field, receipt, template);
    }
    // Marks stand at both ends: a paper that lost its head is still not taken for an original.
    sheet.marks(receipt);
    sheet.lines
}

/// The lines as text, for a screen: large ones as plain ones, codes in brackets. Every line is at most
/// `paper_columns` wide, but those with codes.
pub fn to_text(lines: &[Line], paper_columns: usize) -> String {
    let half = paper_columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
    let mut text = String::new();
    for line in lines {
        match line {
            Line::Text(line) => text.push_str(line),
            Line::Large(line) => text.push_str(&centred(line.trim_start(), half)),
            Line::Picture(_) => text.push_str("[LOGO]"),
            Line::Barcode(code) => text.push_str(&format!("[CODE 128: {code}]")),
            Line::Qr(code) => text.push_str(&format!("[QR: {code}]")),
        }
        text.push('\n');
    }
    text
}

fn centred(text: &str, width: usize) -> String {
    let margin = width.saturating_sub(columns(text)) / 2;
    format!("{}{text}", " ".repeat(margin))
}

fn yuan(fen: u32) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

struct Sheet {
    lines: Vec<Line>,
    columns: usize,
    language: Language,
}

impl Sheet {
    fn words(&self, zh: &str, en: &str) -> String {
        match self.language {
            Language::Zh => zh.to_owned(),
            Language::En => en.to_owned(),
            Language::Both => format!("{zh} {en}"),
        }
    }

    fn large(&mut self, text: &str) {
        let half = self.columns / 2;
        for line in wrap(&clean(text), half) {
            self.lines.push(Line::Large(centred(&line, half)));
        }
    }

    fn middle(&mut self, text: &str) {
        for line in wrap(&clean(text), self.columns) {
            self.lines.push(Line::Text(centred(&line, self.columns)));
        }
    }

    /// The label on the left, the value on the right; below the label where both do not fit.
    fn pair(&mut self, zh: &str, en: &str, value: &str) {
        let (label, value) = (self.words(zh, en), clean(value));
        let value = value.trim();
        let used = columns(&label) + columns(value);
        if used < self.columns {
            self.lines.push(Line::Text(format!("{label}{}{value}", " ".repeat(self.columns - used))));
            return;
        }
        for line in wrap(&label, self.columns) {
            self.lines.push(Line::Text(line));
        }
        for line in wrap(value, self.columns - 2) {
            self.lines.push(Line::Text(format!("  {line}")));
        }
    }

    /// Both languages always: whoever holds the paper must understand it.
    fn marks(&mut self, receipt: &Receipt) {
        if receipt.sandbox {
            self.mark("【测试】", "NOT A RECEIPT");
        }
        match receipt.copy {
            Copy::Original => {}
            Copy::MaybeSecond => self.mark("【可能重复】", "MAY BE A SECOND RECEIPT"),
            Copy::Reprint(number) => self.mark("【补打】", &format!("COPY {number}")),
        }
    }

    /// Large, in one line where it fits; no word of it is broken.
    fn mark(&mut self, zh: &str, en: &str) {
        let both = format!("{zh} {en}");
        if columns(&both) <= self.columns / 2 {
            return self.large(&both);
        }
        for part in [zh, en] {
            if columns(part) <= self.columns / 2 || part.contains(' ') {
                self.large(part);
            } else {
                self.middle(part);
            }
        }
    }

    fn field(&mut self, field: Field, receipt: &Receipt, template: &Template) {
        match field {
            Field::Store => self.large(&receipt.store_name),
            Field::Header => template.header.iter().for_each(|line| self.middle(line)),
            Field::Footer => template.footer.iter().for_each(|line| self.middle(line)),
            Field::Title => {
                let (zh, en) = match receipt.gateway.as_str() {
                    "wechat" => ("微信支付收款凭证", "WeChat Pay Receipt"),
                    _ => ("收款凭证", "Payment Receipt"),
                };
                let title = self.words(zh, en);
                if self.language == Language::Both && columns(&title) > self.columns {
                    self.middle(zh);
                    self.middle(en);
                } else {
                    self.middle(&title);
                }
            }
            Field::Rule => self.lines.push(Line::Text("-".repeat(self.columns))),
            Field::Terminal => self.pair("终端", "Terminal", receipt.terminal.as_str()),
            Field::Time => {
                let time = receipt.paid_at.civil().strftime("%Y-%m-%d %H:%M:%S").to_string();
                self.pair("时间", "Time", &time);
            }
            Field::Subject => self.pair("商品", "Item", &receipt.subject),
            Field::Reference => {
                if let Some(reference) = &receipt.reference {
                    self.pair("单据号", "Reference", reference);
                }
            }
            Field::Amount => {
                let label = self.words("金额", "Amount");
                self.lines.push(Line::Text(label));
                let amount = format!("￥{}", receipt.amount);
                if columns(&amount) <= self.columns / 2 {
                    self.large(&amount);
                } else {
                    self.middle(&amount);
                }
            }
            Field::Coupon => {
                if receipt.coupon > 0 {
                    self.pair("优惠", "Discount", &format!("-￥{}", yuan(receipt.coupon)));
                }
                if receipt.coupon > 0 || receipt.payer_paid != receipt.amount.fen() {
                    self.pair("实付", "Paid", &format!("￥{}", yuan(receipt.payer_paid)));
                }
            }
            Field::Wallet => match receipt.gateway.as_str() {
                "wechat" => {
                    let name = self.words("微信支付", "WeChat Pay");
                    self.pair("支付方式", "By", &name);
                }
                other => self.pair("支付方式", "By", other),
            },
            Field::Order => self.pair("订单号", "Order no.", receipt.order.as_str()),
            Field::GatewayNumber => match receipt.gateway.as_str() {
                "wechat" => self.pair("微信支付单号", "WeChat Pay no.", &receipt.gateway_txn),
                _ => self.pair("支付单号", "Gateway no.", &receipt.gateway_txn),
            },
            Field::Code => self.code(receipt.order.as_str(), template.code),
        }
    }

    fn code(&mut self, order: &str, code: Code) {
        let fits = code128::symbols(order)
            .is_some_and(|row| code128::modules(&row) * BAR_DOTS <= self.columns * COLUMN_DOTS);
        match code {
            Code::Auto | Code::Barcode if fits => self.lines.push(Line::Barcode(order.to_owned())),
            Code::Auto | Code::Qr => self.lines.push(Line::Qr(order.to_owned())),
            Code::Barcode | Code::None => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::money::Amount;
    use crate::time::Timestamp;
    use proptest::prelude::*;

    pub fn receipt() -> Receipt {
        Receipt {
            store_name: "朝阳门店".to_owned(),
            terminal: "T01".parse().unwrap(),
            order: "T0126112100004200000101".parse().unwrap(),
            gateway_txn: "4200001234202611211234567890".to_owned(),
            gateway: "wechat".to_owned(),
            subject: "朝阳门店-消费".to_owned(),
            reference: Some("POS-4711".to_owned()),
            amount: Amount::from_fen(1250).unwrap(),
            coupon: 100,
            payer_paid: 1150,
            paid_at: Timestamp::from_wechat("20261121193841").unwrap(),
            copy: Copy::Original,
            sandbox: false,
        }
    }

    #[test]
    fn a_receipt_on_narrow_paper() {
        let lines = layout(&receipt(), 32, &Template::default());
        assert_eq!(
            to_text(&lines, 32),
            "            朝阳门店
        微信支付收款凭证
       WeChat Pay Receipt
--------------------------------
终端 Terminal                T01
时间 Time    2026-11-21 19:38:41
商品 Item          朝阳门店-消费
单据号 Reference        POS-4711
支付方式 By  微信支付 WeChat Pay
--------------------------------
金额 Amount
            ￥12.50
优惠 Discount            -￥1.00
实付 Paid                ￥11.50
--------------------------------
订单号 Order no.
  T0126112100004200000101
微信支付单号 WeChat Pay no.
  4200001234202611211234567890
[CODE 128: T0126112100004200000101]
       谢谢惠顾 Thank you
"
        );
    }

    #[test]
    fn a_code_that_is_too_wide_for_bars_becomes_qr() {
        let mut receipt = receipt();
        receipt.order = "T01261121000042ABCDEF01".parse().unwrap();
        assert!(layout(&receipt, 32, &Template::default()).contains(&Line::Qr(receipt.order.to_string())));
        assert!(
            layout(&receipt, 48, &Template::default()).contains(&Line::Barcode(receipt.order.to_string()))
        );
        let bars = Template { code: Code::Barcode, ..Template::default() };
        assert!(!layout(&receipt, 32, &bars).iter().any(|l| matches!(l, Line::Barcode(_) | Line::Qr(_))));
    }

    #[test]
    fn marks_stand_at_both_ends_in_both_languages_whatever_the_template() {
        let mut receipt = receipt();
        receipt.sandbox = true;
        let bare = Template { fields: Vec::new(), language: Language::En, ..Template::default() };
        for (copy, zh, en) in
            [(Copy::MaybeSecond, "【可能重复】", "MAY BE A"), (Copy::Reprint(2), "【补打】", "COPY 2")]
        {
            receipt.copy = copy;
            for columns in [20, 32, 42, 48, 64] {
                let text = to_text(&layout(&receipt, columns, &bare), columns);
                for mark in [zh, en, "【测试】", "NOT A"] {
                    assert_eq!(text.matches(mark).count(), 2, "{mark} in {text}");
                }
            }
        }
    }

    fn any_receipt() -> impl Strategy<Value = Receipt> {
        let text = || "\\PC{0,40}|.{0,60}|[一-龥]{0,60}|[a-zA-Z0-9 ]{0,80}";
        (
            text(),
            text(),
            text(),
            proptest::option::of(text()),
            1u32..,
            any::<u32>(),
            any::<u32>(),
            any::<i64>(),
            0u32..4,
        )
            .prop_map(
                |(store_name, gateway_txn, subject, reference, fen, coupon, payer_paid, ms, copy)| Receipt {
                    store_name,
                    gateway: if copy == 3 { subject.clone() } else { "wechat".to_owned() },
                    gateway_txn,
                    subject,
                    reference,
                    amount: Amount::from_fen(fen).unwrap(),
                    coupon,
                    payer_paid,
                    paid_at: Timestamp(ms),
                    copy: [Copy::Original, Copy::MaybeSecond, Copy::Reprint(2), Copy::Reprint(fen)]
                        [copy as usize],
                    sandbox: coupon % 2 == 0,
                    ..receipt()
                },
            )
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_paper(receipt in any_receipt(), columns in 0usize..100, header in "\\PC{0,80}") {
            let template = Template { header: vec![header], ..Template::default() };
            let paper = columns.clamp(COLUMNS_MIN, COLUMNS_MAX);
            for line in layout(&receipt, columns, &template) {
                let (text, width) = match &line {
                    Line::Text(text) => (text, paper),
                    Line::Large(text) => (text, paper / 2),
                    Line::Picture(_) | Line::Barcode(_) | Line::Qr(_) => continue,
                };
                let (bytes, _, unmappable) = encoding_rs::GB18030.encode(text);
                prop_assert!(!unmappable && bytes.len() <= width, "{text:?} in {width}");
                prop_assert!(bytes.iter().all(|b| *b >= 0x20 && *b != 0x7F), "{text:?}");
            }
        }

        #[test]
        fn nothing_of_a_text_is_lost_by_wrapping(text in "[一-龥a-z ]{0,80}", width in 4usize..50) {
            let squeeze = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&wrap(&text, width).concat()), squeeze(&text));
        }
    }
}
