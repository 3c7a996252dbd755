//! What is kept is there again: after an end in order, after a kill, after a power cut.

use rusqlite::Connection;

use super::*;
use crate::refund::Refund;

#[test]
fn a_sale_is_there_again_in_every_state_and_owed_until_its_receipt_is_out() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let mut sale = shop.begin(&mut journal, 1250);
    let again = |shop: &Shop, journal: Journal| {
        kill(journal);
        shop.open()
    };
    let opened = again(&shop, journal);
    assert_eq!((opened.open, opened.jobs), (vec![sale.clone()], vec![]));

    journal = opened.journal;
    shop.scan(&mut journal, &mut sale);
    let opened = again(&shop, journal);
    assert_eq!(opened.open, [sale.clone()]);
    assert!(!opened.unsynced_lost, "the machine has run all the time");

    journal = opened.journal;
    let ordered = shop.now + Duration::from_millis(400);
    let job = shop.pay(&mut journal, &mut sale, 100);
    let pending =
        |state| PendingJob { job, sale: sale.id.clone(), state, marked: false, number: 1, since: ordered };
    let queued = pending(ReceiptState::Queued);
    let sending = pending(ReceiptState::Sending);
    let opened = again(&shop, journal);
    assert_eq!((opened.open, opened.jobs), (vec![sale.clone()], vec![queued]));

    journal = opened.journal;
    shop.print(&mut journal, &mut sale, job, ReceiptState::Sending);
    let opened = again(&shop, journal);
    assert_eq!((opened.open, opened.jobs), (vec![sale.clone()], vec![sending]));

    journal = opened.journal;
    shop.print(&mut journal, &mut sale, job, ReceiptState::Printed);
    let opened = again(&shop, journal);
    assert_eq!((opened.open, opened.jobs), (vec![], vec![]));
    assert_eq!(opened.journal.records().sale(&sale.id).unwrap(), Some(sale));
}

#[test]
fn a_second_owner_is_refused_at_once_and_told_who_the_first_is() {
    let shop = Shop::new();
    let first = shop.open();
    match shop.try_at_once().err() {
        Some(JournalError::InUse { pid, .. }) => assert_eq!(pid, std::process::id().to_string()),
        other => panic!("expected InUse, got {other:?}"),
    }
    first.journal.close().unwrap();
    shop.open();
}

#[test]
fn a_key_opens_one_sale_for_ever() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let first = shop.sale(&mut journal, 1250);
    let entry = Entry { at: shop.now, event: "open", sale: &first, job: None };
    assert_eq!(journal.by_key("key", "12.50").unwrap(), None);
    journal.open_sale(&entry, "key", "12.50").unwrap();
    let second = shop.sale(&mut journal, 1250);
    let entry = Entry { at: shop.now, event: "open", sale: &second, job: None };
    assert!(journal.open_sale(&entry, "key", "12.50").is_err());
    kill(journal);
    let mut journal = shop.open().journal;
    assert_eq!(journal.by_key("key", "12.50").unwrap(), Some((first.id.clone(), true)));
    assert_eq!(journal.by_key("key", "12.51").unwrap(), Some((first.id.clone(), false)));
    assert_eq!(journal.records().by_key("key").unwrap(), Some(first));
    assert_eq!(journal.records().sale(&second.id).unwrap(), None);
}

#[test]
fn no_name_is_given_twice_whatever_was_kept_of_the_first() {
    let mut shop = Shop::new();
    let mut names = std::collections::HashSet::new();
    for _ in 0..20 {
        let mut journal = shop.open().journal;
        let never_kept = journal.name_sale(shop.now.day()).unwrap();
        assert!(names.insert(never_kept));
        let kept = shop.begin(&mut journal, 1);
        assert!(names.insert(kept.id));
        kill(journal);
    }
}

#[test]
fn a_sale_that_cannot_be_is_refused_and_the_journal_goes_on() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let unknown = shop.sale(&mut journal, 1);
    let mut sale = shop.begin(&mut journal, 2);
    let append = |journal: &mut Journal, sale: &Sale, job| {
        let entry = Entry { at: sale.created_at, event: "test", sale, job };
        journal.append(&entry, Durability::PowerCut)
    };
    assert!(append(&mut journal, &unknown, None).is_err(), "it was never opened");
    let dearer = Payment { amount: Amount::from_fen(3).unwrap(), ..sale.payment.clone() };
    assert!(append(&mut journal, &Sale { payment: dearer, ..sale.clone() }, None).is_err(), "another amount");
    let job = JobChange { job: Some(77), state: ReceiptState::Printed, marked: false };
    assert!(append(&mut journal, &sale, Some(job)).is_err(), "no such job");
    assert_eq!(journal.records().newest().unwrap(), 1, "nothing of it was kept");
    shop.scan(&mut journal, &mut sale);
    kill(journal);
    assert_eq!(shop.open().open, [sale]);
}

