//! Every fault does what its description says, and no lie passes for the truth.

use micropayd::simulator::dice::Dice;
use micropayd::simulator::fields::Api;
use micropayd::simulator::front::{Answer, Certificate, Delivery, Front, Manner, Merchant};
use micropayd::simulator::mood::Mood;
use micropayd::simulator::views::OrderView;
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::world::{Offer, Rules, World};
use micropayd::time::Timestamp;

use crate::rig::{Fields, fields, md5, read, xml};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const N: &str = "T0126112100000101";
const T: Timestamp = Timestamp(1_795_233_600_000);

/// The gateway without its sockets: what it decides, not how it is sent.
struct Counter {
    front: Front,
    now: Timestamp,
}

impl Counter {
    fn new() -> Self {
        let merchant =
            Merchant { app_id: "wx1".to_owned(), mch_id: "1900000109".to_owned(), api_key: KEY.to_owned() };
        Self { front: Front::new(merchant, World::new(1, Rules::default()), 1), now: T }
    }

    /// With one order paid, so that there is something to query, to reverse and to refund.
    fn with_order() -> Self {
        let mut counter = Self::new();
        assert!(matches!(counter.call(Api::Micropay), Delivery::Answer(_)));
        counter
    }

    fn under(mut self, fault: Fault) -> Self {
        self.front.weather.add(self.now, Rule::once(Where::Any, fault));
        self
    }

    fn call(&mut self, api: Api) -> Delivery {
        let mut request = fields(&[("appid", "wx1"), ("mch_id", "1900000109"), ("nonce_str", "n")]);
        let more: &[(&str, &str)] = match api {
            Api::Micropay => {
                let code = self.front.world.new_code(self.now, Mood::Pay, Offer::default()).0;
                request.insert("auth_code".to_owned(), code);
                &[
                    ("out_trade_no", N),
                    ("total_fee", "1250"),
                    ("body", "b"),
                    ("spbill_create_ip", "127.0.0.1"),
                ]
            }
            Api::Orderquery | Api::Reverse | Api::Refundquery => &[("out_trade_no", N)],
            Api::Refund => {
                &[("out_trade_no", N), ("total_fee", "1250"), ("refund_fee", "1250"), ("out_refund_no", "R1")]
            }
            Api::Downloadbill => &[("bill_date", "20261121")],
        };
        request.extend(fields(more));
        request.insert("sign".to_owned(), md5(&request, KEY));
        self.front.call(self.now, api, xml(&request).as_bytes(), Certificate::NotAsked)
    }

    fn order(&mut self) -> Option<OrderView> {
        self.front.world.order(self.now, N)
    }
}

/// A state in which calling `api` would change something.
fn before(api: Api) -> Counter {
    match api {
        Api::Micropay => Counter::new(),
        Api::Refundquery => {
            let mut counter = Counter::with_order();
            counter.call(Api::Refund);
            counter
        }
        _ => Counter::with_order(),
    }
}

/// Whether what was asked has been done.
fn done(api: Api, counter: &mut Counter) -> bool {
    let order = counter.order();
    match api {
        Api::Micropay => order.is_some_and(|order| order.charged > 0),
        Api::Reverse => order.is_some_and(|order| order.trade_state == "REVOKED"),
        Api::Refund => order.is_some_and(|order| !order.refunds.is_empty()),
        Api::Orderquery | Api::Refundquery | Api::Downloadbill => unreachable!("nothing to do"),
    }
}

fn message(delivery: &Delivery) -> Option<Fields> {
    let Delivery::Answer(Answer { status: 200, body, .. }) = delivery else { return None };
    let text = std::str::from_utf8(body).ok()?;
    (text.starts_with("<xml>") && text.ends_with("</xml>")).then(|| read(text))
}

fn authentic(message: &Fields) -> bool {
    message.get("sign").is_some_and(|sign| *sign == md5(message, KEY))
}

#[test]
fn faults_do_or_leave_undone_what_they_say() {
    for fault in Fault::ALL {
        // The descriptions are what users go by, so they are held to their word.
        let about = fault.about().to_lowercase();
        let expected = !about.contains("nothing");
        for api in
            [Api::Micropay, Api::Reverse, Api::Refund].into_iter().filter(|api| fault.apis().contains(api))
        {
            let mut counter = before(api).under(*fault);
            counter.call(api);
            assert_eq!(done(api, &mut counter), expected, "{fault} on {api:?}: {about}");
        }
    }
}

