//! What readers find: lives, pages, searches; also in a process that does not own the journal.

use super::*;

#[test]
fn a_life_is_told_step_by_step_in_the_words_it_was_written_in() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    shop.sell(&mut journal, 7);
    let sale = shop.sell(&mut journal, 1250);
    let records = read_only(&shop.settings()).unwrap();
    let life = records.life(&sale.id).unwrap();
    let number = sale.payment.paid().unwrap().1.gateway_txn.clone();
    let told: Vec<&str> = life.iter().map(|step| step.event.as_str()).collect();
    let (opened, paid) = (format!("open {}", sale.id), format!("paid {} {number}", sale.id));
    assert_eq!(told, [opened.as_str(), "scan", &paid, "sending", "printed"]);
    let phases: Vec<SalePhase> = life.iter().map(|step| step.sale.payment.phase()).collect();
    use SalePhase::{AwaitingCode, Paid, Paying};
    assert_eq!(phases, [AwaitingCode, Paying, Paid, Paid, Paid]);
    assert_eq!(life.last().unwrap().sale, sale);
    assert_eq!(records.newest().unwrap(), 10);
    assert_eq!(records.after(5, 99).unwrap(), life);
    assert_eq!(records.after(5, 2).unwrap(), life[..2]);
    assert_eq!(records.after(10, 99).unwrap(), []);
}

#[test]
fn steps_of_sales_that_go_on_together_are_told_each_with_its_own_sale() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let mut sales = [shop.begin(&mut journal, 7), shop.begin(&mut journal, 8)];
    for sale in &mut sales {
        shop.scan(&mut journal, sale);
    }
    for sale in &mut sales {
        shop.pay(&mut journal, sale, 0);
    }
    let records = journal.records();
    let told = records.after(0, 99).unwrap();
    let mut lives: Vec<_> = sales.iter().flat_map(|sale| records.life(&sale.id).unwrap()).collect();
    lives.sort_by_key(|step| step.sequence);
    assert_eq!(told, lives);
    let whose: Vec<&str> = told.iter().map(|step| step.sale.id.as_str()).collect();
    let [one, two] = [sales[0].id.as_str(), sales[1].id.as_str()];
    assert_eq!(whose, [one, two, one, two, one, two]);
}

#[test]
fn a_file_of_an_older_form_is_not_read_by_guessing() {
    let shop = Shop::new();
    std::fs::create_dir_all(shop.settings().dir).unwrap();
    std::fs::write(shop.file(FILE), "").unwrap();
    let refused = read_only(&shop.settings()).err().unwrap().to_string();
    assert!(refused.contains("its schema is 0, expected 2\nhelp: start the daemon once"), "{refused}");
}

#[test]
fn the_log_is_paged_newest_first_and_filtered() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let mut sold: Vec<Sale> = (1..=5).map(|fen| shop.sell(&mut journal, fen)).collect();
    let first_day = shop.now.day();
    shop.now = first_day.end();
    sold.push(shop.sell(&mut journal, 6));
    sold.push(shop.begin(&mut journal, 7));
    sold.reverse();
    let records = journal.records();
    let page = |filter: &Filter| records.page(filter).unwrap();

    let all = page(&Filter { limit: 100, ..Filter::default() });
    assert_eq!((all.sales.as_slice(), all.next), (sold.as_slice(), None));

    let mut filter = Filter { limit: 3, ..Filter::default() };
    let mut read = Vec::new();
    loop {
        let page = page(&filter);
        read.extend(page.sales);
        filter.before = page.next;
        if filter.before.is_none() {
            break;
        }
    }
    assert_eq!(read, sold);

    let day = Filter { day: Some(first_day), limit: 100, ..Filter::default() };
    assert_eq!(page(&day).sales, sold[2..]);
    let phase = |phase| Filter { phase: Some(phase), limit: 100, ..Filter::default() };
    assert_eq!(page(&phase(SalePhase::AwaitingCode)).sales, sold[..1]);
    assert_eq!(page(&phase(SalePhase::Paid)).sales, sold[1..]);
    assert_eq!(page(&phase(SalePhase::InDoubt)).sales, []);
    let reference = Filter { reference: Some("POS-4".to_owned()), limit: 100, ..Filter::default() };
    assert_eq!(page(&reference).sales, sold[3..4]);
}