#[test]
fn a_day_has_what_was_paid_on_it_and_not_what_went_back() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let records = journal.records();
    let day = shop.now.day();
    let totals = |paid_count, paid_fen, coupon_fen| crate::sale::Totals {
        paid_count,
        paid_fen,
        coupon_fen,
        ..Default::default()
    };
    assert_eq!(records.totals(day).unwrap(), totals(0, 0, 0));
    shop.sell(&mut journal, 1000);
    let mut back = shop.begin(&mut journal, 250);
    assert_eq!(records.totals(day).unwrap(), totals(1, 1000, 0));
    let job = shop.pay(&mut journal, &mut back, 50);
    assert_eq!(records.totals(day).unwrap(), totals(2, 1250, 50));
    shop.now = day.end() + Duration::from_secs(1);
    shop.print(&mut journal, &mut back, job, ReceiptState::Printed);
    assert_eq!(records.totals(day).unwrap(), totals(2, 1250, 50), "a receipt after midnight moves nothing");
    back.payment.attempts[0].phase = Phase::Reversed(Why::Elsewhere);
    shop.append(&mut journal, &mut back, "reversed", None, Durability::PowerCut);
    assert_eq!(records.totals(day).unwrap(), totals(1, 1000, 0), "it leaves the day it was counted on");
    assert_eq!(records.totals(shop.now.day()).unwrap(), totals(0, 0, 0));
}

#[test]
fn a_refund_is_owed_until_it_is_over_and_counts_on_the_day_that_it_was_taken_on() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let mut sale = shop.begin(&mut journal, 1000);
    let job = shop.pay(&mut journal, &mut sale, 0);
    shop.print(&mut journal, &mut sale, job, ReceiptState::Printed);
    let sold = shop.now.day();
    let refunds = |journal: &Journal, day| {
        let totals = journal.records().totals(day).unwrap();
        (totals.paid_fen, totals.refund_count, totals.refund_fen)
    };
    let id = sale.id.clone();
    let asked = |shop: &Shop, fen: u32, ordinal: u8| {
        let key = refund_key(&ordinal.to_string(), "");
        let number = id.refund(ordinal, 7);
        Refund::new(number, 1, Amount::from_fen(fen).unwrap(), None, key, shop.now, &Policy::default())
    };
    for (fen, ordinal) in [(300, 1), (200, 2)] {
        sale.refunds.push(asked(&shop, fen, ordinal));
        shop.append(&mut journal, &mut sale, "refund asked for", None, Durability::PowerCut);
    }
    assert_eq!(refunds(&journal, sold), (1000, 0, 0), "asked for is not taken on");
    kill(journal);
    let opened = shop.open();
    assert_eq!(opened.open, [sale.clone()], "a paid sale with a refund is owed");
    let mut journal = opened.journal;

    shop.now = sold.end() + Duration::from_secs(1);
    let (number, accepted_at) = ("5000".to_owned(), shop.now);
    for refund in &mut sale.refunds {
        let gateway_number = number.clone();
        refund.phase =
            crate::refund::Phase::Accepted { gateway_number, accepted_at, since: accepted_at, called: false };
    }
    shop.append(&mut journal, &mut sale, "accepted", None, Durability::PowerCut);
    assert_eq!((refunds(&journal, sold), refunds(&journal, shop.now.day())), ((1000, 0, 0), (0, 2, 500)));
    shop.now = shop.now.day().end() + Duration::from_secs(1);
    sale.refunds[0].phase = crate::refund::Phase::Returned { gateway_number: number.clone(), accepted_at };
    sale.refunds[1].phase = crate::refund::Phase::Closed { gateway_number: number };
    shop.append(&mut journal, &mut sale, "over", None, Durability::PowerCut);
    assert_eq!(refunds(&journal, accepted_at.day()), (0, 1, 300), "what was closed leaves its day");
    verify_all(&shop.settings()).unwrap();
    kill(journal);
    let opened = shop.open();
    assert_eq!(opened.open, []);
    opened.journal.close().unwrap();
    Connection::open(shop.file(FILE))
        .unwrap()
        .execute_batch("UPDATE day SET refunded = refunded + 1")
        .unwrap();
    assert!(verify_all(&shop.settings()).is_err(), "a total that no refund explains is noticed");
}

