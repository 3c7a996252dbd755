//! Power cuts: at every operation of many sales the disk keeps, loses, tears or spoils what was not synced, and the
//! journal must open with every promised step, and nothing that was not written.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use crate::disk::{Chance, Disk, Op, Promise, lay_out};
use crate::shop::{BOOT, NEXT_BOOT, Shop, look, open, read};
use crate::{Progress, count, scratch, vfs};
use micropayd::sale::LifeStep;

/// What happened to the disk, and every step that was written.
struct Recording {
    ops: Vec<Op>,
    steps: Vec<LifeStep>,
}

fn record(play: impl FnOnce(&Path, &vfs::Shared)) -> Recording {
    let dir = scratch();
    let dir = dir.path().join("journal");
    let tape = vfs::listen(&dir, true);
    play(&dir, &tape);
    vfs::forget(&dir);
    let ops = std::mem::take(&mut tape.lock().unwrap().ops);
    Recording { ops, steps: read(&dir) }
}

/// From nothing: sales, an end in order, sales, a kill, sales.
fn several_lives() -> Recording {
    record(|dir, tape| {
        let mut promise = Promise::default();
        for (life, sales) in [7, 6, 6].into_iter().enumerate() {
            let journal = open(dir, BOOT).unwrap().journal;
            let mut shop = Shop::new(journal, Some(tape.clone()), promise);
            for _ in 0..sales {
                shop.sell().unwrap();
                shop.journal.idle().unwrap();
            }
            promise = shop.promise;
            if life == 0 {
                shop.journal.close().unwrap();
                promise.synced = promise.written;
                let Promise { synced, written } = promise;
                let mut tape = tape.lock().unwrap();
                tape.look_at_witness();
                tape.ops.push(Op::Promised { synced, written });
            }
        }
    })
}

/// Long enough for a checkpoint in an idle moment, after which the log begins again; only the part around it is tried.
fn a_checkpoint() -> (Recording, usize) {
    let mut interesting = 0;
    let recording = record(|dir, tape| {
        let mut shop = Shop::new(open(dir, BOOT).unwrap().journal, Some(tape.clone()), Promise::default());
        for _ in 0..60 {
            shop.sell_shortly().unwrap();
            let before = tape.lock().unwrap().ops.len();
            shop.journal.idle().unwrap();
            let mut tape = tape.lock().unwrap();
            tape.look_at_witness();
            if tape.ops.len() > before + 4 && interesting == 0 {
                interesting = before;
            }
        }
    });
    assert!(interesting > 0, "no idle moment had a checkpoint");
    (recording, interesting)
}

/// What many power cuts came to.
#[derive(Default)]
struct Tried {
    /// Images that differ from each other.
    distinct: usize,
    /// Those that lost something that was not promised.
    lost: usize,
}

/// Tries `images` power cuts from operation `from` on, evenly. An image that comes twice after an operation is looked at once.
fn cut(recording: &Recording, from: usize, images: usize, seed: u64, progress: &Progress) -> Tried {
    let dir = scratch();
    let mut disk = Disk::default();
    let mut tried = Tried::default();
    let cuts = recording.ops.len() - from;
    for (number, op) in recording.ops.iter().enumerate() {
        disk.play(op);
        let Some(number) = number.checked_sub(from) else { continue };
        let due = |number: usize| images * number / cuts;
        let mut seen = HashSet::new();
        for image in due(number)..due(number + 1) {
            progress.one();
            let mut chance = Chance(seed ^ (image as u64) << 20 ^ number as u64);
            let files = disk.cut(&mut chance);
            let mut hasher = DefaultHasher::new();
            files.hash(&mut hasher);
            if !seen.insert(hasher.finish()) {
                continue;
            }
            tried.distinct += 1;
            lay_out(&files, dir.path());
            // Reading sale by sale takes longer than all the rest, and what it reads is verified already.
            let thorough = image % 10 == 0;
            match look(dir.path(), NEXT_BOOT, &recording.steps, disk.promise.synced, thorough) {
                Ok(kept) => {
                    tried.lost += usize::from((kept as u64) < disk.promise.written);
                    if thorough {
                        goes_on(dir.path(), kept);
                    }
                }
                Err(what) => panic!("image {image} (seed {seed}, after operation {number}, {op}): {what}"),
            }
        }
    }
    tried
}

