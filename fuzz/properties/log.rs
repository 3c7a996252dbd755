//! The log that a lost journal is put back from: whatever is in it, a sale that is read back stands there with its name, its
//! beginning and its amount, and is paid only where a line says so of one of its own order numbers. So does a refund, which
//! is over only where a line says so.

use micropayd::money::Amount;
use micropayd::refund::Phase;
use micropayd::terminal::remembered::{Common, read};

/// The lines as they come.
pub fn holds(data: &[u8]) {
    let terminal: micropayd::ids::TerminalId = "T01".parse().expect("a name");
    let common =
        Common { terminal, subject: "subject".to_owned(), gateway: "wechat".to_owned(), prints: true };
    let memory = read(data, &common).expect("memory does not fail");
    let text = String::from_utf8_lossy(data);
    let mut ids: Vec<&str> = memory.told.sales.iter().map(|sale| sale.id.as_str()).collect();
    for sale in &memory.told.sales {
        let (_, number) = sale.id.made_of(&common.terminal).expect("another terminal's sale");
        assert_eq!(number, sale.number);
        let mut opened = text.lines().filter(|line| line.contains(sale.id.as_str()));
        let amount = sale.amount.fen();
        let is_its = |line: &str| {
            let amounts = line.split(" opened ").skip(1).filter_map(|rest| rest.split_whitespace().next());
            let mut amounts = amounts.filter_map(|word| word.parse::<Amount>().ok());
            amounts.any(|told| told.fen() == amount)
        };
        assert!(opened.any(is_its), "{} was opened with another amount", sale.id);
        assert!((1..=micropayd::ids::ATTEMPTS_MAX).contains(&sale.attempts));
        if let Some((ordinal, proof)) = &sale.paid {
            assert!((1..=sale.attempts).contains(ordinal), "an attempt that never was");
            assert_eq!(proof.payer_paid.checked_add(proof.coupon), Some(amount), "it does not add up");
            let order = sale.id.order(*ordinal);
            let says = |line: &str| line.contains(&format!("{order} ")) && line.contains(&proof.gateway_txn);
            assert!(text.lines().any(says), "{order} is nowhere paid");
        }
    }
    for refund in &memory.told.refunds {
        let (sale, number) = (refund.number.split().0, refund.number.as_str());
        assert!(sale.made_of(&common.terminal).is_some(), "another terminal's refund");
        let says = |what: &str| {
            text.lines().any(|line| line.contains(&format!("{sale} {number} ")) && line.contains(what))
        };
        let asked = format!("{number} of ");
        let amounts = text.split(&asked).skip(1);
        let mut amounts = amounts.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        assert!(amounts.any(|told: Amount| told == refund.amount), "{number} of another amount");
        if !matches!(refund.phase, Phase::Asking(_)) {
            assert!(says(&format!("-> refund {}", refund.phase.label())), "{number} nowhere came so far");
        }
        let gateway_number = refund.phase.gateway_number();
        assert!(gateway_number.is_none_or(says), "{number} with a number from nowhere");
    }
    ids.sort_unstable();
    assert!(ids.windows(2).all(|two| two[0] != two[1]), "a sale that is there twice");
}
