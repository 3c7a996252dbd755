//! `reconcile`: a day of the journal against WeChat's bill of that day. Changes nothing, pays nothing.

mod shown;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::{Context, DONE, Failure, NOT_PAID, print, print_json, run};
use crate::config::{Config, Surroundings, terminal_of};
use crate::gateway::Gateway;
use crate::gateway::http::DownloadError;
use crate::gateway::wechat::{BadBill, Bill};
use crate::ids::{OrderNumber, RefundNumber, SaleId, TerminalId};
use crate::journal;
use crate::payment::Cause;
use crate::reconcile::{Kind, Row, belongs, compare, recorded};
use crate::refund::Refund;
use crate::sale::{Filter, Records, RecordsError, Sale};
use crate::time::{Day, Timestamp};

/// The most lines of a bill that can be one terminal's: one every second of the day.
const MOST_ROWS: usize = 24 * 60 * 60;

/// From when on WeChat has the bill of the day before: 9:00, and it should be fetched after 10:00 (page on downloadbill).
const MADE_AFTER: Duration = Duration::from_secs(10 * 60 * 60);

/// Sales that are read at once.
const PAGE: usize = 500;

/// Arguments of `reconcile`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes: 0 all agrees, 1 something differs, 2 there is no whole bill to compare with (yet), \
    64 wrong usage, 65 journal damaged, 69 WeChat Pay not reachable, 78 wrong configuration.\n\
    What each difference means and asks for: docs/reconcile.md"
)]
pub struct Reconcile {
    /// A Beijing day, like 2026-11-21; yesterday by default
    #[arg(long, value_name = "DAY")]
    date: Option<Day>,
    /// Compare with this bill, as it was downloaded from the merchant platform; then no key is needed and nothing is asked
    #[arg(long, value_name = "FILE")]
    bill: Option<PathBuf>,
}

/// What of the bill concerns this terminal.
struct Kept<'t> {
    terminal: &'t TerminalId,
    day: Day,
    rows: Vec<Row>,
    /// Payments of the whole bill, and those of them that are of the day.
    paid: u64,
    of_the_day: u64,
    /// The day of the last payment that is not.
    other_day: Option<Day>,
}

impl Kept<'_> {
    fn row(&mut self, row: Row) {
        if let Kind::Paid { .. } = row.kind {
            self.paid += 1;
            match row.at.day() {
                day if day == self.day => self.of_the_day += 1,
                day => self.other_day = Some(day),
            }
        }
        // One more than the most, so that it is noticed.
        if self.rows.len() <= MOST_ROWS && belongs(&row, self.terminal) {
            self.rows.push(row);
        }
    }
}

impl Reconcile {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let path = context.config_path();
        let around = Surroundings::of_process();
        let today = around.now.day();
        let day = self.date.unwrap_or_else(|| before(today));
        if day > today {
            let text = format!("date {day} is still to come, expected {today} or earlier");
            return Err(Failure::Usage(text).into());
        }
        // A bill that lies here needs no key.
        let (terminal, wechat) = match &self.bill {
            Some(_) => (terminal_of(&path, &around)?, None),
            None => {
                let config = Config::load(&path, &around)?;
                (config.terminal, Some(config.wechat))
            }
        };
        // Before the download, so that a journal that cannot be read is known at once.
        let records = journal::read_only(&journal::Settings { dir: terminal.state_dir.clone() })
            .context("the day cannot be compared without this terminal's journal\nhelp: run it as the service's user, and name the terminal's file with --config")?;
        let mut kept =
            Kept { terminal: &terminal.id, day, rows: Vec::new(), paid: 0, of_the_day: 0, other_day: None };
        let read = match (self.bill.as_deref(), wechat) {
            (Some(file), _) => from_file(file, &mut kept)?,
            (None, Some(wechat)) => {
                let (http, codec) = run::gateway(wechat)?;
                let download = codec.statement(day).map_err(|cause| unreachable(&cause))?;
                let mut bill = Bill::new();
                let done = http.download(download, |piece| bill.push(piece, &mut |row| kept.row(row))).await;
                match done {
                    Ok(()) => bill.finish(&mut |row| kept.row(row)).map(drop),
                    Err(DownloadError::Refused(bad)) => Err(bad),
                    Err(DownloadError::Line(cause)) => return Err(unreachable(&cause)),
                }
            }
            (None, None) => Err(BadBill::NoBill),
        };
        let has_bill = whole(read, &kept, around.now)?;
        let sales = sales(records, day, &kept.rows)?;
        let report = compare(day, &kept.rows, &sales, &recorded(&sales));
        if context.json {
            print_json(&shown::Shown::of(&report, &terminal.id, has_bill))?;
        } else {
            print(&shown::text(&report, &terminal.id, has_bill));
        }
        Ok(if report.agrees() { DONE } else { NOT_PAID })
    }
}

