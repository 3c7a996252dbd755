//! The day's bill as WeChat writes it: byte order mark, CRLF, backticks, amounts in yuan, a summary at the end.

use std::fmt::Write;

use super::order::Order;
use super::refunds::Refund;
use super::wire::Fields;
use super::world::World;
use crate::time::{Day, Timestamp};

const TITLES: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const TITLES_SUCCESS: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,商品名称,商户数据包,手续费,费率,订单金额,费率备注";
const SUMMARY: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";

/// One line: a payment, a reversal or a refund.
struct Line<'a> {
    at: Timestamp,
    order: &'a Order,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Paid,
    Reversed,
    Refunded(&'a Refund),
}

/// The bill of `day`, as far as it has happened by `now`; none if nothing did. `kind` is `bill_type`.
///
/// The real one is made the next morning at nine. This one also has today, so that a test need not wait for a day.
pub(super) fn write(
    world: &mut World,
    now: Timestamp,
    day: Day,
    kind: &str,
    request: &Fields,
) -> Option<String> {
    world.settle_all(now);
    let mut lines: Vec<Line> = world.orders.values().flat_map(lines_of).collect();
    lines.retain(|line| {
        (day.start()..day.end()).contains(&line.at)
            && match line.kind {
                Kind::Paid => matches!(kind, "ALL" | "SUCCESS"),
                Kind::Reversed => matches!(kind, "ALL" | "REVOKED"),
                Kind::Refunded(_) => matches!(kind, "ALL" | "REFUND"),
            }
    });
    if lines.is_empty() {
        return None;
    }
    lines.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.order.number.cmp(&b.order.number)));
    let success = kind == "SUCCESS";
    let mut text = format!("\u{feff}{}", if success { TITLES_SUCCESS } else { TITLES });
    if kind == "REFUND" {
        text.push_str(",退款申请时间,退款成功时间");
    }
    text.push_str("\r\n");
    let mut sums = [0u64; 5];
    for line in &lines {
        let cells = cells(line, kind, request, &mut sums);
        let _ = write!(text, "`{}\r\n", cells.join(",`"));
    }
    let [settled, returned, coupons, ordered, asked] = sums.map(yuan);
    let fees = lines.iter().map(|line| fee_of(line).1).sum::<i64>();
    let _ = write!(
        text,
        "{SUMMARY}\r\n`{},`{settled},`{returned},`{coupons},`{},`{ordered},`{asked}\r\n",
        lines.len(),
        fee_text(fees)
    );
    Some(text)
}

fn lines_of(order: &Order) -> Vec<Line<'_>> {
    let paid = order.paid_at.map(|at| Line { at, order, kind: Kind::Paid });
    let reversed = order.reversed_at.map(|at| Line { at, order, kind: Kind::Reversed });
    let refunds =
        order.refunds.iter().map(|refund| Line { at: refund.accepted, order, kind: Kind::Refunded(refund) });
    paid.into_iter().chain(reversed).chain(refunds).collect()
}

fn cells(line: &Line, kind: &str, request: &Fields, sums: &mut [u64; 5]) -> Vec<String> {
    let order = line.order;
    let term = |name: &str| order.terms.get(name).map(|text| cell(text)).unwrap_or_default();
    let own = |name: &str| request.get(name).cloned().unwrap_or_default();
    let settled = u64::from(order.total - order.unfunded());
    let funded = u64::from(order.coupon_fee() - order.unfunded());
    // state, settled, coupons, refund id, refund number, returned, returned coupons, kind, status, order, asked
    let (state, paid, back) = match line.kind {
        Kind::Paid => ("SUCCESS", (settled, funded, u64::from(order.total)), None),
        Kind::Reversed => {
            let whole =
                (String::new(), String::new(), settled, funded, "", "SUCCESS", u64::from(order.total));
            ("REVOKED", (0, 0, 0), Some(whole))
        }
        Kind::Refunded(refund) => {
            let coupons = refund.coupon_fee() - (refund.fee - refund.settlement);
            let part = (
                refund.id.clone(),
                refund.number.clone(),
                u64::from(refund.settlement),
                u64::from(coupons),
                "ORIGINAL",
                refund.status(),
                u64::from(refund.fee),
            );
            ("REFUND", (0, 0, 0), Some(part))
        }
    };
    let empty = (String::new(), String::new(), 0, 0, "", "", 0);
    let (refund_id, refund_no, returned, coupons_back, channel, status, asked) = back.unwrap_or(empty);
    for (sum, part) in sums.iter_mut().zip([paid.0, returned, coupons_back, paid.2, asked]) {
        *sum += part;
    }
    let (rate, fee) = fee_of(line);
    let mut cells = vec![
        line.at.civil().strftime("%Y-%m-%d %H:%M:%S").to_string(),
        own("appid"),
        own("mch_id"),
        if term("sub_mch_id").is_empty() { "0".to_owned() } else { term("sub_mch_id") },
        term("device_info"),
        order.transaction.clone(),
        order.number.clone(),
        format!("oSim{:0>24}", format!("Payer{}", order.customer)),
        "MICROPAY".to_owned(),
        state.to_owned(),
        "OTHERS".to_owned(),
        "CNY".to_owned(),
        yuan(paid.0),
        yuan(paid.1),
    ];
    if kind != "SUCCESS" {
        let refund =
            [refund_id, refund_no, yuan(returned), yuan(coupons_back), channel.to_owned(), status.to_owned()];
        cells.extend(refund);
    }
    cells.extend([term("body"), term("attach"), fee_text(fee), rate.to_owned(), yuan(paid.2)]);
    if kind != "SUCCESS" {
        cells.push(yuan(asked));
    }
    cells.push(String::new());
    if let ("REFUND", Kind::Refunded(refund)) = (kind, &line.kind) {
        let time = |at: Timestamp| at.civil().strftime("%Y-%m-%d %H:%M:%S").to_string();
        cells.extend([time(refund.accepted), refund.ended.map(time).unwrap_or_default()]);
    }
    cells
}

/// A text that ends neither its cell nor its line. What the real bill makes of such texts is not documented.
fn cell(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || c == '`' { ' ' } else { c }).collect()
}

/// The rate, and the fee in 1/100,000 yuan: 0.60 % of what is settled, taken on payment and given back with the money.
fn fee_of(line: &Line) -> (&'static str, i64) {
    let order = line.order;
    let settled = i64::from(order.total - order.unfunded());
    // 1 fen = 1000 units; 0.6 % of it = 6 units.
    let fee = match line.kind {
        Kind::Paid => settled * 6,
        Kind::Reversed => -settled * 6,
        Kind::Refunded(refund) => -i64::from(refund.settlement) * 6,
    };
    ("0.60%", fee)
}

fn fee_text(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    format!("{sign}{}.{:05}", units.abs() / 100_000, units.abs() % 100_000)
}

fn yuan(fen: u64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// The bill in gzip's form, stored and not compressed: what `tar_type` GZIP is answered with.
pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    // RFC 1952: magic, deflate, no flags, no time, no hints, unknown system.
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = text.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        // RFC 1951 3.2.4: a stored block and whether it is the last; its length and the length's complement.
        bytes.push(u8::from(blocks.peek().is_none()));
        let length = block.len() as u16;
        bytes.extend(length.to_le_bytes());
        bytes.extend((!length).to_le_bytes());
        bytes.extend(block);
    }
    bytes.extend(crc32(text).to_le_bytes());
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_one_of_the_check_value() {
        // The CRC catalogue's check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
