//! Bits that turn over: in the database, its log or the witness, one at a time. Each is noticed, or nothing is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use crate::disk::{Chance, Files, lay_out};
use crate::shop::{BOOT, Shop, compare, open, read};
use crate::{Progress, count, scratch};
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

/// Turns `flips` bits, one at a time, in each file in turn.
fn turn(
    files: &Files,
    steps: &[LifeStep],
    flips: usize,
    mut chance: Chance,
    progress: &Progress,
) -> BTreeMap<(String, Fate), u32> {
    let dir = scratch();
    let names: Vec<&String> = files.keys().collect();
    let mut fates = BTreeMap::new();
    for flip in 0..flips {
        progress.one();
        let name = names[flip % names.len()];
        let bit = chance.below(files[name].len() * 8);
        let mut turned = files.clone();
        turned.get_mut(name).unwrap()[bit / 8] ^= 1 << (bit % 8);
        lay_out(&turned, dir.path());
        let met = std::panic::catch_unwind(|| fate(dir.path(), steps));
        let met = met.unwrap_or_else(|_| panic!("bit {bit} of {name}"));
        *fates.entry((name.clone(), met)).or_insert(0) += 1;
    }
    fates
}

#[test]
fn no_bit_turns_over_in_silence() {
    let flips = count("JOURNAL_FLIPS", 1_000);
    let seed = count("JOURNAL_SEED", 0) as u64;
    let dir = scratch();
    let (files, steps) = journal(dir.path());
    let progress = &Progress::new("flips");
    let mut fates = BTreeMap::new();
    std::thread::scope(|scope| {
        let parts = [0, 1].map(|part| {
            let (files, steps, flips) = (&files, &steps, (flips + part) / 2);
            let chance = Chance(20_261_121 + 2 * seed + part as u64);
            scope.spawn(move || turn(files, steps, flips, chance, progress))
        });
        for part in parts {
            for (of, count) in part.join().unwrap() {
                *fates.entry(of).or_insert(0) += count;
            }
        }
    });
    println!("{flips} flips: {fates:?}");
    let of = |name: &str, met| {
        fates.iter().filter(|((n, m), _)| *n == name && *m == met).map(|(_, c)| c).sum::<u32>()
    };
    assert!(
        of("journal.db-wal", Fate::AtStart) > of("journal.db-wal", Fate::Harmless),
        "the log is what rots"
    );
}