fn before(day: Day) -> Day {
    (day.start() - Duration::from_millis(1)).day()
}

/// Whether there was a bill; none means that nobody paid, on a day whose bill is made already.
fn whole(read: Result<(), BadBill>, kept: &Kept, now: Timestamp) -> anyhow::Result<bool> {
    let day = kept.day;
    match read {
        Ok(()) => {}
        Err(BadBill::NoBill) if now < day.end() + MADE_AFTER => {
            let text = format!(
                "there is no bill of {day} yet, or nobody paid on it\nhelp: ask again after 10:00 on the next day (Beijing time)"
            );
            return Err(Failure::NotKnown(text).into());
        }
        Err(BadBill::NoBill) => return Ok(false),
        Err(bad) => return Err(Failure::NotKnown(bad.to_string()).into()),
    }
    if kept.rows.len() > MOST_ROWS {
        let text = format!(
            "bill has more than {MOST_ROWS} lines of terminal {}\nhelp: give each terminal an id of its own",
            kept.terminal.as_str()
        );
        return Err(Failure::NotKnown(text).into());
    }
    match kept.other_day {
        Some(other) if kept.of_the_day == 0 && kept.paid > 0 => {
            let text = format!("bill is of {other}, expected {day}\nhelp: name its day: --date {other}");
            Err(Failure::NotKnown(text).into())
        }
        _ => Ok(true),
    }
}

fn unreachable(cause: &Cause) -> anyhow::Error {
    let text = format!(
        "bill could not be downloaded: {cause}\nhelp: look with micropayd doctor; or download the bill from the merchant platform and name it with --bill FILE"
    );
    Failure::Unreachable(text).into()
}

fn from_file(path: &Path, kept: &mut Kept) -> anyhow::Result<Result<(), BadBill>> {
    let unreadable = |error: std::io::Error| {
        Failure::Usage(format!(
            "{} cannot be read: {error}\nhelp: name the bill with --bill FILE",
            path.display()
        ))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut bill = Bill::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = match file.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(unreadable)?,
        };
        if length == 0 {
            return Ok(bill.finish(&mut |row| kept.row(row)).map(drop));
        }
        if let Err(bad) = bill.push(piece.get(..length).unwrap_or_default(), &mut |row| kept.row(row)) {
            return Ok(Err(bad));
        }
    }
}

/// The sales that the day can be about: opened on it, on the day before or after (a clock can stand wrong), in the bill, or
/// refunded on it.
fn sales(records: Arc<dyn Records>, day: Day, rows: &[Row]) -> Result<Vec<Sale>, RecordsError> {
    let mut found: BTreeMap<SaleId, Sale> = BTreeMap::new();
    for day in [before(day), day, day.end().day()] {
        let mut filter = Filter { day: Some(day), limit: PAGE, ..Filter::default() };
        loop {
            let page = records.page(&filter)?;
            found.extend(page.sales.into_iter().map(|sale| (sale.id.clone(), sale)));
            match page.next {
                Some(next) => filter.before = Some(next),
                None => break,
            }
        }
    }
    for row in rows {
        let refunded = match &row.kind {
            Kind::Refund { number, .. } => number.parse::<RefundNumber>().ok().map(|number| number.split().0),
            Kind::Paid { .. } | Kind::Reversed { .. } | Kind::Other { .. } => None,
        };
        let ordered = row.order.parse::<OrderNumber>().ok().map(|order| order.split().0);
        for id in ordered.into_iter().chain(refunded) {
            if !found.contains_key(&id)
                && let Some(sale) = records.sale(&id)?
            {
                found.insert(id, sale);
            }
        }
    }
    older(records.as_ref(), day, &mut found)?;
    Ok(found.into_values().collect())
}

/// Adds sales of any day of which something was refunded on `day`, until there are as many refunds as the journal counts.
fn older(records: &dyn Records, day: Day, found: &mut BTreeMap<SaleId, Sale>) -> Result<(), RecordsError> {
    let refunds = |sale: &Sale| {
        let of_the_day = |at: Timestamp| at.day() == day;
        sale.refunds.iter().filter_map(Refund::accepted_at).filter(|at| of_the_day(*at)).count() as u64
    };
    let wanted = records.totals(day)?.refund_count;
    let mut have: u64 = found.values().map(refunds).sum();
    let mut filter = Filter { limit: PAGE, ..Filter::default() };
    while have < wanted {
        let page = records.page(&filter)?;
        for sale in page.sales.into_iter().filter(|sale| refunds(sale) > 0) {
            if !found.contains_key(&sale.id) {
                have += refunds(&sale);
                found.insert(sale.id.clone(), sale);
            }
        }
        match page.next {
            Some(next) => filter.before = Some(next),
            None => break,
        }
    }
    Ok(())
}
