//! The shop's books: the journal as it is on the disk, read beside the daemon or when it is dead. Never writes into it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use micropayd::journal;
use micropayd::sale::{Filter, LifeStep, ReceiptState, Records, Sale};

use crate::shop::Shop;

/// The journal's files when they were last read, and what they said.
pub struct Known {
    files: [Option<(SystemTime, u64)>; 2],
    sales: BTreeMap<String, Sale>,
}

/// Longer than a tick of the file system's clock.
const TICK: Duration = Duration::from_millis(20);

impl Shop {
    /// The journal as it is on the disk; `None` while there is none.
    fn records(&self) -> Option<Arc<dyn Records>> {
        let dir = self.stage.state_dir();
        match journal::read_only(&journal::Settings { dir: dir.clone() }) {
            Ok(records) => Some(records),
            // Killed before the first start was through: there is no table yet, so nothing can have been sent.
            Err(error) => {
                self.ensure(self.acknowledged.is_empty(), || format!("the journal is unreadable: {error}"));
                None
            }
        }
    }

    /// Every sale in the journal. Reads it only when its files have changed, for it is looked at all the time.
    pub fn sales(&self) -> BTreeMap<String, Sale> {
        let files = ["journal.db", "journal.db-wal"].map(|name| {
            let file = std::fs::metadata(self.stage.state_dir().join(name)).ok()?;
            Some((file.modified().ok()?, file.len()))
        });
        let mut known = self.known.lock().unwrap();
        // Two changes in one tick of the file system's clock look like one.
        let settled = files.iter().flatten().all(|(at, _)| at.elapsed().is_ok_and(|age| age > TICK));
        if let Some(known) = known.as_ref().filter(|known| known.files == files) {
            return known.sales.clone();
        }
        let sales = self.read_sales();
        *known = settled.then(|| Known { files, sales: sales.clone() });
        sales
    }

    /// Every sale in the journal, read now.
    pub fn read_sales(&self) -> BTreeMap<String, Sale> {
        let Some(records) = self.records() else { return BTreeMap::new() };
        let filter = Filter { limit: 100_000, ..Filter::default() };
        match records.page(&filter) {
            Ok(page) => page.sales.into_iter().map(|sale| (sale.id.to_string(), sale)).collect(),
            Err(error) => self.wrong(&format!("the journal is unreadable: {error}")),
        }
    }

    /// How many sales, refunds and receipts ended how.
    pub fn ends(&self) -> BTreeMap<&'static str, u64> {
        let mut ends = BTreeMap::new();
        for sale in self.sales().values() {
            *ends.entry(sale.payment.phase().label()).or_default() += 1;
            for refund in &sale.refunds {
                *ends.entry(refund.phase.label()).or_default() += 1;
            }
            if sale.receipt != ReceiptState::None {
                *ends.entry(sale.receipt.label()).or_default() += 1;
            }
        }
        ends
    }

    /// A sale's life as it is on the disk.
    pub fn life(&self, id: &str) -> Vec<LifeStep> {
        let records = self.records().unwrap_or_else(|| self.wrong("there is no journal"));
        records
            .life(&id.parse().expect("an id"))
            .unwrap_or_else(|error| self.wrong(&format!("{id}: {error}")))
    }

    /// From the code to the row that says `what`, by the daemon's own clock.
    pub fn wait_until(&self, id: &str, what: &str) -> Duration {
        let life = self.life(id);
        let at = |what: &str| life.iter().find(|step| step.event.contains(what)).map(|step| step.at);
        match (at(" read "), at(what)) {
            (Some(read), Some(then)) => then.since(read),
            _ => self.wrong(&format!("no row says {what:?}: {life:?}")),
        }
    }
}