#[test]
fn no_lie_passes_for_the_truth() {
    let lies = [Fault::Unsigned, Fault::Forged, Fault::WrongSignType];
    let elsewhere = [Fault::OtherOrder, Fault::OtherAmount, Fault::OtherMerchant];
    for api in [Api::Micropay, Api::Orderquery, Api::Reverse, Api::Refund, Api::Refundquery] {
        for fault in lies {
            let told = message(&before(api).under(fault).call(api)).unwrap();
            assert_eq!(told["result_code"], "SUCCESS", "a lie is tempting");
            assert!(!authentic(&told), "{fault} on {api:?}");
        }
        for fault in elsewhere.into_iter().filter(|fault| fault.apis().contains(&api)) {
            let told = message(&before(api).under(fault).call(api)).unwrap();
            let truth = message(&before(api).call(api)).unwrap();
            assert!(authentic(&told), "{fault} on {api:?}");
            assert_eq!(told["result_code"], "SUCCESS");
            let bound = ["mch_id", "out_trade_no", "total_fee"];
            let differ: Vec<&str> = bound
                .into_iter()
                .filter(|name| told.get(*name).is_some_and(|it| truth.get(*name) != Some(it)))
                .collect();
            let expected = match fault {
                Fault::OtherOrder => "out_trade_no",
                Fault::OtherAmount => "total_fee",
                _ => "mch_id",
            };
            assert_eq!(differ, [expected], "{fault} on {api:?}");
        }
    }
    for api in [Api::Micropay, Api::Orderquery] {
        let told = message(&before(api).under(Fault::OtherCurrency).call(api)).unwrap();
        assert_eq!((authentic(&told), told["fee_type"].as_str()), (true, "USD"));
    }
    // About a paid order the lie is that it was reversed: whoever believes it gives the goods to nobody and keeps the money.
    let told = message(&before(Api::Orderquery).under(Fault::Forged).call(Api::Orderquery)).unwrap();
    assert_eq!(told["trade_state"], "REVOKED");
}

#[test]
fn errors_are_signed_and_named() {
    for (api, fault, err_code) in [
        (Api::Micropay, Fault::SystemError, "SYSTEMERROR"),
        (Api::Micropay, Fault::SystemErrorPaid, "SYSTEMERROR"),
        (Api::Micropay, Fault::BankError, "BANKERROR"),
        (Api::Micropay, Fault::BankErrorPaid, "BANKERROR"),
        (Api::Micropay, Fault::FailButPaid, "NOTENOUGH"),
        (Api::Micropay, Fault::Refuse, "TRADE_ERROR"),
        (Api::Micropay, Fault::Twice, "AUTH_CODE_INVALID"),
        (Api::Orderquery, Fault::FrequencyLimited, "FREQUENCY_LIMITED"),
        (Api::Orderquery, Fault::NotExist, "ORDERNOTEXIST"),
        (Api::Reverse, Fault::BeingPaid, "USERPAYING"),
        (Api::Reverse, Fault::SystemErrorPaid, "SYSTEMERROR"),
    ] {
        let said = message(&before(api).under(fault).call(api)).unwrap();
        assert!(authentic(&said), "{fault}");
        let expected = if fault == Fault::Twice { "ORDERPAID" } else { err_code };
        assert_eq!((said["result_code"].as_str(), said["err_code"].as_str()), ("FAIL", expected));
    }
    let mut counter = Counter::new();
    let rule = Rule { err_code: Some("NOAUTH".to_owned()), ..Rule::once(Where::Micropay, Fault::Refuse) };
    counter.front.weather.add(T, rule);
    assert_eq!(message(&counter.call(Api::Micropay)).unwrap()["err_code"], "NOAUTH");
    for fault in [Fault::ReturnFail, Fault::ReturnFailPaid] {
        let said = message(&Counter::new().under(fault).call(Api::Micropay)).unwrap();
        assert_eq!(said["return_code"], "FAIL");
        assert!(!said.contains_key("sign"));
    }
}

#[test]
fn queries_can_be_stale_or_say_anything() {
    let state = |rule: Rule| {
        let mut counter = Counter::with_order();
        counter.front.weather.add(T, rule);
        let said = message(&counter.call(Api::Orderquery)).unwrap();
        assert!(authentic(&said));
        assert_eq!(counter.order().unwrap().trade_state, "SUCCESS", "only the answer is wrong");
        said["trade_state"].clone()
    };
    assert_eq!(state(Rule::once(Where::Any, Fault::Stale)), "USERPAYING");
    assert_eq!(state(Rule::once(Where::Any, Fault::Says)), "ACCEPT");
    let closed = Rule { state: Some("CLOSED".to_owned()), ..Rule::once(Where::Any, Fault::Says) };
    assert_eq!(state(closed), "CLOSED");
}

#[test]
fn a_reversal_can_ask_to_be_called_again() {
    let mut counter = Counter::with_order().under(Fault::Recall);
    let said = message(&counter.call(Api::Reverse)).unwrap();
    assert_eq!((said["result_code"].as_str(), said["recall"].as_str()), ("SUCCESS", "Y"));
    let said = message(&counter.call(Api::Reverse)).unwrap();
    assert_eq!((said["result_code"].as_str(), said["recall"].as_str()), ("SUCCESS", "N"));
}

