//! What the log remembers is put back into a journal that has lost it: as recorded, or to be asked about, never guessed.

use super::*;
use crate::payment::Reason;

fn told(shop: &Shop, id: &str, number: u64) -> Remembered {
    Remembered {
        id: id.parse().unwrap(),
        number,
        amount: Amount::from_fen(1250).unwrap(),
        subject: "朝阳门店-消费".to_owned(),
        reference: Some("POS-4711".to_owned()),
        gateway: "wechat".to_owned(),
        at: shop.now,
        attempts: 1,
        paid: None,
        receipt: ReceiptState::Unconfirmed,
        copies: 0,
    }
}

fn proof(shop: &Shop) -> Proof {
    Proof { gateway_txn: "42000099".to_owned(), paid_at: shop.now, payer_paid: 1250, coupon: 0 }
}

/// A shop with one sale behind it and one open, that then loses its database and its witness. On its first day there is
/// no copy.
fn lost() -> (Shop, Sale) {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    let open = shop.begin(&mut journal, 1250);
    kill(journal);
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "witness"] {
        let _ = std::fs::remove_file(shop.file(name));
    }
    (shop, open)
}

#[test]
fn a_lost_sale_is_open_again_under_each_of_its_order_numbers() {
    let (shop, open) = lost();
    let remembered = [
        Remembered { attempts: 3, ..told(&shop, open.id.as_str(), 2) },
        Remembered {
            paid: Some((1, proof(&shop))),
            receipt: ReceiptState::Printed,
            copies: 2,
            ..told(&shop, "T01261121000003000003", 3)
        },
        Remembered {
            paid: Some((2, proof(&shop))),
            attempts: 2,
            copies: 1,
            ..told(&shop, "T01261121000004000004", 4)
        },
    ];
    let restored = restore(&shop.settings(), &remembered).unwrap();
    assert_eq!(restored.recalled, Recalled { paid: 2, asked: 1 });
    verify_all(&shop.settings()).unwrap();

    let opened = shop.open();
    let phases = |sale: &Sale| sale.payment.attempts.iter().map(|a| a.phase.label()).collect::<Vec<_>>();
    let of = |id: &str| opened.journal.records().sale(&id.parse().unwrap()).unwrap().unwrap();
    let back = of(open.id.as_str());
    assert_eq!(phases(&back), ["refused", "refused", "armed"], "each is looked up, none is taken for paid");
    assert!(back.payment.single, "no customer stands there any more");
    assert_eq!(back.reference.as_deref(), Some("POS-4711"));
    // The first is printed for certain, the second's receipt is a person's to look for.
    assert_eq!(phases(&of("T01261121000003000003")), ["paid"]);
    assert_eq!(phases(&of("T01261121000004000004")), ["refused", "paid"]);
    let jobs: Vec<_> = opened.jobs.iter().map(|job| (job.sale.as_str(), job.state, job.marked)).collect();
    assert_eq!(jobs, [("T01261121000004000004", ReceiptState::Unconfirmed, true)]);
    let open_now: Vec<_> = opened.open.iter().map(|sale| sale.id.as_str()).collect();
    assert_eq!(open_now, [open.id.as_str(), "T01261121000004000004"]);
    let totals = opened.journal.records().totals(shop.now.day()).unwrap();
    assert_eq!((totals.paid_count, totals.paid_fen), (2, 2500));

    // Nothing is put back twice, and a name that was given out is not given again.
    let mut journal = opened.journal;
    let next = journal.name_sale(shop.now.day()).unwrap();
    assert!(next.as_str()[9..].starts_with("000005"), "{next}");
    kill(journal);
    let again = restore(&shop.settings(), &remembered).unwrap();
    assert_eq!(again.recalled, Recalled::default());
}

#[test]
fn a_sale_of_the_copy_goes_on_where_the_log_says_that_it_did() {
    for paid in [false, true] {
        let mut shop = Shop::new();
        let mut journal = shop.open().journal;
        let mut open = shop.begin(&mut journal, 1250);
        shop.scan(&mut journal, &mut open);
        kill(journal);
        let kept = || -> Vec<_> {
            let files = ["journal.db", "journal.db-wal"].map(|name| shop.file(name));
            files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
        };
        let early = kept();
        let mut journal = shop.open().journal;
        let mut later = open.clone();
        let refusal = Refusal { code: String::new(), text: String::new(), reason: Reason::Other };
        later.payment.attempts[0].phase = Phase::Refused { sent_at: shop.now, refusal };
        later.payment.attempts.push(Attempt::armed(shop.now, &Policy::default()));
        shop.append(&mut journal, &mut later, "refused", None, Durability::PowerCut);
        journal.close().unwrap();
        for (file, bytes) in early {
            std::fs::write(file, bytes).unwrap();
        }
        shop.now = shop.now + Duration::from_secs(30);
        let paid = paid.then(|| (2, proof(&shop)));
        let recorded = paid.is_some();
        let (receipt, copies) =
            if recorded { (ReceiptState::Printed, 1) } else { (ReceiptState::Unconfirmed, 0) };
        let told = Remembered {
            at: open.created_at,
            attempts: 2,
            paid,
            receipt,
            copies,
            ..told(&shop, open.id.as_str(), 1)
        };
        let restored = restore(&shop.settings(), &[told]).unwrap();
        assert_eq!((restored.newest, restored.seen), (2, 3));
        let counts = Recalled { paid: recorded.into(), asked: (!recorded).into() };
        assert_eq!(restored.recalled, counts);
        let opened = shop.open();
        let phases: Vec<_> = opened.open[0].payment.attempts.iter().map(|a| a.phase.label()).collect();
        assert_eq!(phases, ["refused", if recorded { "paid" } else { "armed" }]);
        let sale = &opened.open[0];
        let hints: Vec<_> = sale.payment.attempts.iter().map(|attempt| attempt.hint.clone()).collect();
        assert_eq!(hints, [CodeHint::from_digits("8406"), None]);
        assert_eq!((sale.receipt, sale.copies), (receipt, copies));
        assert_eq!(sale.updated_at, if recorded { shop.now } else { open.updated_at });
    }
}

