//! The simulated gateway's counter: what is not signed moves no money, messages are read as they are written, and a bill
//! has a line for each payment, whatever the payer was shown.

use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Certificate, Delivery};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::wire::{self, SignType};
use micropayd::simulator::world::Offer;

use super::head;
use super::merchant::{FEE, KEY, NOW, ask, front, order};

/// The first byte chooses the API; the rest is a request's body, and a subject for a bill.
pub fn holds(mut data: &[u8]) {
    let [choice] = head(&mut data);
    counter(Api::ALL[usize::from(choice) % Api::ALL.len()], data);
    if let Ok(subject) = std::str::from_utf8(data) {
        bill(subject);
    }
}

fn counter(api: Api, body: &[u8]) {
    let mut gateway = front();
    let (code, _) = gateway.world.new_code(NOW, Mood::Pay, Offer::default());
    let before = format!("{:?}", gateway.world.query(NOW, &which()));
    let Delivery::Answer(answer) = gateway.call(NOW, api, body, Certificate::NotAsked) else {
        panic!("fair weather, and no answer");
    };
    let Ok(fields) = wire::read(body) else {
        assert!(String::from_utf8_lossy(&answer.body).contains("FAIL"), "what is no message is refused");
        return;
    };
    assert_eq!(wire::read(wire::write(&fields).as_bytes()).as_ref(), Ok(&fields), "written and read again");
    let signed =
        SignType::of(&fields).is_some_and(|kind| fields.get("sign") == Some(&wire::sign(&fields, KEY, kind)));
    assert!(
        signed || format!("{:?}", gateway.world.query(NOW, &which())) == before,
        "unsigned, and carried out"
    );
    let calls: Vec<_> = gateway.calls().collect();
    assert!(!format!("{calls:?}").contains(&code), "a code is kept");
}

fn which() -> micropayd::simulator::world::Which {
    micropayd::simulator::world::Which::Order(order().number.as_str().to_owned())
}

fn bill(subject: &str) {
    let mut gateway = front();
    let (code, _) = gateway.world.new_code(NOW, Mood::Pay, Offer::default());
    let order = order();
    let pay = [
        ("auth_code", code.as_str()),
        ("body", subject),
        ("out_trade_no", order.number.as_str()),
        ("spbill_create_ip", "127.0.0.1"),
        ("total_fee", FEE),
    ];
    let paid = ask(&mut gateway, Api::Micropay, &pay, SignType::HmacSha256);
    let paid = wire::read(&paid).expect("the simulator writes what it can read");
    if paid.get("result_code").map(String::as_str) != Some("SUCCESS") {
        return;
    }
    let own = [("bill_date", "20261121"), ("bill_type", "ALL")];
    let bill = ask(&mut gateway, Api::Downloadbill, &own, SignType::HmacSha256);
    let bill = String::from_utf8(bill).expect("a bill is text");
    let lines: Vec<&str> = bill.trim_start_matches('\u{feff}').split_terminator("\r\n").collect();
    let [titles, line, summary, sums] = lines[..] else {
        panic!("{} lines for one payment: {bill}", lines.len())
    };
    let cells: Vec<&str> = line.trim_start_matches('`').split(",`").collect();
    assert_eq!(cells.len(), titles.split(',').count(), "{bill}");
    assert_eq!((cells[6], cells[24]), (order.number.as_str(), "12.50"), "{bill}");
    assert_eq!(sums.split(",`").count(), summary.split(',').count(), "{bill}");
}