#[test]
fn a_sale_is_found_by_what_is_on_the_receipt_the_pos_and_the_phone() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let sold: Vec<Sale> = (101..=110).map(|fen| shop.sell(&mut journal, fen)).collect();
    let records = journal.records();
    let find = |text: &str| {
        let filter = Filter { text: Some(text.to_owned()), limit: 100, ..Filter::default() };
        records.page(&filter).unwrap().sales
    };
    let sale = &sold[3];
    let id = sale.id.as_str();
    let order = sale.id.order(1);
    let number = &sale.payment.paid().unwrap().1.gateway_txn;
    for text in [id, &id[..id.len() - 2], &id[id.len() - 6..], order.as_str(), "POS-104", "OS-104", number] {
        assert_eq!(find(text), std::slice::from_ref(sale), "{text}");
    }
    assert_eq!(find(&order.as_str()[order.as_str().len() - 8..]), std::slice::from_ref(sale));
    assert_eq!(find(&id.to_ascii_lowercase()), std::slice::from_ref(sale));
    assert_eq!(find(&id[id.len() - 6..].to_ascii_lowercase()), std::slice::from_ref(sale));
    assert_eq!(find("POS-").len(), 10);
    assert_eq!(find("pos-104"), std::slice::from_ref(sale));
    let mut filter = Filter { text: Some("POS-1".to_owned()), limit: 3, ..Filter::default() };
    let mut read = Vec::new();
    loop {
        let page = records.page(&filter).unwrap();
        assert!(page.sales.len() <= 3);
        read.extend(page.sales);
        filter.before = page.next;
        if filter.before.is_none() {
            break;
        }
    }
    assert!(read.iter().eq(sold.iter().rev()), "page by page, each once");
    let with = |filter: Filter| records.page(&Filter { text: Some("POS-1".to_owned()), ..filter }).unwrap();
    let whole = with(Filter { limit: 10, ..Filter::default() });
    assert_eq!((whole.sales.len(), whole.next), (10, None), "there is no next page");
    let (today, tomorrow) = (sold[0].created_at.day(), sold[0].created_at.day().end().day());
    for (filter, hits) in [
        (Filter { day: Some(today), limit: 100, ..Filter::default() }, 10),
        (Filter { day: Some(tomorrow), limit: 100, ..Filter::default() }, 0),
        (Filter { phase: Some(SalePhase::Paid), limit: 100, ..Filter::default() }, 10),
        (Filter { phase: Some(SalePhase::Declined), limit: 100, ..Filter::default() }, 0),
        (Filter { reference: Some("POS-107".to_owned()), limit: 100, ..Filter::default() }, 1),
    ] {
        assert_eq!(with(filter.clone()).sales.len(), hits, "{filter:?}");
    }
    assert_eq!(find("POS-104'; DROP TABLE sale; --"), []);
    assert_eq!(find("没有"), []);
    assert_eq!(find("%"), []);
}

#[test]
fn readers_see_only_whole_steps_while_sales_go_on() {
    let mut shop = Shop::new();
    let mut journal = shop.open().journal;
    let records = read_only(&shop.settings()).unwrap();
    std::thread::scope(|scope| {
        let seller = scope.spawn(move || {
            for fen in 1..=100 {
                shop.sell(&mut journal, fen);
                journal.idle().unwrap();
            }
            shop
        });
        while !seller.is_finished() {
            let page = records.page(&Filter { limit: 50, ..Filter::default() }).unwrap();
            for sale in page.sales {
                let life = records.life(&sale.id).unwrap();
                assert!(life.iter().any(|step| step.sale == sale), "{sale:?}");
            }
        }
        seller.join().unwrap();
    });
}