#[test]
fn only_another_boot_without_an_end_in_order_can_have_lost_unsynced_steps() {
    let mut shop = Shop::new();
    let opened = shop.open();
    assert!(!opened.unsynced_lost, "a new journal has nothing to lose");
    opened.journal.close().unwrap();
    shop.boot = [2; 16];
    let opened = shop.open();
    assert!(!opened.unsynced_lost, "it ended in order");
    kill(opened.journal);
    let opened = shop.open();
    assert!(!opened.unsynced_lost, "the same boot");
    kill(opened.journal);
    shop.boot = [3; 16];
    assert!(shop.open().unsynced_lost);
}

#[test]
fn only_the_owner_can_look_into_the_journal() {
    use std::os::unix::fs::PermissionsExt;
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&shop.settings().dir), 0o700);
    for file in std::fs::read_dir(shop.settings().dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_person_with_an_sqlite_shell_delays_a_sale_and_ends_nothing() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let sale = shop.sale(&mut journal, 1);
    let entry = Entry { at: shop.now, event: "open", sale: &sale, job: None };
    let other = rusqlite::Connection::open(shop.file(FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(journal.open_sale(&entry, "key", ""), Err(JournalError::Failed { .. })));
    other.execute_batch("ROLLBACK").unwrap();
    journal.open_sale(&entry, "key", "").unwrap();
}

#[test]
fn a_journal_that_never_kept_anything_may_vanish() {
    let shop = Shop::new();
    shop.open().journal.close().unwrap();
    std::fs::remove_file(shop.file("journal.db")).unwrap();
    assert!(shop.try_open().is_ok(), "nothing was promised");
}

#[test]
fn numbers_go_on_after_those_that_a_witness_did_not_live_to_note() {
    let mut shop = Shop::new();
    shop.open().journal.close().unwrap();
    let early = std::fs::read(shop.file("witness")).unwrap();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    let last = shop.sell(&mut journal, 2);
    kill(journal);
    std::fs::write(shop.file("witness"), early).unwrap();
    let mut journal = shop.open().journal;
    let next = shop.sell(&mut journal, 3);
    assert!(next.id.as_str()[9..15] > last.id.as_str()[9..15], "{} after {}", next.id, last.id);
}

#[test]
fn what_a_killed_process_left_in_the_log_is_in_the_database_after_an_idle_moment() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    kill(journal);
    let steps_without_the_log = || {
        let copy = shop.dir.path().join("copy.db");
        std::fs::copy(shop.file("journal.db"), &copy).unwrap();
        let conn = rusqlite::Connection::open(copy).unwrap();
        conn.query_row("SELECT count(*) FROM step", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(steps_without_the_log(), 0);
    let mut journal = shop.open().journal;
    journal.idle().unwrap();
    assert_eq!(steps_without_the_log(), 5);
}

#[test]
fn lives_that_are_all_cut_off_before_an_idle_moment_do_not_fill_the_disk() {
    let mut shop = Shop::new();
    let log = store::log_path(&shop.file(FILE));
    for _ in 0..60 {
        let mut journal = shop.open().journal;
        let begun = std::fs::metadata(&log).map_or(0, |log| log.len());
        // What is allowed, and what a life adds.
        assert!(begun <= 5 << 20, "a life begins with a log of {begun} bytes");
        for _ in 0..10 {
            shop.sell(&mut journal, 1);
        }
    }
}

/// What the newest note in the witness claims: the last synced step and the last step.
fn claimed(shop: &Shop) -> (i64, i64) {
    let (_, notes) = witness::Witness::open(&shop.settings().dir).unwrap().unwrap();
    (notes[0].synced.seq, notes[0].head.seq)
}

#[test]
fn a_checkpoint_that_a_reader_holds_up_promises_nothing() {
    let mut shop = Shop::new();
    for held_up in [true, false] {
        let mut journal = shop.open().journal;
        shop.sell(&mut journal, 1);
        kill(journal);
        // A log that is there at a start is due at the next idle moment.
        let mut journal = shop.open().journal;
        let reader = rusqlite::Connection::open(shop.file(FILE)).unwrap();
        if held_up {
            reader.execute_batch("BEGIN; SELECT count(*) FROM step;").unwrap();
        }
        let mut sale = shop.begin(&mut journal, 2);
        shop.scan(&mut journal, &mut sale);
        let (synced, head) = claimed(&shop);
        assert_eq!(head, synced + 1, "the scan is not synced");
        journal.idle().unwrap();
        assert_eq!(claimed(&shop), (if held_up { synced } else { head }, head));
        drop(reader);
        kill(journal);
    }
}

#[test]
fn idle_moments_keep_the_log_short() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let log = store::log_path(&shop.file(FILE));
    for _ in 0..100 {
        shop.sell(&mut journal, 1);
        journal.idle().unwrap();
        let length = std::fs::metadata(&log).unwrap().len();
        assert!(length < 8 << 20, "a log of {length} bytes");
    }
}