#[test]
fn a_late_request_acts_when_it_arrives() {
    let mut counter = Counter::new().under(Fault::ArriveLate);
    assert_eq!(counter.call(Api::Micropay), Delivery::Hangup);
    assert_eq!(counter.order(), None);
    counter.now = Timestamp(T.0 + 5_000);
    let order = counter.order().unwrap();
    assert_eq!((order.charged, order.paid_at.as_deref()), (1250, Some("2026-11-21T12:00:05.000+08:00")));

    // A reversal that overtakes the payment finds nothing, and the payment comes all the same.
    let mut counter = Counter::new().under(Fault::ArriveLate);
    counter.call(Api::Micropay);
    assert_eq!(message(&counter.call(Api::Reverse)).unwrap()["err_code"], "ORDERNOTEXIST");
    counter.now = Timestamp(T.0 + 60_000);
    assert_eq!(counter.order().unwrap().charged, 1250);
}

#[test]
fn refunds_can_end_badly() {
    for (fault, status, left) in
        [(Fault::RefundClose, "REFUNDCLOSE", "SUCCESS"), (Fault::RefundChange, "CHANGE", "REFUND")]
    {
        let mut counter = Counter::with_order().under(fault);
        assert_eq!(message(&counter.call(Api::Refund)).unwrap()["result_code"], "SUCCESS");
        counter.now = Timestamp(T.0 + 3_000);
        let order = counter.order().unwrap();
        assert_eq!((order.refunds[0].refund_status, order.returned, order.trade_state), (status, 0, left));
    }
}

#[test]
fn replays_are_authentic_and_old() {
    let mut counter = Counter::new();
    counter.front.weather.add(T, Rule { skip: 1, ..Rule::once(Where::Orderquery, Fault::Replay) });
    counter.call(Api::Micropay);
    let before = message(&counter.call(Api::Orderquery)).unwrap();
    counter.call(Api::Reverse);
    let replayed = message(&counter.call(Api::Orderquery)).unwrap();
    assert_eq!(replayed, before);
    assert!(authentic(&replayed));
    assert_eq!(message(&counter.call(Api::Orderquery)).unwrap()["trade_state"], "REVOKED");
}

#[test]
fn hostile_bodies_are_hostile() {
    let body = |fault| match Counter::new().under(fault).call(Api::Micropay) {
        Delivery::Answer(answer) => answer.body,
        other => panic!("{other:?}"),
    };
    let text = |fault| String::from_utf8(body(fault)).unwrap();
    assert!(text(Fault::Doctype).starts_with("<!DOCTYPE"));
    assert!(text(Fault::EntityBomb).contains("&a8;"));
    assert!(text(Fault::Nested).starts_with("<xml><xml>"));
    assert!(text(Fault::Bom).starts_with('\u{feff}'));
    assert!(text(Fault::Nul).contains('\0'));
    assert!(std::str::from_utf8(&body(Fault::BadUtf8)).is_err());
    assert!(!text(Fault::NoReturnCode).contains("return_code"));
    assert!(text(Fault::CdataTricks).contains("<!-- FAIL -->"));
    assert_eq!(body(Fault::Empty), b"");
    // A reader that keeps the last of two gets a lie with a good signature.
    let twice = text(Fault::DuplicateKeys);
    assert_eq!(twice.matches("<result_code>").count(), 2);
    assert!(authentic(&read(&twice)));
}

#[test]
fn hostile_responses_are_not_http() {
    let raw = |fault| match Counter::new().under(fault).call(Api::Micropay) {
        Delivery::Raw(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        other => panic!("{other:?}"),
    };
    assert!(raw(Fault::BadChunk).contains("\r\nzz\r\n"));
    assert_eq!(raw(Fault::BadLength).matches("Content-Length").count(), 2);
    assert!(!raw(Fault::Garbage).starts_with("HTTP"));
    assert_eq!(raw(Fault::HeaderFlood).matches("\r\nX-").count(), 100_000);
    let two = raw(Fault::TwoAnswers);
    let messages: Vec<Fields> =
        two.split("HTTP/1.1 200 OK").skip(1).map(|r| read(&r[r.find("<xml>").unwrap()..])).collect();
    assert!(messages.iter().all(authentic));
    let of = |n: usize| messages[n]["result_code"].as_str();
    assert_eq!((messages.len(), of(0), of(1)), (2, "FAIL", "SUCCESS"));
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    let run = || {
        let mut counter = Counter::new();
        [Api::Micropay, Api::Orderquery, Api::Reverse].map(|api| counter.call(api))
    };
    assert_eq!(run(), run());
    assert_ne!(Dice::new(1).nonce(), Dice::new(2).nonce());
}

#[test]
fn manners_are_left_to_the_line() {
    for (fault, manner) in [
        (Fault::Cut, Manner::Cut),
        (Fault::Drip, Manner::Drip),
        (Fault::Huge, Manner::Huge),
        (Fault::Delay, Manner::After(std::time::Duration::from_secs(5))),
    ] {
        let Delivery::Answer(answer) = Counter::new().under(fault).call(Api::Micropay) else {
            panic!("{fault}")
        };
        assert_eq!(answer.manner, manner);
    }
    assert_eq!(Counter::new().under(Fault::Hang).call(Api::Micropay), Delivery::Never);
}
