//! What is missing or changed is noticed, and nothing is repaired in silence.

use super::*;

/// What the witness or the chain finds at the next start.
fn found(shop: &Shop) -> String {
    match shop.try_open() {
        Err(JournalError::Damaged { what, .. }) => what,
        Err(other) => panic!("expected Damaged, got {other}"),
        Ok(_) => panic!("expected Damaged, got a journal"),
    }
}

#[test]
fn a_log_that_was_deleted_is_noticed() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    kill(journal);
    std::fs::remove_file(shop.file("journal.db-wal")).unwrap();
    std::fs::remove_file(shop.file("journal.db-shm")).unwrap();
    assert!(found(&shop).contains("missing, which the witness saw"));
}