/// After the power cut sales go on, under numbers and names of their own, and are there at the start after that.
fn goes_on(dir: &Path, kept: usize) {
    let after_the_cut = read(dir);
    let mut shop = Shop::new(open(dir, NEXT_BOOT).unwrap().journal, None, Promise::default());
    for _ in 0..2 {
        shop.sell().unwrap();
    }
    drop(shop);
    let all = read(dir);
    assert_eq!(all[..kept], after_the_cut);
    assert!(all.len() > kept + 2);
    look(dir, NEXT_BOOT, &all, all.len() as u64, true).unwrap();
}

#[test]
fn no_promised_step_is_lost_in_a_power_cut() {
    let images = count("JOURNAL_IMAGES", 2_000);
    let seed = 3 * count("JOURNAL_SEED", 0) as u64;
    let lives = several_lives();
    let (checkpoint, from) = a_checkpoint();
    let progress = &Progress::new("power cuts");
    let mut tried = Tried::default();
    std::thread::scope(|scope| {
        let part = |recording, from, images, number| {
            scope.spawn(move || cut(recording, from, images, seed + number, progress))
        };
        let parts = [
            (&lives, 0, images * 2 / 5, 1),
            (&lives, 0, images * 2 / 5, 2),
            (&checkpoint, from, images / 5, 3),
        ];
        for part in parts.map(|(recording, from, images, number)| part(recording, from, images, number)) {
            let Tried { distinct, lost } = part.join().unwrap();
            (tried.distinct, tried.lost) = (tried.distinct + distinct, tried.lost + lost);
        }
    });
    let ops = lives.ops.len() + checkpoint.ops.len() - from;
    let Tried { distinct, lost } = tried;
    println!(
        "{images} power cuts over {ops} operations, {distinct} of them distinct; {lost} lost steps that only had to \
         survive the process"
    );
    assert!(lost > 0, "the power cuts cost nothing: they cannot have been tried");
}

#[test]
fn no_step_is_lost_when_only_the_process_ends() {
    let dir = scratch();
    let recording = several_lives();
    let mut disk = Disk::default();
    let mut tried = Promise::default();
    for (number, op) in recording.ops.iter().enumerate() {
        disk.play(op);
        // Between two promises one cut in the middle is enough for an ordinary run.
        let new = disk.promise != tried || number % 7 == 0;
        if !new {
            continue;
        }
        tried = disk.promise;
        lay_out(&disk.whole(), dir.path());
        if let Err(what) = look(dir.path(), BOOT, &recording.steps, disk.promise.written, true) {
            panic!("after operation {number}, {op}: {what}");
        }
    }
}

/// The log is synced once for each of a sale's two promises; all else is shared by many sales.
#[test]
fn a_paid_sale_costs_two_syncs_and_a_little() {
    let sales = 480;
    let mut from = 0;
    let recording = record(|dir, tape| {
        let mut shop = Shop::new(open(dir, BOOT).unwrap().journal, Some(tape.clone()), Promise::default());
        shop.sell_shortly().unwrap();
        from = tape.lock().unwrap().ops.len();
        for _ in 0..sales {
            shop.sell_shortly().unwrap();
            shop.journal.idle().unwrap();
        }
    });
    let syncs = recording.ops[from..].iter().filter(|op| matches!(op, Op::Sync { .. })).count();
    assert!((sales * 200..sales * 210).contains(&(syncs * 100)), "{syncs} syncs for {sales} sales");
}
