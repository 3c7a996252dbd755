//! The codec and the transport against the simulated gateway, over TLS with the client certificate: what is true is told, and
//! nothing that is false is believed.

use std::time::{Duration, Instant};

use micropayd::gateway::http::{self, Http, Identity};
use micropayd::gateway::wechat::{Secret, Settings, SignType, Wechat};
use micropayd::gateway::{Call, Gateway, Order, Outcome};
use micropayd::ids::{OrderNumber, PaymentCode, SaleId};
use micropayd::payment::{Answer, Cause, Reason, ReversalAnswer};
use micropayd::simulator::fields::Api;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::world::Offer;
use micropayd::simulator::{self, Simulator};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

struct Bench {
    simulator: Simulator,
    wechat: Wechat,
    http: Http,
    orders: u64,
}

#[derive(Clone, Copy)]
struct Set {
    tls: bool,
    sign_type: SignType,
    provider: bool,
    request_timeout: Duration,
}

const USUAL: Set = Set {
    tls: true,
    sign_type: SignType::HmacSha256,
    provider: false,
    request_timeout: Duration::from_secs(8),
};

impl Bench {
    async fn new(set: Set) -> Self {
        let settings = simulator::Settings { tls: set.tls, ..Default::default() };
        let simulator = Simulator::start(settings).await.unwrap();
        let shaken = simulator.handshake();
        let wechat = Wechat::new(Settings {
            app_id: shaken.app_id,
            mch_id: shaken.mch_id,
            sub_app_id: None,
            sub_mch_id: set.provider.then(|| "1900000200".to_owned()),
            sign_type: set.sign_type,
            api_key: Secret::parse(&shaken.api_key).unwrap(),
            ip: [127, 0, 0, 1].into(),
            device: Some("T01".to_owned()),
            has_client_certificate: true,
        })
        .unwrap();
        let certificates =
            |file: &str| CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect();
        let key = || PrivateKeyDer::from_pem_file(&shaken.client_key_file).unwrap();
        let http = Http::new(http::Settings {
            base_urls: vec![shaken.base_url.clone()],
            roots: if set.tls { certificates(&shaken.ca_file) } else { Vec::new() },
            identity: set.tls.then(|| Identity::new(certificates(&shaken.client_cert_file), key()).unwrap()),
            connect_timeout: set.request_timeout / 2,
            request_timeout: set.request_timeout,
        })
        .unwrap();
        Self { simulator, wechat, http, orders: 0 }
    }

    fn order(&mut self) -> Order {
        self.orders += 1;
        let day = "2026-11-21".parse().unwrap();
        let sale = SaleId::new(&"T01".parse().unwrap(), day, self.orders, 7);
        Order {
            number: sale.order(1),
            amount: "12.50".parse().unwrap(),
            subject: "朝阳门店-消费 <&>".to_owned(),
        }
    }

    async fn call<A: Outcome>(&self, call: Call<A>) -> A {
        self.http.call(call).await
    }

    async fn pay(&self, order: &Order, mood: Mood) -> Answer {
        let code = PaymentCode::parse(&self.simulator.new_code(mood)).unwrap();
        self.call(self.wechat.pay(order, code)).await
    }

    async fn query(&self, order: &Order) -> Answer {
        self.call(self.wechat.query(order)).await
    }

    async fn reverse(&self, order: &Order) -> ReversalAnswer {
        self.call(self.wechat.reverse(order)).await
    }

    fn weather(&self, rule: Rule) {
        self.simulator.set_weather(vec![rule]);
    }

    fn state(&self, number: &OrderNumber) -> Option<&'static str> {
        self.simulator.order(number.as_str()).map(|order| order.trade_state)
    }
}

fn is_paid(answer: &Answer) -> bool {
    matches!(answer, Answer::Paid(_))
}

fn reason(answer: &Answer) -> Option<Reason> {
    match answer {
        Answer::Refused(refusal) => Some(refusal.reason),
        _ => None,
    }
}

