//! Operations that fail: every write and every sync of several sales, one after the other.

use std::path::Path;

use crate::disk::Promise;
use crate::shop::{BOOT, Shop, look, open, read};
use crate::vfs::{Failure, Plan};
use crate::{scratch, vfs};
use micropayd::journal::JournalError;

/// Takes sales until the journal refuses one; what it said, and what it had promised by then.
fn sell_until_refused(dir: &Path, plan: Plan) -> (Option<JournalError>, Shop) {
    let tape = vfs::listen(dir, false);
    let journal = open(dir, BOOT).unwrap().journal;
    {
        let mut tape = tape.lock().unwrap();
        tape.count = 0;
        tape.plan = Some(plan);
    }
    let mut shop = Shop::new(journal, Some(tape), Promise::default());
    let refused = (0..7).find_map(|_| shop.sell().err());
    (refused, shop)
}

#[test]
fn a_failed_write_or_sync_ends_all_writing_until_the_next_start() {
    for failure in [Failure::Write, Failure::Sync] {
        for after in (0..).step_by(3) {
            let dir = scratch();
            let (refused, mut shop) = sell_until_refused(dir.path(), Plan { after, failure, lasting: false });
            let Some(refused) = refused else { break };
            assert!(matches!(refused, JournalError::Failed { .. }), "{failure:?} {after}: {refused}");
            let again = shop.sell().expect_err("the disk may say again that all is well; it is not believed");
            assert!(matches!(again, JournalError::Failed { .. }), "{again}");
            assert!(shop.journal.idle().is_err());
            let promised = shop.promise.written;
            drop(shop);
            vfs::forget(dir.path());
            let steps = read(dir.path());
            if let Err(what) = look(dir.path(), BOOT, &steps, promised, true) {
                panic!("{failure:?} {after}: {what}");
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_and_forgets_nothing_and_goes_on_when_there_is_room() {
    let mut refusals = 0;
    for after in (0..).step_by(3) {
        let dir = scratch();
        let (refused, mut shop) =
            sell_until_refused(dir.path(), Plan { after, failure: Failure::Full, lasting: false });
        if !shop.tape_failed() {
            break;
        }
        // A conclusion finds the reserve; only an opening is refused.
        if let Some(refused) = refused {
            assert!(matches!(refused, JournalError::Full { .. }), "{after}: {refused}");
            refusals += 1;
        }
        shop.journal.idle().unwrap();
        shop.journal.room_for_sales().unwrap();
        shop.sell().unwrap();
        let promised = shop.promise.written;
        drop(shop);
        vfs::forget(dir.path());
        let steps = read(dir.path());
        if let Err(what) = look(dir.path(), BOOT, &steps, promised, true) {
            panic!("{after}: {what}");
        }
    }
    assert!(refusals > 0);
}
