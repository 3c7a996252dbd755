//! Bills of both formats, every kind of damage, every way of being cut into pieces.

use super::*;
use crate::reconcile::{Kind, RefundState};

/// The layout of today: 27 columns (page on downloadbill, read 2026-11).
const NEW: &str = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注";
const NEW_SUMS: &str =
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额";
/// The layout until 2018: 24 columns.
const OLD: &str = "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,总金额,代金券或立减优惠金额,微信退款单号,商户退款单号,退款金额,代金券或立减优惠退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率";
const OLD_SUMS: &str = "总交易单数,总交易额,总退款金额,总代金券或立减优惠退款金额,手续费总金额";

const PAID: &str = "`2026-11-21 19:38:41,`wx8888888888888888,`1900000109,`0,`T01,`4200001,`T0126112100000100000101,`oX,`MICROPAY,`SUCCESS,`OTHERS,`CNY,`45.0,`2.00,`,`,`0.00,`0.00,`,`,`茶, 两杯,`,`0.27000,`0.60%,`47.50,`0.00,`";
const REVOKED: &str = "`2026-11-21 19:40:00,`wx8888888888888888,`1900000109,`0,`T01,`4200002,`T0126112100000200000101,`oX,`MICROPAY,`REVOKED,`OTHERS,`CNY,`0.00,`0.00,`0,`0,`5,`0.00,`,`SUCCESS,`茶,`,`-0.03000,`0.60%,`0.00,`5.0,`";
const REFUND: &str = "`2026-11-21 20:00:00,`wx8888888888888888,`1900000109,`0,`T01,`4200001,`T0126112100000100000101,`oX,`MICROPAY,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`5030001,`T01261121000001000001R01ABC,`10.00,`0.00,`ORIGINAL,`PROCESSING,`茶,`,`-0.06000,`0.60%,`0.00,`12.34,`";

fn bill(rows: &[&str], sums: &str) -> String {
    let lines: String = rows.iter().map(|row| format!("{row}\r\n")).collect();
    format!("\u{feff}{NEW}\r\n{lines}{NEW_SUMS}\r\n{sums}\r\n")
}

fn usual() -> String {
    bill(&[PAID, REVOKED, REFUND], "`3,`45.0,`15.0,`0.0,`0.18000,`47.5,`17.34")
}

/// Reads a bill in pieces of this size: the rows, and what it says at the end.
fn read_in(bytes: &[u8], size: usize) -> (Vec<Row>, Result<Whole, BadBill>) {
    let (mut rows, mut bill) = (Vec::new(), Bill::new());
    for piece in bytes.chunks(size.max(1)) {
        if let Err(bad) = bill.push(piece, &mut |row| rows.push(row)) {
            assert_eq!(bill.push(b"x", &mut |_| panic!("a row after the end")), Err(bad.clone()));
            return (rows, Err(bad));
        }
        assert!(bill.held() <= LONGEST_LINE);
    }
    let done = bill.finish(&mut |row| rows.push(row));
    (rows, done)
}

fn read(text: &str) -> (Vec<Row>, Result<Whole, BadBill>) {
    read_in(text.as_bytes(), usize::MAX)
}

fn refused(text: &str) -> String {
    read(text).1.expect_err(text).to_string()
}

#[test]
fn a_bill_of_today_is_read() {
    let (rows, done) = read(&usual());
    assert_eq!(done, Ok(Whole { rows: 3, ordered: 4750 }));
    assert_eq!(rows[0].kind, Kind::Paid { amount: 4750, coupon: 450 }, "2.00, and 2.50 that are not settled");
    assert_eq!(rows[0].at.rfc3339(), "2026-11-21T19:38:41.000+08:00");
    assert_eq!(
        (rows[0].order.as_str(), rows[0].gateway_txn.as_str()),
        ("T0126112100000100000101", "4200001")
    );
    assert_eq!(rows[1].kind, Kind::Reversed { amount: 500 });
    let (number, id) = ("T01261121000001000001R01ABC".to_owned(), "5030001".to_owned());
    assert_eq!(rows[2].kind, Kind::Refund { number, id, amount: 1234, state: RefundState::Processing });
}