#[tokio::test]
async fn a_payment_is_paid_found_reversed_and_found_reversed() {
    for set in [
        USUAL,
        Set { sign_type: SignType::Md5, ..USUAL },
        Set { provider: true, ..USUAL },
        Set { tls: false, ..USUAL },
    ] {
        let mut bench = Bench::new(set).await;
        let order = bench.order();
        assert_eq!(bench.query(&order).await, Answer::NotFound);
        let paid = bench.pay(&order, Mood::Pay).await;
        let Answer::Paid(proof) = &paid else { panic!("{paid:?}") };
        assert_eq!((proof.payer_paid, proof.coupon), (1250, 0));
        assert_eq!(proof.gateway_txn, bench.simulator.order(order.number.as_str()).unwrap().transaction_id);
        assert_eq!(bench.query(&order).await, paid);
        assert_eq!(bench.reverse(&order).await, ReversalAnswer::Done);
        assert!(matches!(bench.query(&order).await, Answer::Closed | Answer::Refunded));
        assert!(bench.simulator.purses().iter().all(|purse| purse.out_of_pocket == 0));
    }
}

#[tokio::test]
async fn each_customer_is_told_as_what_they_are() {
    let mut bench = Bench::new(USUAL).await;
    for (mood, expected) in [
        (Mood::Poor, Reason::BalanceTooLow),
        (Mood::Card, Reason::CardNotSupported),
        (Mood::Expired, Reason::CodeExpired),
        (Mood::Invalid, Reason::CodeInvalid),
    ] {
        let order = bench.order();
        assert_eq!(reason(&bench.pay(&order, mood).await), Some(expected), "{mood:?}");
        let confirmed = bench.query(&order).await;
        assert!(
            matches!(confirmed, Answer::NotFound | Answer::NotPaid | Answer::PayFailed),
            "{mood:?}: {confirmed:?}"
        );
    }
    for mood in [Mood::Password, Mood::Cancel, Mood::WalkAway, Mood::Late, Mood::Again] {
        let order = bench.order();
        assert_eq!(bench.pay(&order, mood).await, Answer::AwaitingPayer, "{mood:?}");
        assert_eq!(bench.query(&order).await, Answer::AwaitingPayer, "{mood:?}");
    }
}

#[tokio::test]
async fn a_customer_who_closes_the_dialog_ends_in_pay_failed() {
    let mut bench = Bench::new(USUAL).await;
    let order = bench.order();
    let offer = Offer { after: Some(Duration::ZERO), ..Offer::default() };
    let (code, _) = bench.simulator.new_code_with(Mood::Cancel, offer);
    let code = PaymentCode::parse(&code).unwrap();
    let first = bench.call(bench.wechat.pay(&order, code)).await;
    assert!(matches!(first, Answer::AwaitingPayer | Answer::Refused(_)), "{first:?}");
    assert_eq!(bench.query(&order).await, Answer::PayFailed);
}

#[tokio::test]
async fn a_code_pays_once() {
    let mut bench = Bench::new(USUAL).await;
    let text = bench.simulator.new_code(Mood::Pay);
    let code = || PaymentCode::parse(&text).unwrap();
    let (first, second) = (bench.order(), bench.order());
    assert!(is_paid(&bench.call(bench.wechat.pay(&first, code())).await));
    assert_eq!(reason(&bench.call(bench.wechat.pay(&second, code())).await), Some(Reason::CodeUsed));
}

/// What the transport or the codec says when it believes nothing.
fn is_silence(answer: &Answer) -> bool {
    matches!(answer, Answer::Unknown(_) | Answer::NeverSent(_))
}

/// Lies, and whatever only looks like an answer.
const LIES: &[Fault] = &[
    Fault::ReturnFail,
    Fault::Unsigned,
    Fault::Forged,
    Fault::WrongSignType,
    Fault::OtherOrder,
    Fault::OtherAmount,
    Fault::OtherMerchant,
    Fault::Html,
    Fault::Portal,
    Fault::Status301,
    Fault::Status302,
    Fault::Status307,
    Fault::Status401,
    Fault::Status429,
    Fault::Status500,
    Fault::Status504,
    Fault::Empty,
    Fault::Doctype,
    Fault::EntityBomb,
    Fault::DuplicateKeys,
    Fault::Nested,
    Fault::BadUtf8,
    Fault::Nul,
    Fault::Bom,
    Fault::CdataTricks,
    Fault::NoReturnCode,
    Fault::LostBefore,
    Fault::LostAfter,
    Fault::Cut,
    Fault::Huge,
    Fault::Down,
];

