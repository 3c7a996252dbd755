//! What the log remembers is put back into a journal that has lost it: as recorded, or to be asked about, never guessed.

use std::collections::BTreeMap;

use super::*;
use crate::ids::{REFUNDS_MAX, SaleId};
use crate::payment::Reason;
use crate::refund::{self, Refund};

fn told(shop: &Shop, id: &str, number: u64) -> RememberedSale {
    RememberedSale {
        id: id.parse().unwrap(),
        number,
        amount: Amount::from_fen(1250).unwrap(),
        subject: "朝阳门店-消费".to_owned(),
        reference: Some("POS-4711".to_owned()),
        gateway: "wechat".to_owned(),
        at: shop.now,
        attempts: 1,
        paid: None,
        contradicted: false,
        taken_back: BTreeMap::new(),
        receipt: ReceiptState::Unconfirmed,
        copies: 0,
    }
}

fn sales(sales: impl Into<Vec<RememberedSale>>) -> Remembered {
    Remembered { sales: sales.into(), refunds: Vec::new() }
}

fn proof(shop: &Shop) -> Proof {
    Proof { gateway_txn: "42000099".to_owned(), paid_at: shop.now, payer_paid: 1250, coupon: 0 }
}

/// Database and witness are gone.
fn lose(shop: &Shop) {
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "witness"] {
        let _ = std::fs::remove_file(shop.file(name));
    }
}

/// A shop with one sale behind it and one open, that then loses its database and its witness. On its first day there is
/// no copy.
fn lost() -> (Shop, Sale) {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 1);
    let open = shop.begin(&mut journal, 1250);
    kill(journal);
    lose(&shop);
    (shop, open)
}