#[test]
fn a_bill_of_2018_is_read_by_the_names_of_its_columns() {
    let row = "`2018-02-03 04:05:06,`wx1,`10000100,`0,`1000,`1001,`1415640626,`o,`MICROPAY,`SUCCESS,`OTHERS,`CNY,`0.01,`0.0,`0,`0,`0,`0,`,`,`被扫支付测试,`订单额外描述,`0,`0.60%";
    let back = "`2018-02-03 04:05:07,`wx1,`10000100,`0,`1000,`1001,`1415640626,`o,`MICROPAY,`REFUND,`OTHERS,`CNY,`0,`0.0,`2001,`R1,`0.01,`0,`ORIGINAL,`SUCCESS,`被扫支付测试,`,`0,`0.60%";
    // Without a byte order mark, without carriage returns, without an end of the last line.
    let (rows, done) = read(&format!("{OLD}\n{row}\n{back}\n{OLD_SUMS}\n`2,`0.01,`0.01,`0.0,`0"));
    assert_eq!(done, Ok(Whole { rows: 2, ordered: 1 }));
    assert_eq!(rows[0].kind, Kind::Paid { amount: 1, coupon: 0 });
    let (number, id) = ("R1".to_owned(), "2001".to_owned());
    assert_eq!(rows[1].kind, Kind::Refund { number, id, amount: 1, state: RefundState::Done });
}

#[test]
fn a_bill_of_successes_has_no_columns_for_refunds() {
    let titles = "交易时间,微信订单号,商户订单号,交易状态,应结订单金额,代金券金额,订单金额";
    let text = format!(
        "{titles}\n`2026-11-21 19:38:41,`42,`T01,`SUCCESS,`1,`0.5,`1.00\n{NEW_SUMS}\n`1,`1,`0,`0,`0,`1,`0\n"
    );
    assert_eq!(read(&text).0[0].kind, Kind::Paid { amount: 100, coupon: 50 });
    assert!(read(&text).1.is_ok());
}

#[test]
fn a_state_that_nobody_knows_is_handed_on_as_it_is() {
    let text = bill(&[&PAID.replace("SUCCESS", "MAGIC")], "`1,`45,`0,`0,`0,`47.5,`0");
    assert_eq!(read(&text).0[0].kind, Kind::Other { state: "MAGIC".to_owned(), amount: 4750 });
    let text = usual().replace("PROCESSING", "MAGIC");
    assert!(matches!(read(&text).0[2].kind, Kind::Refund { state: RefundState::Unclear, .. }));
}

#[test]
fn however_it_is_cut_into_pieces_the_same_is_read() {
    let odd = bill(&[PAID, "no backtick"], "`2,`45,`0,`0,`0,`47.5,`0");
    let failure = "<xml><return_code>FAIL</return_code><return_msg>x</return_msg></xml>";
    for text in [usual(), odd, failure.to_owned(), "\u{feff}".to_owned()] {
        let whole = read(&text);
        for size in 1..=text.len().min(80) {
            assert_eq!(read_in(text.as_bytes(), size), whole, "in pieces of {size}");
        }
        for split in 0..=text.len() {
            let (one, two) = text.as_bytes().split_at(split);
            let (mut rows, mut bill) = (Vec::new(), Bill::new());
            let done = bill
                .push(one, &mut |row| rows.push(row))
                .and_then(|()| bill.push(two, &mut |row| rows.push(row)))
                .and_then(|()| bill.finish(&mut |row| rows.push(row)));
            assert_eq!((rows, done), whole, "split at {split}");
        }
    }
}

#[test]
fn a_shortened_bill_is_never_a_shorter_bill() {
    let text = usual();
    let (all, _) = read(&text);
    let mut whole = 0;
    for end in 0..text.len() {
        let (rows, done) = read_in(&text.as_bytes()[..end], usize::MAX);
        if done.is_ok() {
            assert_eq!(rows, all, "cut at {end}");
            whole += 1;
        }
    }
    // Only without its last line's end.
    assert_eq!(whole, 2);
}

#[test]
fn a_bill_without_one_of_its_lines_or_with_one_twice_is_refused() {
    let text = usual();
    let lines: Vec<&str> = text.split_inclusive("\r\n").collect();
    for left_out in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(left_out);
        assert!(read(&fewer.concat()).1.is_err(), "without line {}", left_out + 1);
        let mut more = lines.clone();
        more.insert(left_out, lines[left_out]);
        assert!(read(&more.concat()).1.is_err(), "line {} twice", left_out + 1);
    }
}