#[tokio::test]
async fn no_lie_about_a_payment_is_believed_and_the_truth_is_found_afterwards() {
    let mut bench = Bench::new(USUAL).await;
    for &fault in LIES.iter().filter(|fault| fault.apis().contains(&Api::Micropay)) {
        let order = bench.order();
        bench.weather(Rule::once(Where::Micropay, fault));
        let calls = bench.simulator.calls().len();
        let answer = bench.pay(&order, Mood::Pay).await;
        assert!(matches!(answer, Answer::Unknown(_)), "{fault}: {answer:?}");
        assert!(bench.simulator.calls().len() <= calls + 1, "{fault}: the request was repeated");
        bench.simulator.set_weather(Vec::new());
        match (bench.query(&order).await, bench.state(&order.number)) {
            (Answer::Paid(_), Some("SUCCESS")) | (Answer::NotFound, None) => {}
            (answer, state) => panic!("{fault}: {answer:?} of {state:?}"),
        }
    }
}

#[tokio::test]
async fn no_lie_about_a_query_is_believed() {
    let mut bench = Bench::new(USUAL).await;
    for &fault in LIES.iter().filter(|fault| fault.apis().contains(&Api::Orderquery)) {
        for mood in [Mood::Pay, Mood::WalkAway, Mood::Poor] {
            let order = bench.order();
            bench.pay(&order, mood).await;
            bench.weather(Rule::once(Where::Orderquery, fault));
            let answer = bench.query(&order).await;
            assert!(is_silence(&answer), "{fault} to {mood:?}: {answer:?}");
            bench.simulator.set_weather(Vec::new());
        }
    }
}

#[tokio::test]
async fn no_lie_about_a_reversal_is_believed() {
    let mut bench = Bench::new(USUAL).await;
    for &fault in LIES.iter().filter(|fault| fault.apis().contains(&Api::Reverse)) {
        let order = bench.order();
        assert!(is_paid(&bench.pay(&order, Mood::Pay).await));
        bench.weather(Rule::once(Where::Reverse, fault));
        let answer = bench.reverse(&order).await;
        assert!(
            matches!(answer, ReversalAnswer::Unknown(_) | ReversalAnswer::NeverSent(_)),
            "{fault}: {answer:?}"
        );
        bench.simulator.set_weather(Vec::new());
    }
}

