//! Bits that turn over: in the database, its log or the witness, one at a time. Each is noticed, or nothing is wrong.

use std::path::Path;

use crate::disk::{Chance, Files, lay_out};
use crate::shop::{BOOT, Shop, compare, open, read};
use crate::{count, scratch};
use micropayd::journal::{JournalError, Settings, verify_all};
use micropayd::sale::LifeStep;

/// A journal with a day's sales in the database and some more in the log, as a kill leaves it.
fn journal(dir: &Path) -> (Files, Vec<LifeStep>) {
    let mut shop = Shop::new(open(dir, BOOT).unwrap().journal, None, Default::default());
    for _ in 0..40 {
        shop.sell().unwrap();
    }
    let promise = shop.promise;
    shop.journal.close().unwrap();
    let mut shop = Shop::new(open(dir, BOOT).unwrap().journal, None, promise);
    for _ in 0..8 {
        shop.sell().unwrap();
    }
    drop(shop);
    let files = ["journal.db", "journal.db-wal", "witness"];
    let files = files.map(|name| (name.to_owned(), std::fs::read(dir.join(name)).unwrap()));
    (Files::from(files), read(dir))
}

/// What became of a flip.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fate {
    AtStart,
    AtDayClose,
    Harmless,
}

fn fate(dir: &Path, steps: &[LifeStep]) -> Fate {
    let opened = match open(dir, BOOT) {
        Err(JournalError::Damaged { .. } | JournalError::Newer { .. } | JournalError::Failed { .. }) => {
            return Fate::AtStart;
        }
        Err(other) => panic!("expected damage, got {other}"),
        Ok(opened) => opened,
    };
    if verify_all(&Settings { dir: dir.to_owned() }).is_err() {
        return Fate::AtDayClose;
    }
    if let Err(what) = compare(&*opened.journal.records(), steps, steps.len() as u64) {
        panic!("a silent loss: {what}");
    }
    Fate::Harmless
}

#[test]
fn no_bit_turns_over_in_silence() {
    let flips = count("JOURNAL_FLIPS", 1_000);
    let dir = scratch();
    let (files, steps) = journal(dir.path());
    let names: Vec<&String> = files.keys().collect();
    let mut chance = Chance(20_261_121);
    let mut fates = std::collections::BTreeMap::new();
    for flip in 0..flips {
        let name = names[flip % names.len()];
        let bit = chance.below(files[name].len() * 8);
        let mut turned = files.clone();
        turned.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        lay_out(&turned, dir.path());
        let met = std::panic::catch_unwind(|| fate(dir.path(), &steps));
        let met = met.unwrap_or_else(|_| panic!("bit {bit} of {name}"));
        *fates.entry((name, met)).or_insert(0) += 1;
    }
    println!("{flips} flips: {fates:?}");
    let of = |name: &str, met| {
        fates.iter().filter(|((n, m), _)| *n == name && *m == met).map(|(_, c)| c).sum::<i32>()
    };
    assert!(
        of("journal.db-wal", Fate::AtStart) > of("journal.db-wal", Fate::Harmless),
        "the log is what rots"
    );
}