#[test]
fn sums_that_are_not_those_of_the_lines_are_named() {
    let rows = [PAID, REVOKED, REFUND];
    for (sums, named) in [
        ("`4,`45.0,`15.0,`0.0,`0,`47.5,`17.34", "总交易单数 is 4, but its lines come to 3"),
        ("`3,`45.1,`15.0,`0.0,`0,`47.5,`17.34", "应结订单总金额 is 45.1, but its lines come to 45.00"),
        ("`3,`45.0,`15.01,`0.0,`0,`47.5,`17.34", "退款总金额 is 15.01"),
        ("`3,`45.0,`15.0,`1,`0,`47.5,`17.34", "充值券退款总金额 is 1,"),
        ("`3,`45.0,`15.0,`0.0,`0,`4750,`17.34", "订单总金额 is 4750"),
        ("`3,`45.0,`15.0,`0.0,`0,`47.5,`17.35", "申请退款总金额 is 17.35"),
        ("`03x,`45.0,`15.0,`0.0,`0,`47.5,`17.34", "总交易单数 is 03x"),
        ("`3,`45.0,`15.0,`0.0,`many,`47.5,`17.34", "line 6 of the bill is not usable: \"many\""),
        ("`3,`45.0,`15.0,`0.0,`0,`47.5", "line 6 of the bill is not usable: it has 6 values, expected 7"),
        ("3,45.0,15.0,0.0,0,47.5,17.34", "no backtick"),
    ] {
        let said = refused(&bill(&rows, sums));
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn bad_amounts_are_refused_with_their_line() {
    for amount in [
        "-47.50",
        "+47.5",
        "47,50",
        "47.505",
        "1e3",
        " 47.5",
        "47.",
        ".5",
        "４７",
        "∞",
        "184467440737095517",
        "0x1",
    ] {
        let said = refused(&bill(&[&PAID.replace("47.50", amount)], "`1,`45,`0,`0,`0,`47.5,`0"));
        assert!(said.starts_with("line 2 of the bill is not usable: "), "{amount}: {said}");
    }
    // As much as fits, twice, is more than fits.
    let huge = PAID.replace("47.50", "184467440737095516.15");
    assert!(refused(&bill(&[&huge, &huge], "`2,`90,`0,`0,`0,`0,`0")).contains("more than can be"));
    let unsettled = PAID.replace("45.0", "48");
    assert!(refused(&bill(&[&unsettled], "`1,`48,`0,`0,`0,`47.5,`0")).contains("more is to be settled"));
}

#[test]
fn absurd_lines_are_refused() {
    let sums = "`1,`45,`0,`0,`0,`47.5,`0";
    for (row, named) in [
        (PAID.replacen('`', "", 1), "expected a line that begins with a backtick"),
        (PAID.replacen(",`", ",", 1), "it has 26 values, expected 27"),
        (format!("{PAID},`"), "it has 28 values, expected 27"),
        (String::new(), "expected a line that begins with a backtick"),
        (PAID.replace("19:38:41", "25:38:41"), "is not a time"),
        (PAID.replace("2026-11-21 19:38:41", "20261121193841"), "is not a time"),
        (PAID.replace("茶", &"茶".repeat(LONGEST_LINE / 3)), "longer than 65536 bytes"),
    ] {
        let said = refused(&bill(&[&row], sums));
        assert!(said.starts_with("line 2 of the bill is not usable: ") && said.contains(named), "{said}");
    }
    let mut bytes = bill(&[PAID], sums).into_bytes();
    let place = bytes.windows(3).rposition(|three| three == "茶".as_bytes()).unwrap();
    bytes[place] = 0xff;
    assert!(read_in(&bytes, 7).1.unwrap_err().to_string().contains("it is not UTF-8"));
    assert!(refused(&format!("{}x\r\n", usual())).contains("something stands after the sums"));
    assert_eq!(
        read(&format!("{}\r\n\r\n", usual())).1.map(|whole| whole.rows),
        Ok(3),
        "blank lines do no harm"
    );
}

#[test]
fn what_is_no_bill_is_said_in_words() {
    assert_eq!(
        read("\u{1f}").1.unwrap_err(),
        BadBill::NotABill("its first line has no column 交易时间".to_owned())
    );
    assert_eq!(read_in(&[0x1f, 0x8b, 8, 0, 0], 1).1, Err(BadBill::Gzip));
    assert_eq!(read_in(&[0x1f, 0x8b], 1).1, Err(BadBill::Gzip));
    for (text, named) in [
        ("", "it is empty"),
        ("\u{feff}", "it is empty"),
        ("<html>portal</html>", "begins like XML"),
        ("交易时间,微信订单号,商户订单号\n", "has no column 交易状态"),
        ("交易时间,微信订单号,商户订单号,交易状态\n", "has no column 订单金额"),
        (NEW, "bill ends early, after line 1"),
    ] {
        assert!(refused(text).contains(named), "{text}: {}", refused(text));
    }
    let huge = format!("<xml>{}", " ".repeat(LARGEST_ANSWER));
    assert!(refused(&huge).contains("too large"));
}

#[test]
fn a_failure_in_the_place_of_a_bill_says_which() {
    let failure = |text: &str, code: &str| {
        let body = format!(
            "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[{text}]]></return_msg><error_code><![CDATA[{code}]]></error_code></xml>"
        );
        read(&body).1.unwrap_err()
    };
    assert_eq!(failure("No Bill Exist", "20002"), BadBill::NoBill);
    assert_eq!(failure("NO Bill Exist", ""), BadBill::NoBill);
    assert_eq!(failure("Bill Creating", "20003"), BadBill::BeingMade);
    assert_eq!(
        failure("invalid bill_date", "20001"),
        BadBill::Refused("invalid bill_date (20001)".to_owned())
    );
    assert_eq!(failure("签名错误", ""), BadBill::Refused("签名错误".to_owned()));
}

#[test]
fn titles_of_sums_have_the_count_first_and_the_orders() {
    for without in [NEW_SUMS.replacen("总交易单数", "其他", 1), NEW_SUMS.replace(",订单总金额", ",其他")]
    {
        assert!(
            refused(&usual().replace(NEW_SUMS, &without)).contains("the titles of the sums"),
            "{without}"
        );
    }
}

#[test]
fn each_state_of_a_refund_is_known() {
    let states = [
        ("SUCCESS", RefundState::Done),
        ("PROCESSING", RefundState::Processing),
        ("CHANGE", RefundState::Stuck),
        ("FAIL", RefundState::Failed),
        ("REFUNDCLOSE", RefundState::Failed),
        ("CLOSED", RefundState::Failed),
    ];
    for (text, expected) in states {
        let (rows, _) = read(&usual().replace("PROCESSING", text));
        assert!(matches!(&rows[2].kind, Kind::Refund { state, .. } if *state == expected), "{:?}", rows[2]);
    }
}

#[test]
fn a_time_has_one_form() {
    for other in ["2026/11/21 19:38:41", "2026-11-21 19:38:41x", "2026-11-21T19:38:41", "2026-13-21 19:38:41"]
    {
        let said = refused(&usual().replace("2026-11-21 19:38:41", other));
        assert!(said.contains("is not a time"), "{other}: {said}");
    }
}

#[test]
fn the_limits_hold_to_the_byte() {
    let mut bill = Bill::new();
    let push = |bill: &mut Bill, bytes: &[u8]| bill.push(bytes, &mut |_| panic!("no line has ended"));
    push(&mut bill, format!("{NEW}\r\n").as_bytes()).unwrap();
    push(&mut bill, b"`").unwrap();
    push(&mut bill, &vec![b'x'; LONGEST_LINE - 1]).unwrap();
    assert_eq!(bill.held(), LONGEST_LINE);
    let longer = push(&mut bill, b"x");
    assert!(matches!(&longer, Err(BadBill::Line { number: 2, .. })), "{longer:?}");
    assert_eq!(bill.held(), 0);

    let mut refusal = Bill::new();
    push(&mut refusal, b"<xml").unwrap();
    push(&mut refusal, &vec![b' '; LARGEST_ANSWER - 4]).unwrap();
    let larger = push(&mut refusal, b" ");
    assert!(matches!(&larger, Err(BadBill::NotABill(what)) if what.contains("too large")), "{larger:?}");
}

/// Some 100 MB, as a merchant with thousands of lanes has.
#[test]
fn a_bill_of_a_hundred_megabytes_is_read_in_the_room_of_a_line() {
    let rows = 1 + 100_000_000 / PAID.len();
    let block: String = std::iter::repeat_n(format!("{PAID}\r\n"), 100).collect();
    let (mut bill, mut read, mut most) = (Bill::new(), 0, 0);
    let mut push = |piece: &str| {
        for piece in piece.as_bytes().chunks(16 * 1024 - 7) {
            bill.push(piece, &mut |_| read += 1).unwrap();
            most = most.max(bill.held());
        }
    };
    push(&format!("\u{feff}{NEW}\r\n"));
    for _ in 0..rows / 100 {
        push(&block);
    }
    let rows = rows / 100 * 100;
    let (settled, ordered) = (rows * 4500, rows * 4750);
    let yuan = |fen: usize| format!("{}.{:02}", fen / 100, fen % 100);
    push(&format!("{NEW_SUMS}\r\n`{rows},`{},`0,`0,`0,`{},`0\r\n", yuan(settled), yuan(ordered)));
    assert!(most < 1024, "{most} bytes were held");
    assert_eq!(bill.finish(&mut |_| {}).map(|whole| whole.rows), Ok(rows as u64));
    assert_eq!(read, rows);
}
