//! The file itself: older and newer schemas, a disk without room.

use super::super::{check, schema, witness};
use super::*;
use rusqlite::Connection;

#[test]
fn a_newer_journal_is_refused_and_left_alone() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    journal.close().unwrap();
    Connection::open(shop.file(FILE)).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    let before = std::fs::read(shop.file(FILE)).unwrap();
    match shop.try_open().err() {
        Some(JournalError::Newer { got: 9, expected, .. }) => assert_eq!(expected, schema::newest()),
        other => panic!("expected Newer, got {other:?}"),
    }
    assert_eq!(std::fs::read(shop.file(FILE)).unwrap(), before);
}

#[test]
fn a_file_that_is_not_a_journal_is_refused() {
    let shop = Shop::new();
    std::fs::create_dir_all(shop.settings().dir).unwrap();
    Connection::open(shop.file(FILE)).unwrap().execute_batch("CREATE TABLE other (a)").unwrap();
    assert!(matches!(shop.try_open(), Err(JournalError::Damaged { .. })));
    std::fs::write(
        shop.file(FILE),
        "this is a text, and longer than SQLite's header of a hundred bytes, or nearly so…",
    )
    .unwrap();
    assert!(matches!(shop.try_open(), Err(JournalError::Damaged { .. })));
}

#[test]
fn only_a_whole_header_is_a_journals() {
    let version = |tables: &str, version: i64, application: i32| {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(&format!(
            "{tables} PRAGMA user_version = {version}; PRAGMA application_id = {application};"
        ))
        .unwrap();
        schema::version(&conn, std::path::Path::new("journal.db"))
    };
    let (tables, ours) = (schema::MIGRATIONS[0], schema::APPLICATION_ID);
    assert_eq!(version(tables, 1, ours).unwrap(), 1);
    assert_eq!(version("", 0, 0).unwrap(), 0, "a new file");
    for (tables, number, application) in
        [(tables, 0, ours), ("", 1, ours), (tables, -1, ours), (tables, 1, 0), (tables, 1, ours + 1)]
    {
        let found = version(tables, number, application);
        assert!(matches!(found, Err(JournalError::Damaged { .. })), "{number} {application:#x}: {found:?}");
    }
}

#[test]
fn a_migration_is_whole_or_not_at_all() {
    let conn = Connection::open_in_memory().unwrap();
    let steps =
        [schema::MIGRATIONS[0], "CREATE TABLE two (a);", "CREATE TABLE three (a); CREATE TABLE two (a);"];
    assert!(schema::migrate(&conn, 0, &steps).is_err());
    let version =
        |conn: &Connection| conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(version(&conn), 2, "the third did not happen, the second stays");
    assert!(conn.prepare("SELECT * FROM three").is_err());
    schema::migrate(&conn, 2, &[steps[0], steps[1], "CREATE TABLE three (a);"]).unwrap();
    assert_eq!(version(&conn), 3);
}

#[test]
fn what_is_owed_outlives_a_new_schema_and_the_older_program_refuses_it() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 4);
    let mut scanned = shop.begin(&mut journal, 5);
    shop.scan(&mut journal, &mut scanned);
    let mut unprinted = shop.begin(&mut journal, 6);
    let job = shop.pay(&mut journal, &mut unprinted, 0);
    kill(journal);

    let [one, two] = schema::MIGRATIONS;
    let steps = [one, two, "CREATE TABLE till (n INTEGER PRIMARY KEY) STRICT;"];
    let conn = Connection::open(shop.file(FILE)).unwrap();
    schema::migrate(&conn, 2, &steps).unwrap();
    let notes = witness::notes(&shop.settings().dir).unwrap();
    let owed = check::at_start(&conn, &notes, &shop.boot).unwrap();
    assert_eq!(owed.sales, [scanned, unprinted]);
    assert_eq!(owed.jobs.iter().map(|job| job.job).collect::<Vec<_>>(), [job]);
    drop(conn);

    let refused = shop.try_open().err().unwrap().to_string();
    let expected = "has schema 3, expected at most 2\nhelp: install the newer program again";
    assert!(refused.contains(expected), "{refused}");
    assert!(
        matches!(restore(&shop.settings(), &Remembered::default()), Err(JournalError::Newer { got: 3, .. })),
        "newer is not damaged"
    );
}

#[test]
fn a_journal_from_before_there_were_refunds_is_taken_over_with_all_that_is_owed() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 400);
    let mut scanned = shop.begin(&mut journal, 5);
    shop.scan(&mut journal, &mut scanned);
    let totals = journal.records().totals(shop.now.day()).unwrap();
    kill(journal);
    let back =
        "ALTER TABLE day DROP COLUMN refunds; ALTER TABLE day DROP COLUMN refunded; PRAGMA user_version = 1;";
    Connection::open(shop.file(FILE)).unwrap().execute_batch(back).unwrap();
    audit::verify_file(&shop.file(FILE), &[]).expect("a copy of that time is still whole");

    let opened = shop.open();
    assert_eq!(opened.open, [scanned]);
    assert_eq!(opened.journal.records().totals(shop.now.day()).unwrap(), totals);
    verify_all(&shop.settings()).unwrap();
    let before = backup::dir(&shop.file(FILE)).join("before-schema-2.db");
    assert!(before.is_file(), "as it was");
}

/// A small file system in memory, if this process may mount one; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mib: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={mib}m");
        let mount =
            std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|mount| mount.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn on_a_full_disk_what_was_begun_is_concluded_and_nothing_new_is_begun() {
    let mut shop = Shop::new();
    let Some(_disk) = SmallDisk::mount(&shop.settings().dir, 16) else {
        eprintln!("skipped: this process may not mount a file system");
        return;
    };
    let mut journal = shop.open().journal;
    let mut begun: Vec<Sale> = (1..=8).map(|fen| shop.begin(&mut journal, fen)).collect();
    let ballast = shop.file("ballast");
    let fill = || {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&ballast).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    };
    fill();
    let refused = loop {
        let sale = shop.sale(&mut journal, 9);
        let entry = Entry { at: shop.now, event: "open", sale: &sale, job: None };
        match journal.open_sale(&entry, sale.id.as_str(), "9") {
            Ok(_) if begun.len() < 1000 => begun.push(sale),
            Ok(_) => panic!("a full disk takes {} sales", begun.len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, JournalError::Full { .. }), "{refused}");
    for sale in &mut begun {
        shop.pay(&mut journal, sale, 0);
        fill();
        // There is room for conclusions, not for sales, however often one asks.
        journal.idle().unwrap();
        assert!(matches!(journal.room_for_sales(), Err(JournalError::Full { .. })));
    }
    kill(journal);
    let mut journal = shop.open().journal;
    assert!(matches!(journal.room_for_sales(), Err(JournalError::Full { .. })));
    std::fs::remove_file(&ballast).unwrap();
    journal.idle().unwrap();
    shop.sell(&mut journal, 10);
    for sale in begun {
        assert_eq!(journal.records().sale(&sale.id).unwrap(), Some(sale));
    }
}
