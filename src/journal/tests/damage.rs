//! What is missing or changed is noticed, nothing is repaired in silence, and a person can restore what is left.

use rusqlite::Connection;

use super::*;

/// What the next start finds.
fn found(shop: &Shop) -> String {
    match shop.try_open() {
        Err(JournalError::Damaged { what, .. }) => what,
        Err(other) => panic!("expected Damaged, got {other}"),
        Ok(_) => panic!("expected Damaged, got a journal"),
    }
}

/// Somebody with the file and SQL: the table's own guards are taken away first.
fn tamper(shop: &Shop, sql: &str) {
    let conn = Connection::open(shop.file("journal.db")).unwrap();
    let guards: Vec<(String, String)> = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (name, _) in &guards {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    conn.execute_batch(sql).unwrap();
    for (_, guard) in &guards {
        conn.execute_batch(guard).unwrap();
    }
}

/// A shop with five sales behind it and one open, closed in order.
fn closed() -> Shop {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    for fen in 1..=5 {
        shop.sell(&mut journal, fen);
    }
    shop.begin(&mut journal, 6);
    journal.close().unwrap();
    shop
}

fn verdict(shop: &Shop) -> Result<Verified, String> {
    verify_all(&shop.settings()).map_err(|error| error.to_string())
}

#[test]
fn a_whole_journal_verifies_also_beside_its_owner() {
    let mut shop = closed();
    assert_eq!(verdict(&shop), Ok(Verified { steps: 26, sales: 6, newest: 26 }));
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 7);
    assert_eq!(verdict(&shop), Ok(Verified { steps: 31, sales: 7, newest: 31 }));
}

#[test]
fn a_life_that_leads_to_another_sale_or_nowhere_is_not_told() {
    for (prev, told) in [(9, true), (2, false), (10, false)] {
        let shop = closed();
        tamper(&shop, &format!("UPDATE step SET prev = {prev} WHERE seq = 10"));
        let records = read_only(&shop.settings()).unwrap();
        let conn = Connection::open(shop.file("journal.db")).unwrap();
        let id: String = conn.query_row("SELECT id FROM sale WHERE last = 10", [], |row| row.get(0)).unwrap();
        assert_eq!(records.life(&id.parse().unwrap()).is_ok(), told, "{prev}");
    }
}

#[test]
fn receipts_that_were_printed_again_verify_too() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let copy = |shop: &mut Shop, journal: &mut Journal, sale: &mut Sale| {
        sale.receipt = ReceiptState::Queued;
        sale.copies += 1;
        let job = JobChange { job: None, state: ReceiptState::Queued, marked: true };
        shop.append(journal, sale, "receipt copy ordered", Some(job), Durability::PowerCut).job.unwrap()
    };
    // A copy beside one that was printed, and one that takes the place of one that failed.
    let mut printed = shop.sell(&mut journal, 1);
    copy(&mut shop, &mut journal, &mut printed);
    let mut failed = shop.begin(&mut journal, 2);
    shop.scan(&mut journal, &mut failed);
    let job = shop.pay(&mut journal, &mut failed, 0);
    shop.print(&mut journal, &mut failed, job, ReceiptState::Failed);
    copy(&mut shop, &mut journal, &mut failed);
    assert_eq!(verdict(&shop).map(|whole| whole.sales), Ok(2));
    kill(journal);
    let jobs: Vec<_> = shop.open().jobs.iter().map(|job| (job.sale.clone(), job.state)).collect();
    let queued = ReceiptState::Queued;
    assert_eq!(jobs, [(printed.id, queued), (failed.id, queued)], "the failed one is nobody's any more");
}

#[test]
fn a_log_that_was_deleted_is_noticed() {
    let mut shop = closed();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    kill(journal);
    std::fs::remove_file(shop.file("journal.db-wal")).unwrap();
    assert_eq!(found(&shop), "steps 27 to 31 are missing, which the witness saw");
    shop.boot = [2; 16];
    assert_eq!(
        found(&shop),
        "steps 27 to 29 are missing, which the witness saw",
        "the others were not synced"
    );
    assert!(!shop.file("journal.db-wal").metadata().is_ok_and(|log| log.len() > 0), "nothing was written");
}

#[test]
fn an_older_copy_of_the_database_is_noticed() {
    let mut shop = closed();
    let older = std::fs::read(shop.file("journal.db")).unwrap();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    journal.close().unwrap();
    std::fs::write(shop.file("journal.db"), older).unwrap();
    assert_eq!(found(&shop), "steps 27 to 31 are missing, which the witness saw");
    std::fs::remove_file(shop.file("journal.db")).unwrap();
    assert_eq!(found(&shop), "the database is missing, which the witness saw");
}

