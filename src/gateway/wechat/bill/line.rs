//! One line of the bill: columns by their titles, values by their backticks, amounts without a float.

use super::BadBill;
use crate::reconcile::{Kind, RefundState, Row};
use crate::time::Timestamp;

/// The columns whose sums stand in the last line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SumColumn {
    Ordered,
    Settled,
    Returned,
    ReturnedCoupons,
    Asked,
}

impl SumColumn {
    pub const COUNT: usize = 5;

    const ALL: [SumColumn; Self::COUNT] = [
        SumColumn::Ordered,
        SumColumn::Settled,
        SumColumn::Returned,
        SumColumn::ReturnedCoupons,
        SumColumn::Asked,
    ];

    /// How the column is called: now, and until 2018.
    fn titles(self) -> &'static [&'static str] {
        match self {
            SumColumn::Ordered => &["订单金额", "总金额"],
            SumColumn::Settled => &["应结订单金额"],
            SumColumn::Returned => &["退款金额"],
            SumColumn::ReturnedCoupons => &["充值券退款金额", "代金券或立减优惠退款金额"],
            SumColumn::Asked => &["申请退款金额"],
        }
    }

    /// How its sum is called.
    fn sum_titles(self) -> &'static [&'static str] {
        match self {
            SumColumn::Ordered => &["订单总金额", "总交易额"],
            SumColumn::Settled => &["应结订单总金额"],
            SumColumn::Returned => &["退款总金额", "总退款金额"],
            SumColumn::ReturnedCoupons => &["充值券退款总金额", "总代金券或立减优惠退款金额"],
            SumColumn::Asked => &["申请退款总金额"],
        }
    }
}

/// Where each value stands in a line.
#[derive(Clone, Debug)]
pub struct Columns {
    count: usize,
    time: usize,
    gateway_txn: usize,
    order: usize,
    state: usize,
    coupon: Option<usize>,
    refund: Option<RefundColumns>,
    sums: [Option<usize>; SumColumn::COUNT],
}

#[derive(Clone, Copy, Debug)]
struct RefundColumns {
    id: usize,
    number: usize,
    state: usize,
}

impl Columns {
    /// Finds the columns in the first line. The old and the new bill differ in their names and order, and the bill of
    /// successes has no refunds.
    pub fn read(text: &str) -> Result<Self, String> {
        let titles: Vec<&str> = text.split(',').collect();
        let find = |names: &[&str]| titles.iter().position(|title| names.contains(title));
        let must = |name: &'static str| {
            let missing = || format!("its first line has no column {name}");
            find(&[name]).ok_or_else(missing)
        };
        let (time, gateway_txn, order, state) =
            (must("交易时间")?, must("微信订单号")?, must("商户订单号")?, must("交易状态")?);
        let sums = SumColumn::ALL.map(|column| find(column.titles()));
        if sums[SumColumn::Ordered as usize].is_none() {
            return Err("its first line has no column 订单金额".to_owned());
        }
        let refund = match (find(&["微信退款单号"]), find(&["商户退款单号"]), find(&["退款状态"]))
        {
            (Some(id), Some(number), Some(state)) => Some(RefundColumns { id, number, state }),
            _ => None,
        };
        let coupon = find(&["代金券金额", "代金券或立减优惠金额"]);
        Ok(Self { count: titles.len(), time, gateway_txn, order, state, coupon, refund, sums })
    }

    /// Reads a line: the row, and its part of each sum in fen.
    pub fn row(&self, text: &str) -> Result<(Row, [u64; SumColumn::COUNT]), String> {
        let cells = cells(text, self.count)?;
        let cell = |place: usize| cells.get(place).copied().unwrap_or_default();
        let mut amounts = [0; SumColumn::COUNT];
        for (amount, place) in amounts.iter_mut().zip(self.sums) {
            *amount = place.map_or(Ok(0), |place| fen(cell(place)))?;
        }
        let of = |column: SumColumn| amounts[column as usize];
        let at = moment(cell(self.time))?;
        let order = cell(self.order).to_owned();
        let gateway_txn = cell(self.gateway_txn).to_owned();
        let ordered = of(SumColumn::Ordered);
        // What was asked to be given back; the old bill has only what was given back.
        let back = match of(SumColumn::Asked) {
            0 => of(SumColumn::Returned),
            asked => asked,
        };
        let kind = match (cell(self.state), self.refund) {
            ("SUCCESS", _) => Kind::Paid { amount: ordered, coupon: self.coupon(&cells, &amounts)? },
            ("REVOKED", _) => Kind::Reversed { amount: if back == 0 { ordered } else { back } },
            ("REFUND", Some(columns)) => Kind::Refund {
                number: cell(columns.number).to_owned(),
                id: cell(columns.id).to_owned(),
                amount: back,
                state: refund_state(cell(columns.state)),
            },
            (state, _) => Kind::Other { state: state.chars().take(32).collect(), amount: ordered },
        };
        Ok((Row { at, order, gateway_txn, kind }, amounts))
    }

    /// All coupons of a charge: those that WeChat settles, and those that were never to be settled (the order's amount less
    /// the amount to be settled).
    fn coupon(&self, cells: &[&str], amounts: &[u64; SumColumn::COUNT]) -> Result<u64, String> {
        let settled = match self.sums[SumColumn::Settled as usize] {
            Some(_) => amounts[SumColumn::Settled as usize],
            None => amounts[SumColumn::Ordered as usize],
        };
        let unsettled = amounts[SumColumn::Ordered as usize].checked_sub(settled);
        let unsettled = unsettled.ok_or("more is to be settled than the order came to")?;
        let coupon = self.coupon.and_then(|place| cells.get(place)).map_or(Ok(0), |text| fen(text))?;
        coupon.checked_add(unsettled).ok_or_else(|| "the coupons come to more than can be".to_owned())
    }
}

