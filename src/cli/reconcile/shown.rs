//! What `reconcile` prints: both sides' sums, each difference, and what to do about each cause; for people and as JSON.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cli::table::{Align, facts, table, yuan};
use crate::ids::TerminalId;
use crate::reconcile::{Cause, Difference, Report, Sum, Sums};

/// A report as JSON. Amounts are fen.
#[derive(Debug, Serialize)]
pub struct Shown<'r> {
    date: String,
    terminal: &'r str,
    /// `false`: WeChat has no bill of that day, for nobody paid.
    has_bill: bool,
    agrees: bool,
    here: Side,
    bill: Side,
    differences: Vec<Listed<'r>>,
}

#[derive(Debug, Serialize)]
struct Side {
    paid_count: u64,
    paid: u64,
    reversed_count: u64,
    reversed: u64,
    refunded_count: u64,
    refunded: u64,
    net: i128,
}

#[derive(Debug, Serialize)]
struct Listed<'r> {
    cause: &'static str,
    order_no: &'r str,
    refund_no: Option<&'r str>,
    payment: Option<&'r str>,
    here: Option<u64>,
    bill: Option<u64>,
    here_says: &'r str,
    bill_says: &'r str,
    means_zh: &'static str,
    help_zh: &'static str,
    means: &'static str,
    help: &'static str,
}

impl<'r> Shown<'r> {
    pub fn of(report: &'r Report, terminal: &'r TerminalId, has_bill: bool) -> Self {
        Self {
            date: report.day.to_string(),
            terminal: terminal.as_str(),
            has_bill,
            agrees: report.agrees(),
            here: Side::of(&report.here),
            bill: Side::of(&report.bill),
            differences: report.differences.iter().map(Listed::of).collect(),
        }
    }
}

impl Side {
    fn of(sums: &Sums) -> Self {
        Self {
            paid_count: sums.paid.count,
            paid: sums.paid.fen,
            reversed_count: sums.reversed.count,
            reversed: sums.reversed.fen,
            refunded_count: sums.refunded.count,
            refunded: sums.refunded.fen,
            net: sums.net(),
        }
    }
}

impl<'r> Listed<'r> {
    fn of(difference: &'r Difference) -> Self {
        let (chinese, english) = (difference.cause.chinese(), difference.cause.english());
        Self {
            cause: difference.cause.label(),
            order_no: &difference.order,
            refund_no: difference.refund.as_deref(),
            payment: difference.sale.as_ref().map(|sale| sale.as_str()),
            here: difference.here,
            bill: difference.bill,
            here_says: &difference.here_says,
            bill_says: &difference.bill_says,
            means_zh: chinese.means,
            help_zh: chinese.help,
            means: english.means,
            help: english.help,
        }
    }
}

/// A report for people: Chinese first, English second.
pub fn text(report: &Report, terminal: &TerminalId, has_bill: bool) -> String {
    let result = match (report.agrees(), has_bill) {
        (true, true) => "账单与本机一致 · the bill and the journal agree".to_owned(),
        (true, false) => {
            "当天没有账单，本机也没有收款 · nobody paid on that day, here or in a bill".to_owned()
        }
        (false, _) => {
            let count = report.differences.len();
            format!("有 {count} 处不同 · differences: {count}")
        }
    };
    let mut out = facts(&[
        ("日期 date", report.day.to_string()),
        ("终端 terminal", terminal.as_str().to_owned()),
        ("结果 result", result),
    ]);
    out.push('\n');
    out.push_str(&sums(&report.here, &report.bill));
    if !report.differences.is_empty() {
        out.push('\n');
        out.push_str(&differences(&report.differences));
        out.push('\n');
        out.push_str(&what_to_do(&report.differences));
    }
    out
}