#[test]
fn a_witness_that_is_gone_or_unreadable_is_noticed() {
    let shop = closed();
    let witness = std::fs::read(shop.file("witness")).unwrap();
    std::fs::write(shop.file("witness"), vec![0x55; witness.len()]).unwrap();
    assert_eq!(found(&shop), "the witness holds no whole note");
    std::fs::write(shop.file("witness"), "").unwrap();
    assert_eq!(found(&shop), "the witness holds no whole note");
    std::fs::remove_file(shop.file("witness")).unwrap();
    assert_eq!(found(&shop), "the witness is missing");
}

#[test]
fn any_step_that_is_changed_removed_or_added_breaks_the_chain() {
    for sql in [
        "UPDATE step SET at = at + 1 WHERE seq = ?",
        "UPDATE step SET event = event || '!' WHERE seq = ?",
        "UPDATE step SET state = CAST(state || x'00' AS BLOB) WHERE seq = ?",
        "UPDATE step SET sale = sale + 1 WHERE seq = ?",
        "UPDATE step SET prev = 0, sale = 99 WHERE seq = ?",
        "UPDATE step SET hash = zeroblob(16) WHERE seq = ?",
        "UPDATE step SET seq = 1000 WHERE seq = ?",
        "DELETE FROM step WHERE seq = ?",
        "INSERT INTO step SELECT seq + 1000, at, sale, prev, event, state, hash FROM step WHERE seq = ?",
    ] {
        for seq in [1, 13, 26] {
            let shop = closed();
            tamper(&shop, &sql.replace('?', &seq.to_string()));
            assert!(verdict(&shop).is_err(), "{sql} with {seq}");
            if seq == 26 {
                found(&shop);
            }
        }
    }
    // A state that could have been: nothing but the hash knows better.
    let shop = closed();
    tamper(&shop, "UPDATE step SET state = (SELECT state FROM step WHERE seq = 2) WHERE seq = 3");
    assert!(verdict(&shop).is_err());
}

#[test]
fn tables_that_do_not_follow_from_the_steps_are_noticed() {
    for (sql, at_start) in [
        ("UPDATE sale SET open = 0 WHERE open = 1", true),
        ("UPDATE sale SET phase = 5 WHERE n = 6", true),
        ("UPDATE sale SET last = 20 WHERE n = 5", false),
        ("UPDATE sale SET counted = counted + 1 WHERE n = 2", false),
        ("UPDATE sale SET number = 'x' WHERE n = 2", false),
        ("UPDATE sale SET id = 'T01261121000002AAAAAA' WHERE n = 2", false),
        ("DELETE FROM sale WHERE n = 2", false),
        ("DELETE FROM key WHERE sale = 2", false),
        ("DELETE FROM key WHERE sale = 6", true),
        ("UPDATE key SET fingerprint = zeroblob(8) WHERE sale = 2", false),
        ("UPDATE day SET fen = fen + 1", false),
        ("UPDATE job SET state = 1 WHERE job = 1", true),
        ("UPDATE job SET marked = 1 WHERE job = 1", false),
        ("DELETE FROM job WHERE job = 1", false),
    ] {
        let shop = closed();
        tamper(&shop, sql);
        assert!(verdict(&shop).is_err(), "{sql}");
        assert_eq!(shop.try_open().is_err(), at_start, "{sql}");
    }
}

#[test]
fn the_guards_refuse_to_change_a_past_step() {
    let shop = closed();
    let conn = Connection::open(shop.file("journal.db")).unwrap();
    for sql in ["UPDATE step SET event = 'x' WHERE seq = 1", "DELETE FROM step"] {
        let error = conn.execute_batch(sql).unwrap_err().to_string();
        assert!(error.starts_with("a past step is never "), "{error}");
    }
}

#[test]
fn a_damaged_journal_is_restored_from_its_own_rows_as_far_as_they_follow() {
    let mut shop = closed();
    tamper(&shop, "UPDATE step SET event = 'x' WHERE seq = 24");
    assert!(verdict(&shop).is_err());
    let restored = shop.restore(&Remembered::default()).unwrap();
    assert_eq!((restored.copied, restored.newest, restored.seen), (0, 23, 26));
    assert!(restored.aside.join("journal.db").exists() && restored.aside.join("witness").exists());
    assert_eq!(verdict(&shop), Ok(Verified { steps: 23, sales: 5, newest: 23 }));
    let mut journal = shop.open().journal;
    let sale = shop.begin(&mut journal, 7);
    assert_eq!(journal.records().newest().unwrap(), 27, "numbers go on after all that were ever given");
    assert!(sale.id.as_str()[9..].starts_with("000007"), "{}", sale.id);
}