#[test]
fn a_lost_sale_is_open_again_under_each_of_its_order_numbers() {
    let (shop, open) = lost();
    let remembered = sales([
        RememberedSale { attempts: 3, ..told(&shop, open.id.as_str(), 2) },
        RememberedSale {
            paid: Some((1, proof(&shop))),
            receipt: ReceiptState::Printed,
            copies: 2,
            ..told(&shop, "T01261121000003000003", 3)
        },
        RememberedSale {
            paid: Some((2, proof(&shop))),
            attempts: 2,
            copies: 1,
            ..told(&shop, "T01261121000004000004", 4)
        },
    ]);
    let restored = shop.restore(&remembered).unwrap();
    assert_eq!(restored.recalled, Recalled { paid: 2, asked: 1, ..Recalled::default() });
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
    let again = shop.restore(&remembered).unwrap();
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
        let told = RememberedSale {
            at: open.created_at,
            attempts: 2,
            paid,
            receipt,
            copies,
            ..told(&shop, open.id.as_str(), 1)
        };
        let restored = shop.restore(&sales([told])).unwrap();
        assert_eq!((restored.newest, restored.seen), (2, 3));
        let counts = Recalled { paid: recorded.into(), asked: (!recorded).into(), ..Recalled::default() };
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
    shop.restore(&Remembered::default()).unwrap();
    // Without a witness numbers begin anew.
    let mut journal = shop.open().journal;
    let new = shop.sell(&mut journal, 7);
    journal.close().unwrap();
    let paid = Some((1, proof(&shop)));
    let remembered = sales([
        RememberedSale { paid: paid.clone(), copies: 1, ..told(&shop, "T01261121000001000009", 1) },
        RememberedSale { paid, copies: 1, ..told(&shop, open.id.as_str(), 2) },
    ]);
    let restored = shop.restore(&remembered).unwrap();
    assert_eq!(restored.recalled, Recalled { paid: 2, ..Recalled::default() });
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
    let told = RememberedSale { attempts: 2, ..told(&shop, over.id.as_str(), 1) };
    let restored = shop.restore(&sales([told])).unwrap();
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

    shop.restore(&Remembered::default()).unwrap();
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
    let whole = shop.restore(&Remembered::default()).unwrap();
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

fn refund_told(shop: &Shop, sale: &SaleId, ordinal: u8, phase: refund::Phase) -> RememberedRefund {
    RememberedRefund {
        number: sale.refund(ordinal, 4711),
        amount: Amount::from_fen(500).unwrap(),
        reason: Some("商品有瑕疵".to_owned()),
        asked_at: shop.now,
        phase,
        at: shop.now + Duration::from_secs(1),
    }
}

fn asking(shop: &Shop) -> refund::Phase {
    refund::Phase::Asking(refund::Asking {
        since: shop.now,
        under_way: false,
        left_at: Some(shop.now),
        refused: None,
        asked_late: false,
        called: false,
    })
}

fn returned(shop: &Shop) -> refund::Phase {
    refund::Phase::Returned { gateway_number: "50300002".to_owned(), accepted_at: shop.now }
}

#[test]
fn a_lost_refund_is_there_again_as_far_as_it_went() {
    let (shop, _) = lost();
    let id: SaleId = "T01261121000003000003".parse().unwrap();
    // Paid, and nobody knows whether its receipt came out: the refunds must not order another.
    let paid = Some((1, proof(&shop)));
    let unpaid = told(&shop, "T01261121000004000004", 4);
    // Paid, and then the gateway said that it was closed.
    let doubted = RememberedSale {
        paid: paid.clone(),
        contradicted: true,
        receipt: ReceiptState::Printed,
        copies: 1,
        ..told(&shop, "T01261121000006000006", 6)
    };
    let never: SaleId = "T01261121000005000005".parse().unwrap();
    let remembered = Remembered {
        refunds: vec![
            refund_told(&shop, &id, 1, returned(&shop)),
            refund_told(&shop, &id, 2, asking(&shop)),
            refund_told(&shop, &unpaid.id, 1, asking(&shop)),
            refund_told(&shop, &never, 1, asking(&shop)),
            refund_told(&shop, &doubted.id, 1, returned(&shop)),
        ],
        sales: vec![
            RememberedSale { paid, copies: 1, ..told(&shop, id.as_str(), 3) },
            unpaid,
            doubted.clone(),
        ],
    };
    let restored = shop.restore(&remembered).unwrap();
    assert_eq!(restored.recalled, Recalled { paid: 2, asked: 1, refunds: 3, refunds_left_out: 2 });
    verify_all(&shop.settings()).unwrap();

    let opened = shop.open();
    let back = opened.open.iter().find(|sale| sale.id == id).expect("it has a refund to follow");
    let phases: Vec<_> = back.refunds.iter().map(|refund| refund.phase.label()).collect();
    assert_eq!(phases, ["returned", "asking"]);
    assert_eq!((back.refunds[1].attempt, back.refundable()), (1, 250));
    assert!(back.refunds[1].wake.is_some() && back.refunds[0].wake.is_none());
    assert_eq!(back.refunds[1].reason.as_deref(), Some("商品有瑕疵"));
    assert_eq!(opened.jobs.len(), 1, "one receipt to look for");
    let doubted = opened.open.iter().find(|sale| sale.id == doubted.id).expect("it is asked about");
    assert_eq!((doubted.payment.phase(), doubted.refunds.len()), (SalePhase::InDoubt, 1));
    assert!(doubted.payment.paid().is_some() && doubted.payment.wake().is_some());
    let totals = opened.journal.records().totals(shop.now.day()).unwrap();
    assert_eq!((totals.paid_count, totals.refund_count, totals.refund_fen), (2, 2, 1000));
    kill(opened.journal);

    let again = shop.restore(&remembered).unwrap();
    assert_eq!(again.recalled, Recalled { refunds_left_out: 2, ..Recalled::default() }, "nothing twice");
}

#[test]
fn a_refund_of_the_copy_goes_on_and_never_back() {
    let stages: [fn(&Shop) -> refund::Phase; 6] = [
        asking,
        |_| {
            refund::Phase::Refused(Refusal {
                code: String::new(),
                text: String::new(),
                reason: Reason::Other,
            })
        },
        |shop| refund::Phase::Accepted {
            gateway_number: "50300002".to_owned(),
            accepted_at: shop.now,
            since: shop.now,
            called: false,
        },
        |shop| refund::Phase::Stuck {
            gateway_number: "50300002".to_owned(),
            accepted_at: shop.now,
            since: shop.now,
        },
        |_| refund::Phase::Closed { gateway_number: "50300002".to_owned() },
        returned,
    ];
    for (kept, kept_as) in stages.iter().enumerate() {
        for (heard, heard_as) in stages.iter().enumerate() {
            let mut shop = Shop::new();
            let mut journal = shop.open().journal;
            let mut sale = shop.sell(&mut journal, 1250);
            let mut own = refund_told(&shop, &sale.id, 1, kept_as(&shop));
            sale.refunds.push(Refund {
                number: own.number.clone(),
                attempt: 1,
                amount: own.amount,
                reason: None,
                key: refund_key("r1", "500"),
                asked_at: shop.now,
                phase: own.phase.clone(),
                wake: None,
            });
            shop.append(&mut journal, &mut sale, "refund", None, Durability::PowerCut);
            journal.close().unwrap();
            own.phase = heard_as(&shop);
            let told = Remembered { refunds: vec![own], ..Remembered::default() };
            let goes_on = heard > kept;
            let restored = shop.restore(&told).unwrap();
            assert_eq!(restored.recalled.refunds, u64::from(goes_on), "{kept} {heard}");
            verify_all(&shop.settings()).unwrap();
            let opened = shop.open();
            let found = opened.journal.records().sale(&sale.id).unwrap().unwrap();
            let expected = if goes_on { heard_as(&shop) } else { kept_as(&shop) };
            assert_eq!(found.refunds.len(), 1);
            assert_eq!(found.refunds[0].phase, expected, "{kept} {heard}");
            assert_eq!(found.refunds[0].key, refund_key("r1", "500"), "its key still finds it");
            assert_eq!(opened.open.len(), usize::from(found.refunds[0].is_open()), "followed if it is open");
            let totals = opened.journal.records().totals(shop.now.day()).unwrap();
            assert_eq!(totals.refund_count, u64::from(found.refunds[0].accepted_at().is_some()));
        }
    }
}

#[test]
fn what_was_being_taken_back_goes_on_so_also_in_a_sale_of_the_copy() {
    for kept in [false, true] {
        let mut shop = Shop::new();
        let mut journal = shop.open().journal;
        let mut open = shop.begin(&mut journal, 1250);
        shop.scan(&mut journal, &mut open);
        kill(journal);
        if !kept {
            lose(&shop);
        }
        let told = RememberedSale {
            attempts: 3,
            at: open.created_at,
            paid: Some((3, proof(&shop))),
            taken_back: BTreeMap::from([(1, Why::LatePaid), (2, Why::Interrupted), (3, Why::Interrupted)]),
            receipt: ReceiptState::Printed,
            copies: 1,
            ..told(&shop, open.id.as_str(), 1)
        };
        shop.restore(&sales([told])).unwrap();
        let opened = shop.open();
        let sale = opened.open.iter().find(|sale| sale.id == open.id).expect("it has money to give back");
        let labels: Vec<_> = sale.payment.attempts.iter().map(|a| a.phase.label()).collect();
        // What is on record as paid is not taken back for a line that says otherwise.
        assert_eq!(labels, ["reversing", "reversing", "paid"], "kept {kept}");
        assert!(sale.payment.attempts[..2].iter().all(|attempt| attempt.wake.is_some()));
        let Phase::Reversing(first) = &sale.payment.attempts[0].phase else { panic!("{sale:?}") };
        assert_eq!(first.money_seen, crate::payment::MoneySeen::Yes);
    }
}

/// WeChat takes 50; more could not be read back.
#[test]
fn no_more_refunds_are_put_back_than_a_sale_can_have() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let sale = shop.sell(&mut journal, 60_000);
    journal.close().unwrap();
    shop.now = shop.now + Duration::from_secs(60);
    let told = |random| RememberedRefund {
        number: sale.id.refund(1, random),
        ..refund_told(&shop, &sale.id, 1, returned(&shop))
    };
    let refunds: Vec<_> = (0..u32::from(REFUNDS_MAX) + 2).map(told).collect();
    let restored = shop.restore(&Remembered { refunds, ..Remembered::default() }).unwrap();
    let Recalled { refunds, refunds_left_out, .. } = restored.recalled;
    assert_eq!((refunds, refunds_left_out), (REFUNDS_MAX.into(), 2));
    verify_all(&shop.settings()).unwrap();
    let found = shop.open().journal.records().sale(&sale.id).unwrap().unwrap();
    assert_eq!(found.refunds.len(), usize::from(REFUNDS_MAX));
    assert_eq!(found.updated_at, shop.now + Duration::from_secs(1), "when the last of it was heard");
}