#[test]
fn a_number_that_another_sale_has_by_now_is_not_taken_twice() {
    let (mut shop, open) = lost();
    restore(&shop.settings(), &[]).unwrap();
    // Without a witness numbers begin anew.
    let mut journal = shop.open().journal;
    let new = shop.sell(&mut journal, 7);
    journal.close().unwrap();
    let paid = Some((1, proof(&shop)));
    let remembered = [
        Remembered { paid: paid.clone(), copies: 1, ..told(&shop, "T01261121000001000009", 1) },
        Remembered { paid, copies: 1, ..told(&shop, open.id.as_str(), 2) },
    ];
    let restored = restore(&shop.settings(), &remembered).unwrap();
    assert_eq!(restored.recalled, Recalled { paid: 2, asked: 0 });
    verify_all(&shop.settings()).unwrap();
    let opened = shop.open();
    let jobs: Vec<_> = opened.jobs.iter().map(|job| (job.job, job.sale.as_str())).collect();
    assert_eq!(jobs, [(2, "T01261121000001000009"), (3, open.id.as_str())], "the first is the new sale's");
    let mut journal = opened.journal;
    assert_eq!(journal.records().sale(&new.id).unwrap(), Some(new));
    let next = journal.name_sale(shop.now.day()).unwrap();
    assert!(next.as_str()[9..].starts_with("000004"), "{next}");
}

#[test]
fn a_sale_that_is_over_stays_as_the_journal_has_it() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let over = shop.sell(&mut journal, 1250);
    journal.close().unwrap();
    let told = Remembered { attempts: 2, ..told(&shop, over.id.as_str(), 1) };
    let restored = restore(&shop.settings(), &[told]).unwrap();
    assert_eq!(restored.recalled, Recalled::default());
    assert_eq!(shop.open().journal.records().sale(&over.id).unwrap(), Some(over));
}

#[test]
fn what_may_have_been_printed_in_lost_steps_says_so() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let mut waits = shop.begin(&mut journal, 1);
    shop.scan(&mut journal, &mut waits);
    shop.pay(&mut journal, &mut waits, 0);
    let open = shop.begin(&mut journal, 2);
    journal.close().unwrap();
    let early = std::fs::read(shop.file(FILE)).unwrap();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 3);
    journal.close().unwrap();
    std::fs::write(shop.file(FILE), early).unwrap();

    restore(&shop.settings(), &[]).unwrap();
    let opened = shop.open();
    assert!(opened.unsynced_lost, "what is queued may be out");
    let found = opened.open.iter().find(|sale| sale.id == open.id).unwrap();
    assert_eq!((found.receipt, found.copies), (ReceiptState::Unconfirmed, 0), "its receipt may be out, too");
    kill(opened.journal);

    // Where nothing is missing nothing is doubted.
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let open = shop.begin(&mut journal, 2);
    journal.close().unwrap();
    let whole = restore(&shop.settings(), &[]).unwrap();
    assert_eq!(whole.newest, whole.seen);
    let opened = shop.open();
    assert_eq!((opened.open, opened.unsynced_lost), (vec![open], false));
}

#[test]
fn a_loss_is_found_again_until_it_is_marked() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let mut sale = shop.begin(&mut journal, 1);
    shop.scan(&mut journal, &mut sale);
    shop.pay(&mut journal, &mut sale, 0);
    kill(journal);
    shop.boot = [2; 16];
    // A start that is killed before it has marked what may be printed already, also after it has kept a step.
    let opened = shop.open();
    assert!(opened.unsynced_lost);
    let mut journal = opened.journal;
    shop.begin(&mut journal, 2);
    kill(journal);
    let opened = shop.open();
    assert!(opened.unsynced_lost, "the first start marked nothing");
    let mut journal = opened.journal;
    journal.loss_is_marked().unwrap();
    kill(journal);
    assert!(!shop.open().unsynced_lost);
}