#[tokio::test]
async fn forgeries_are_told_apart_from_trouble_on_the_line() {
    let mut bench = Bench::new(USUAL).await;
    for (fault, cause) in [
        (Fault::Unsigned, Cause::Unsigned),
        (Fault::Forged, Cause::BadSignature),
        (Fault::WrongSignType, Cause::BadSignature),
        (Fault::OtherOrder, Cause::OtherOrder),
        (Fault::OtherAmount, Cause::OtherAmount),
        (Fault::OtherMerchant, Cause::OtherMerchant),
        (Fault::Doctype, Cause::Malformed),
        (Fault::EntityBomb, Cause::Malformed),
        (Fault::DuplicateKeys, Cause::Malformed),
        (Fault::Nested, Cause::Malformed),
        (Fault::CdataTricks, Cause::Malformed),
        (Fault::BadUtf8, Cause::Malformed),
        (Fault::Nul, Cause::Malformed),
        (Fault::Bom, Cause::Malformed),
        (Fault::NoReturnCode, Cause::Malformed),
        (Fault::Portal, Cause::Malformed),
        (Fault::Empty, Cause::Malformed),
        (Fault::Html, Cause::HttpStatus(502)),
        (Fault::Status307, Cause::HttpStatus(307)),
        (Fault::LostAfter, Cause::ConnectionLost),
        (Fault::Cut, Cause::ConnectionLost),
        (Fault::Huge, Cause::TooLarge),
    ] {
        let order = bench.order();
        bench.weather(Rule::once(Where::Micropay, fault));
        assert_eq!(bench.pay(&order, Mood::Pay).await, Answer::Unknown(cause), "{fault}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_costs_the_deadline() {
    let mut bench = Bench::new(Set { request_timeout: Duration::from_millis(1000), ..USUAL }).await;
    for fault in [Fault::Hang, Fault::Drip] {
        let order = bench.order();
        bench.weather(Rule::once(Where::Micropay, fault));
        let start = Instant::now();
        assert_eq!(bench.pay(&order, Mood::Pay).await, Answer::Unknown(Cause::Timeout), "{fault}");
        assert!(start.elapsed() < bench.http.deadline() + Duration::from_secs(1), "{fault}");
        bench.simulator.set_weather(Vec::new());
        assert!(is_paid(&bench.query(&order).await), "{fault}");
    }
}

#[tokio::test]
async fn codes_that_leave_it_open_are_open_and_the_truth_is_found_afterwards() {
    let mut bench = Bench::new(USUAL).await;
    for (fault, code) in [
        (Fault::SystemError, "SYSTEMERROR"),
        (Fault::SystemErrorPaid, "SYSTEMERROR"),
        (Fault::BankErrorPaid, "BANKERROR"),
        (Fault::FrequencyLimited, "FREQUENCY_LIMITED"),
    ] {
        let order = bench.order();
        bench.weather(Rule::once(Where::Micropay, fault));
        let unknown = Answer::Unknown(Cause::Code(code.to_owned()));
        assert_eq!(bench.pay(&order, Mood::Pay).await, unknown, "{fault}");
        bench.simulator.set_weather(Vec::new());
        let paid = bench.state(&order.number) == Some("SUCCESS");
        assert_eq!(is_paid(&bench.query(&order).await), paid, "{fault}");
    }
    // Paid although it was refused: the confirming query finds it.
    let order = bench.order();
    bench.weather(Rule::once(Where::Micropay, Fault::FailButPaid));
    assert_eq!(reason(&bench.pay(&order, Mood::Pay).await), Some(Reason::BalanceTooLow));
    assert!(is_paid(&bench.query(&order).await));
}

#[tokio::test]
async fn reversals_that_are_not_done_are_called_again() {
    let mut bench = Bench::new(USUAL).await;
    for fault in [Fault::Recall, Fault::SystemError, Fault::BeingPaid] {
        let order = bench.order();
        assert!(is_paid(&bench.pay(&order, Mood::Pay).await));
        bench.weather(Rule::once(Where::Reverse, fault));
        assert_eq!(bench.reverse(&order).await, ReversalAnswer::Again, "{fault}");
        assert_eq!(bench.reverse(&order).await, ReversalAnswer::Done, "{fault}");
    }
    let order = bench.order();
    assert_eq!(bench.reverse(&order).await, ReversalAnswer::NotFound);
}

#[tokio::test]
async fn a_request_that_arrives_twice_charges_once() {
    let mut bench = Bench::new(USUAL).await;
    let order = bench.order();
    bench.weather(Rule::once(Where::Micropay, Fault::Twice));
    let answer = bench.pay(&order, Mood::Pay).await;
    assert!(is_paid(&answer) || is_silence(&answer), "{answer:?}");
    assert!(is_paid(&bench.query(&order).await));
    assert_eq!(bench.simulator.purses().iter().map(|purse| purse.charges).sum::<u32>(), 1);
}

#[tokio::test]
async fn an_older_answer_about_another_order_is_not_taken_for_this_one() {
    let mut bench = Bench::new(USUAL).await;
    let old = bench.order();
    assert!(is_paid(&bench.pay(&old, Mood::Pay).await));
    assert!(is_paid(&bench.query(&old).await));
    let order = bench.order();
    bench.weather(Rule::once(Where::Micropay, Fault::Replay));
    assert_eq!(bench.pay(&order, Mood::Pay).await, Answer::Unknown(Cause::OtherOrder));
    bench.weather(Rule::once(Where::Orderquery, Fault::Replay));
    assert_eq!(bench.query(&order).await, Answer::Unknown(Cause::OtherOrder));
}

#[tokio::test]
async fn an_older_reversal_that_names_no_order_is_believed_only_once() {
    let mut bench = Bench::new(USUAL).await;
    let old = bench.order();
    assert!(is_paid(&bench.pay(&old, Mood::Pay).await));
    assert_eq!(bench.reverse(&old).await, ReversalAnswer::Done);
    let order = bench.order();
    assert!(is_paid(&bench.pay(&order, Mood::Pay).await));
    bench.weather(Rule::once(Where::Reverse, Fault::Replay));
    // WeChat's answer to a reversal names no order: only that it was heard before gives it away.
    assert_eq!(bench.reverse(&order).await, ReversalAnswer::Unknown(Cause::Repeated));
    assert!(is_paid(&bench.query(&order).await));
}

#[tokio::test]
async fn the_second_host_pays_when_the_first_is_gone() {
    let mut bench = Bench::new(Set { tls: false, ..USUAL }).await;
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    bench.http = Http::new(http::Settings {
        base_urls: vec![format!("http://{nobody}"), bench.simulator.handshake().base_url],
        roots: Vec::new(),
        identity: None,
        connect_timeout: Duration::from_secs(4),
        request_timeout: Duration::from_secs(8),
    })
    .unwrap();
    let order = bench.order();
    assert!(is_paid(&bench.pay(&order, Mood::Pay).await));
    assert_eq!(bench.simulator.calls().len(), 1);
}