#[test]
fn a_journal_that_root_restores_belongs_to_the_daemon_again() {
    use std::os::unix::fs::{MetadataExt, chown};
    let shop = closed();
    let dir = shop.settings().dir;
    let daemon = Some(12_345);
    if chown(&dir, daemon, daemon).is_err() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    tamper(&shop, "UPDATE step SET event = 'x' WHERE seq = 24");
    let aside = shop.restore(&Remembered::default()).unwrap().aside;
    for folder in [dir, aside] {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            assert_eq!(entry.metadata().unwrap().uid(), 12_345, "{:?}", entry.path());
        }
    }
}

#[test]
fn a_copy_holds_the_moment_of_its_beginning_though_sales_go_on() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    for fen in 1..=20 {
        shop.sell(&mut journal, fen);
    }
    let (source, target) = (shop.file(FILE), shop.dir.path().join("copy"));
    let newest = journal.records().newest().unwrap();
    let mut sold = 0;
    let filled = backup::fill(&source, &target, 1, || {
        sold += 1;
        assert!(sold < 1_000, "it begins anew with every sale");
        shop.sell(&mut journal, 100 + sold);
        journal.idle().unwrap();
        Ok(())
    });
    filled.unwrap().unwrap();
    assert!(sold > 5, "a page at a time, and a sale between any two");
    let copied = chain::head(&rusqlite::Connection::open(&target).unwrap()).unwrap();
    assert_eq!(copied.seq.unsigned_abs(), newest);
    audit::verify_file(&target, &[]).unwrap();
    assert_eq!(journal.records().newest().unwrap(), newest + 5 * u64::from(sold));

    let refused = backup::fill(&source, &shop.dir.path().join("other"), 1, || {
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert!(refused.unwrap().is_err(), "what is not on the disk is no copy");
}

#[test]
fn a_journal_is_restored_from_the_days_copy_and_what_came_after_it() {
    let mut shop = closed();
    let next_day = shop.now.day().end();
    let mut journal = shop.open().journal;
    journal.idle().unwrap();
    assert!(
        backup::copies(&shop.file(FILE)).is_empty(),
        "on the journal's first day there is nothing to copy"
    );
    shop.now = next_day;
    let open = shop.sell(&mut journal, 1);
    // The copy is made in a thread; an idle moment later it is found to be finished.
    journal.idle().unwrap();
    soon(|| (!backup::copies(&shop.file(FILE)).is_empty()).then_some(()));
    shop.sell(&mut journal, 2);
    journal.close().unwrap();
    // The first row is rotten: of the damaged file alone nothing would be left.
    tamper(&shop, "UPDATE step SET event = 'x' WHERE seq = 1");
    let restored = shop.restore(&Remembered::default()).unwrap();
    assert_eq!((restored.copied, restored.newest, restored.seen), (31, 36, 36));
    let journal = shop.open().journal;
    assert_eq!(journal.records().sale(&open.id).unwrap(), Some(open));
    assert!(matches!(restore(&shop.settings(), &Remembered::default()), Err(JournalError::InUse { .. })));
}

#[test]
fn the_newest_row_of_all_is_checked_although_nothing_is_owed() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    journal.close().unwrap();
    tamper(&shop, "UPDATE step SET event = 'x' WHERE seq = 5");
    let refused = shop.try_open().err().expect("it is noticed");
    assert!(refused.to_string().contains("step 5 does not follow"), "{refused}");
}

/// What another thread will bring about.
fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(std::time::Instant::now() < until, "it never comes");
        std::thread::yield_now();
    }
}

#[test]
fn the_days_copy_finds_old_rows_that_rotted_and_no_new_sale_is_begun() {
    let mut shop = closed();
    tamper(&shop, "UPDATE step SET event = 'x' WHERE seq = 2");
    let opened = shop.open();
    let (mut journal, mut open) = (opened.journal, opened.open[0].clone());
    shop.now = shop.now.day().end();
    shop.sell(&mut journal, 1);
    let damage = soon(|| journal.idle().err());
    assert!(damage.to_string().contains("step 2 does not follow from step 1"), "{damage}");
    assert!(backup::copies(&shop.file(FILE)).is_empty(), "a copy of damage is not kept");
    assert!(matches!(journal.room_for_sales(), Err(JournalError::Damaged { .. })));
    shop.pay(&mut journal, &mut open, 0);
    journal.idle().unwrap();
}

#[test]
fn where_a_journal_was_none_is_begun_in_silence() {
    let shop = closed();
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "witness"] {
        let _ = std::fs::remove_file(shop.file(name));
    }
    assert_eq!(found(&shop), "the database and its witness are missing");
    let restored = shop.restore(&Remembered::default()).unwrap();
    assert_eq!((restored.backup, restored.newest, restored.seen, restored.witnessed), (None, 0, 0, false));
    assert!(shop.open().open.is_empty());
}