/// What stands under which title in the last two lines.
#[derive(Clone, Debug)]
pub struct Titles(Vec<Summed>);

#[derive(Clone, Copy, Debug)]
enum Summed {
    Count,
    Column(SumColumn, &'static str),
    /// Fees: whether their sum is rounded is not documented, so it is only looked at whether it is a number.
    Fees,
    /// Unknown: nothing is held against it.
    Other,
}

/// What is wrong with the last line.
pub enum Wrong {
    Form(String),
    Sum(BadBill),
}

impl Wrong {
    pub fn at(self, number: u64) -> BadBill {
        match self {
            Wrong::Form(what) => BadBill::Line { number, what },
            Wrong::Sum(bad) => bad,
        }
    }
}

impl Titles {
    /// Reads the titles of the sums. The count must be among them, and the sum of the orders.
    pub fn read(text: &str, columns: &Columns) -> Result<Self, String> {
        let mut found = Vec::new();
        for title in text.split(',') {
            let column = SumColumn::ALL.into_iter().find_map(|column| {
                let known = column.sum_titles().iter().find(|known| **known == title)?;
                columns.sums[column as usize].is_some().then_some(Summed::Column(column, known))
            });
            found.push(match (title, column) {
                ("总交易单数", _) => Summed::Count,
                ("手续费总金额", _) => Summed::Fees,
                (_, Some(summed)) => summed,
                (_, None) => Summed::Other,
            });
        }
        let ordered = |summed: &Summed| matches!(summed, Summed::Column(SumColumn::Ordered, _));
        if !matches!(found.first(), Some(Summed::Count)) || !found.iter().any(ordered) {
            return Err("expected a line that begins with a backtick, or the titles of the sums".to_owned());
        }
        Ok(Self(found))
    }

    /// Holds the last line against what was read.
    pub fn check(&self, text: &str, rows: u64, sums: &[u64; SumColumn::COUNT]) -> Result<(), Wrong> {
        let cells = cells(text, self.0.len()).map_err(Wrong::Form)?;
        let differs = |title, said: &str, got: String| {
            Err(Wrong::Sum(BadBill::Sum { title, said: said.chars().take(32).collect(), got }))
        };
        for (summed, cell) in self.0.iter().zip(cells) {
            match summed {
                Summed::Count if cell.parse() != Ok(rows) => {
                    return differs("总交易单数", cell, rows.to_string());
                }
                Summed::Column(column, title) => {
                    let got = sums[*column as usize];
                    if fen(cell).map_err(Wrong::Form)? != got {
                        return differs(title, cell, format!("{}.{:02}", got / 100, got % 100));
                    }
                }
                Summed::Fees if !is_number(cell) => return Err(Wrong::Form(form(cell))),
                Summed::Count | Summed::Fees | Summed::Other => {}
            }
        }
        Ok(())
    }
}

/// The values of a line: each has a backtick before it, and a comma between it and the next.
fn cells(text: &str, count: usize) -> Result<Vec<&str>, String> {
    let values = text.strip_prefix('`').ok_or("its first value has no backtick before it")?;
    let cells: Vec<&str> = values.split(",`").collect();
    if cells.len() == count {
        Ok(cells)
    } else {
        Err(format!("it has {} values, expected {count}", cells.len()))
    }
}

fn form(text: &str) -> String {
    format!("{:?} is not an amount in yuan", text.chars().take(32).collect::<String>())
}

/// Yuan with at most two decimals that count, as fen: `45`, `45.0`, `45.00`, `45.000`. Empty is nothing.
fn fen(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (yuan, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(yuan) || !digits(decimals) {
        return Err(form(text));
    }
    let (cents, beyond) = decimals.split_at(decimals.len().min(2));
    if beyond.bytes().any(|byte| byte != b'0') {
        return Err(form(text));
    }
    let cents: u64 = format!("{cents:0<2}").parse().map_err(|_| form(text))?;
    let yuan: u64 = yuan.parse().map_err(|_| form(text))?;
    yuan.checked_mul(100).and_then(|fen| fen.checked_add(cents)).ok_or_else(|| form(text))
}

fn is_number(text: &str) -> bool {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(decimals)
}

/// `2026-11-21 19:38:41`, Beijing time.
fn moment(text: &str) -> Result<Timestamp, String> {
    let marks = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    let bytes = text.as_bytes();
    let formed = bytes.len() == 19 && marks.iter().all(|(place, mark)| bytes.get(*place) == Some(mark));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let moment = Timestamp::from_wechat(&digits).filter(|_| formed);
    moment.ok_or_else(|| {
        let shown: String = text.chars().take(32).collect();
        format!("{shown:?} is not a time, expected a form like \"2026-11-21 19:38:41\"")
    })
}

/// The states of the documents' page on the bill; `CLOSED` is what a refund query calls the same.
fn refund_state(text: &str) -> RefundState {
    match text {
        "SUCCESS" => RefundState::Done,
        "PROCESSING" => RefundState::Processing,
        "CHANGE" => RefundState::Stuck,
        "FAIL" | "REFUNDCLOSE" | "CLOSED" => RefundState::Failed,
        _ => RefundState::Unclear,
    }
}
