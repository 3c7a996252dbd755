//! Whether the rows are what was written. At the start what can have suffered and what is still owed, in bounded time;
//! `audit.rs` looks at everything.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::chain::{self, Head};
use super::fault::Fault;
use super::rows::{self, Found, phase_tag};
use super::witness::Note;
use super::{PendingJob, store};
use crate::sale::Sale;

/// What is owed, as found at the start.
pub struct Owed {
    /// The newest row.
    pub head: Head,
    /// The newest row that is known to be synced.
    pub synced: Head,
    /// Sales that are open or have an unfinished print job, oldest first.
    pub sales: Vec<Sale>,
    /// Unfinished print jobs, oldest first.
    pub jobs: Vec<PendingJob>,
}

/// Holds the database against the witness's notes, walks the chain from the last sync that the witness knows of,
/// and checks every sale that is owed something.
pub fn at_start(conn: &Connection, notes: &[Note], boot: &[u8; 16]) -> Result<Owed, Fault> {
    let head = chain::head(conn)?;
    meet(conn, head, notes, boot)?;
    let from = notes.iter().map(|note| note.synced).max_by_key(|synced| synced.seq).unwrap_or_default();
    if from.seq > 0 {
        chain::check_row(conn, &rows::step(conn, from.seq)?)?;
    }
    let mut touched = BTreeMap::new();
    let walked = chain::walk(conn, from, |step| {
        touched.insert(step.sale, step.seq);
        Ok(())
    })?;
    if walked != head {
        return Err(Fault::Damage(format!("the newest step is {}, expected {}", head.seq, walked.seq)));
    }
    for (n, last) in touched {
        let found = rows::by_number(conn, n)?;
        let found = found.ok_or_else(|| Fault::Damage(format!("sale {n} of step {last} is missing")))?;
        if found.last != last {
            return Err(Fault::Damage(format!("sale {n} stands at step {}, expected {last}", found.last)));
        }
        check_sale(conn, &found)?;
    }
    let owed = Owed { synced: from, ..owed(conn, head)? };
    if let Some(note) = notes.iter().find(|note| note.head == head)
        && note.pending != store::pending(conn)?
    {
        return Err(Fault::Damage(
            "the list of open sales and print jobs is not the one that was left".to_owned(),
        ));
    }
    Ok(owed)
}

/// The database must hold every row that the witness saw and that cannot have been lost.
pub fn meet(conn: &Connection, head: Head, notes: &[Note], boot: &[u8; 16]) -> Result<(), Fault> {
    // If the machine has run all the time, not even an unsynced row can be missing.
    let seen = notes.iter().map(|note| if note.boot == *boot { note.head } else { note.synced });
    let seen: BTreeMap<i64, Head> = seen.map(|seen| (seen.seq, seen)).filter(|(seq, _)| *seq > 0).collect();
    if let Some((newest, _)) = seen.range(head.seq + 1..).next_back() {
        let what = format!("steps {} to {newest} are missing, which the witness saw", head.seq + 1);
        return Err(Fault::Damage(what));
    }
    for (seq, seen) in seen {
        match chain::row(conn, seq)? {
            Some(step) if step.hash == seen.hash => {}
            Some(_) => return Err(Fault::Damage(format!("step {seq} is not the one that the witness saw"))),
            None => return Err(Fault::Damage(format!("step {seq} is missing, which the witness saw"))),
        }
    }
    Ok(())
}

fn owed(conn: &Connection, head: Head) -> Result<Owed, Fault> {
    let open = rows::sales(conn, "WHERE s.open = 1 ORDER BY s.n", [])?;
    let mut sales: BTreeMap<i64, Found> = open.into_iter().map(|found| (found.n, found)).collect();
    let jobs = rows::unfinished_jobs(conn)?;
    let missing: BTreeSet<i64> = jobs.iter().map(|(_, n)| *n).filter(|n| !sales.contains_key(n)).collect();
    for n in missing {
        let found = rows::by_number(conn, n)?;
        let found = found.ok_or_else(|| Fault::Damage(format!("sale {n} of a print job is missing")))?;
        sales.insert(n, found);
    }
    for found in sales.values() {
        check_sale(conn, found)?;
    }
    let sales = sales.into_values().map(|found| found.sale).collect();
    Ok(Owed { head, synced: Head::default(), sales, jobs: jobs.into_iter().map(|(job, _)| job).collect() })
}

/// A sale's first and newest steps must be in the chain, and its row must say what they say.
fn check_sale(conn: &Connection, found: &Found) -> Result<(), Fault> {
    let Found { n, base, last, sale, .. } = found;
    let steps = BTreeSet::from([*base, *last]);
    for seq in steps {
        let step = rows::step(conn, seq)?;
        chain::check_row(conn, &step)?;
        if step.sale != *n || (step.prev == 0) != (seq == *base) {
            return Err(Fault::Damage(format!("step {seq} is not sale {n}'s")));
        }
    }
    let (day, phase, open, reference): (i64, i64, i64, Option<String>) = conn
        .prepare_cached("SELECT day, phase, open, reference FROM sale WHERE n = ?1")?
        .query_row([n], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let expected = (
        rows::day_number(sale.created_at),
        phase_tag(sale.payment.phase()),
        i64::from(sale.is_open()),
        sale.reference.clone(),
    );
    if (day, phase, open, reference) != expected || found.counted.is_some() != sale.payment.paid().is_some() {
        return Err(Fault::Damage(format!("sale {n} is not listed as its steps left it")));
    }
    let (_, opening) = rows::opening(conn, *base)?;
    if rows::by_key(conn, &opening.key)? != Some((*n, opening.fingerprint.to_vec())) {
        return Err(Fault::Damage(format!("sale {n} is not listed under its key")));
    }
    Ok(())
}