fn sums(here: &Sums, bill: &Sums) -> String {
    let columns = [
        ("", Align::Left),
        ("本机 HERE", Align::Right),
        ("元 CNY", Align::Right),
        ("账单 BILL", Align::Right),
        ("元 CNY", Align::Right),
    ];
    let row = |name: &str, here: Sum, bill: Sum| {
        vec![name.to_owned(), here.count.to_string(), yuan(here.fen), bill.count.to_string(), yuan(bill.fen)]
    };
    let rows = [
        row("收款 paid", here.paid, bill.paid),
        row("撤销 reversed", here.reversed, bill.reversed),
        row("退款 refunded", here.refunded, bill.refunded),
        vec!["净额 net".to_owned(), String::new(), net(here), String::new(), net(bill)],
    ];
    table(&columns, &rows)
}

fn net(sums: &Sums) -> String {
    let net = sums.net();
    let sign = if net < 0 { "-" } else { "" };
    format!("{sign}{}", yuan(u64::try_from(net.unsigned_abs()).unwrap_or(u64::MAX)))
}

fn differences(differences: &[Difference]) -> String {
    let columns = [
        ("CAUSE", Align::Left),
        ("ORDER OR REFUND NUMBER", Align::Left),
        ("HERE", Align::Right),
        ("BILL", Align::Right),
        ("HERE SAYS", Align::Left),
        ("BILL SAYS", Align::Left),
    ];
    let rows: Vec<Vec<String>> = differences
        .iter()
        .map(|difference| {
            vec![
                difference.cause.label().to_owned(),
                difference.refund.clone().unwrap_or_else(|| difference.order.clone()),
                difference.here.map(yuan).unwrap_or_default(),
                difference.bill.map(yuan).unwrap_or_default(),
                difference.here_says.clone(),
                difference.bill_says.clone(),
            ]
        })
        .collect();
    table(&columns, &rows)
}

/// Each cause that occurs, once.
fn what_to_do(differences: &[Difference]) -> String {
    let causes: BTreeSet<Cause> = differences.iter().map(|difference| difference.cause).collect();
    let one = |cause: Cause| {
        let (chinese, english) = (cause.chinese(), cause.english());
        format!(
            "{}: {}。{}。\n  {}\n  help: {}\n",
            cause.label(),
            chinese.means,
            chinese.help,
            english.means,
            english.help
        )
    };
    causes.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_with_both_sides_and_what_to_do() {
        let sum = |count, fen| Sum { count, fen };
        let bill = Sums { paid: sum(1, 1250), reversed: sum(1, 1250), refunded: sum(1, 1) };
        let difference = Difference {
            cause: Cause::ReversedInBill,
            order: "T0126112100004200000101".to_owned(),
            refund: None,
            sale: None,
            here: Some(1250),
            bill: Some(1250),
            here_says: "paid".to_owned(),
            bill_says: "paid_and_reversed".to_owned(),
        };
        let here = Sums { paid: sum(1, 1250), ..Sums::default() };
        let day = "2026-11-21".parse().unwrap();
        let report = Report { day, here, bill, differences: vec![difference] };
        let terminal = "T01".parse().unwrap();
        assert_eq!(
            text(&report, &terminal, true),
            "日期 date      2026-11-21\n\
             终端 terminal  T01\n\
             结果 result    有 1 处不同 · differences: 1\n\
             \n\
             \x20              本机 HERE  元 CNY  账单 BILL  元 CNY\n\
             收款 paid              1   12.50          1   12.50\n\
             撤销 reversed          0    0.00          1   12.50\n\
             退款 refunded          0    0.00          1    0.01\n\
             净额 net                   12.50              -0.01\n\
             \n\
             CAUSE             ORDER OR REFUND NUMBER    HERE   BILL  HERE SAYS  BILL SAYS\n\
             reversed_in_bill  T0126112100004200000101  12.50  12.50  paid       paid_and_reversed\n\
             \n\
             reversed_in_bill: 本机记为已收款，账单上已撤销。有人在别处撤销了；货已给就是损失，请登记。\n\
             \x20 paid here, taken back in the bill\n\
             \x20 help: somebody reversed it elsewhere; if the goods are gone it is a loss: note it\n"
        );
        let shown = serde_json::to_value(Shown::of(&report, &terminal, true)).unwrap();
        assert_eq!((&shown["agrees"], &shown["bill"]["net"]), (&false.into(), &(-1).into()));
        assert_eq!(shown["differences"][0]["cause"], "reversed_in_bill");
    }
}
