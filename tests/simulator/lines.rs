//! Broken lines over real sockets, and the control API.

use std::time::Duration;

use micropayd::simulator::Settings;
use micropayd::simulator::mood::Mood;
use micropayd::simulator::weather::{Fault, Rule, Where};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{Rig, md5, xml};

const N: &str = "T0126112100000101";

/// Sends a payment and gives the connection, to be read by hand.
async fn sent(rig: &Rig) -> TcpStream {
    let mut request = rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay));
    request.insert("sign".to_owned(), md5(&request, &rig.at.api_key));
    let body = xml(&request);
    let mut stream = TcpStream::connect(rig.simulator.addr()).await.unwrap();
    let head = format!("POST /pay/micropay HTTP/1.1\r\nHost: s\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn lost_answers_close_the_connection_without_a_byte() {
    for (tls, fault, charged) in [
        (false, Fault::LostBefore, 0),
        (false, Fault::LostAfter, 1250),
        (false, Fault::Down, 0),
        (true, Fault::LostAfter, 1250),
    ] {
        let rig = Rig::start(Settings { tls, ..Settings::default() }).await;
        rig.weather(Where::Micropay, fault);
        let request = rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay));
        assert!(rig.try_signed("/pay/micropay", request).await.is_err(), "{fault}");
        assert_eq!(rig.out_of_pocket(), charged, "{fault}");
    }
    let rig = Rig::plain().await;
    rig.weather(Where::Micropay, Fault::LostAfter);
    let mut bytes = Vec::new();
    sent(&rig).await.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn a_cut_answer_promises_more_than_comes() {
    let rig = Rig::plain().await;
    rig.weather(Where::Micropay, Fault::Cut);
    let mut bytes = Vec::new();
    let _ = sent(&rig).await.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(body.starts_with("<xml>") && !body.ends_with("</xml>"), "{text}");
    assert!(body.len() < promised.parse().unwrap());
}

#[tokio::test]
async fn a_huge_answer_is_huge() {
    let rig = Rig::plain().await;
    rig.weather(Where::Micropay, Fault::Huge);
    let mut stream = sent(&rig).await;
    let mut bytes = vec![0; 4 << 20];
    stream.read_exact(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let promised = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(promised.parse::<usize>().unwrap() > 300 << 20);
}

#[tokio::test]
async fn drips_and_silence_hold_the_line() {
    let rig = Rig::plain().await;
    rig.weather(Where::Micropay, Fault::Hang);
    let mut silent = sent(&rig).await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(200), silent.read(&mut byte)).await.is_err(), "not a byte");
    assert_eq!(rig.out_of_pocket(), 1250, "but done");

    rig.weather(Where::Micropay, Fault::Drip);
    let mut dripping = sent(&rig).await;
    let mut bytes = vec![0; 4096];
    let mut got = Vec::new();
    while !got.windows(4).any(|four| four == b"\r\n\r\n") {
        let n = dripping.read(&mut bytes).await.unwrap();
        got.extend(&bytes[..n]);
    }
    assert!(got.ends_with(b"\r\n\r\n"), "the head comes at once, the body does not");
    assert_eq!(timeout(Duration::from_secs(10), dripping.read(&mut bytes)).await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn delays_are_kept() {
    let rig = Rig::plain().await;
    rig.simulator.set_weather(vec![Rule::once(Where::Micropay, Fault::Delay).seconds(0.2)]);
    let started = std::time::Instant::now();
    let code = rig.simulator.new_code(Mood::Pay);
    assert_eq!(rig.pay(N, 1250, &code).await["result_code"], "SUCCESS");
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn raw_bytes_come_as_they_are_and_hold_the_line() {
    for tls in [false, true] {
        let rig = Rig::start(Settings { tls, ..Settings::default() }).await;
        rig.weather(Where::Micropay, Fault::Garbage);
        let request = rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay));
        // The client waits for more and gives up first, as a real one would.
        assert!(timeout(Duration::from_millis(300), rig.try_signed("/pay/micropay", request)).await.is_err());
        assert_eq!(rig.out_of_pocket(), 1250);
    }
    let rig = Rig::plain().await;
    rig.weather(Where::Micropay, Fault::TwoAnswers);
    let mut stream = sent(&rig).await;
    let mut text = String::new();
    while text.matches("</xml>").count() < 2 {
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).await.unwrap();
        assert!(n > 0, "closed after {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..n]));
    }
}

#[tokio::test]
async fn redirects_point_back() {
    let rig = Rig::plain().await;
    rig.weather(Where::Micropay, Fault::Status307);
    let got = rig.signed("/pay/micropay", rig.micropay(N, 1250, &rig.simulator.new_code(Mood::Pay))).await;
    assert_eq!(got.status, 307);
    assert!(got.head.contains("location: /pay/micropay"), "{}", got.head);
    assert_eq!(rig.out_of_pocket(), 0);
}

async fn control(rig: &Rig, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let got = rig.send(method, &format!("/_simulator{path}"), body.as_bytes()).await.unwrap();
    (got.status, serde_json::from_slice(&got.body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn customers_weather_and_books_are_under_control() {
    for tls in [false, true] {
        let rig = Rig::start(Settings { tls, ..Settings::default() }).await;
        let (status, fresh) =
            control(&rig, "POST", "/codes", json!({"mood": "password", "after": 7, "coupon": 100})).await;
        assert_eq!(status, 200, "{fresh}");
        let code = fresh["code"].as_str().unwrap();
        let (_, forecast) =
            control(&rig, "POST", "/weather", json!({"api": "micropay", "fault": "systemerror_paid"})).await;
        assert_eq!(
            forecast["weather"],
            json!([{"api": "micropay", "fault": "systemerror_paid", "times": 1}])
        );
        assert_eq!(rig.pay(N, 1250, code).await["err_code"], "SYSTEMERROR");
        rig.wait(7);
        assert_eq!(rig.state(N).await, "SUCCESS");
        let (_, order) = control(&rig, "GET", &format!("/orders/{N}"), Value::Null).await;
        assert_eq!((&order["charged"], &order["coupon_fee"]), (&json!(1150), &json!(100)));
        let (_, books) = control(&rig, "GET", "/purses", Value::Null).await;
        let purse = &books["purses"][0];
        assert_eq!(
            (&purse["out_of_pocket"], &purse["charges"], &purse["codes"][0]),
            (&json!(1150), &json!(1), &json!(code))
        );
        assert_eq!(books, json!({"purses": rig.simulator.purses()}), "the same inside and outside");

        let (_, calls) = control(&rig, "GET", "/calls", Value::Null).await;
        let call = &calls["calls"][0];
        assert_eq!((&call["api"], &call["fault"]), (&json!("micropay"), &json!("systemerror_paid")));
        assert_eq!(call["request"]["auth_code"], format!("…{}", &code[14..]));
        assert!(call["request"].get("sign").is_none());
        assert!(!calls.to_string().contains(code), "a code is never shown whole");
        assert_eq!(call["answer"], "200 SUCCESS FAIL SYSTEMERROR");
    }
}

#[tokio::test]
async fn mistakes_at_the_controls_are_explained() {
    let rig = Rig::plain().await;
    for (path, body, word) in [
        ("/codes", json!({"mood": "angry"}), "angry"),
        ("/codes", json!({"mood": "pay", "after": -1}), "after"),
        ("/codes", json!({"mood": "pay", "moood": 1}), "moood"),
        ("/weather", json!({"fault": "rain"}), "rain"),
        ("/weather", json!({"api": "micropay", "fault": "recall"}), "/secapi/pay/reverse"),
        ("/weather", json!([{"fault": "down"}, {"fault": "down", "chance": 2}]), "chance"),
    ] {
        let (status, answer) = control(&rig, "POST", path, body).await;
        assert_eq!(status, 400);
        assert!(answer["error"].as_str().unwrap().contains(word), "{answer}");
    }
    assert_eq!(
        control(&rig, "GET", "/weather", Value::Null).await.1,
        json!({"weather": []}),
        "all or nothing"
    );
    assert_eq!(control(&rig, "GET", "/orders/nothing", Value::Null).await.0, 404);
    control(&rig, "POST", "/weather", json!({"fault": "down", "seconds": 60})).await;
    assert_eq!(
        control(&rig, "DELETE", "/weather", Value::Null).await.1,
        json!({"weather": []}),
        "also while down"
    );
}

#[tokio::test]
async fn the_front_page_says_what_there_is() {
    let rig = Rig::plain().await;
    for (path, word) in
        [("/", "/_simulator/codes"), ("/weather/faults", "lost_after"), ("/moods", "walk_away")]
    {
        let got = rig.send("GET", &format!("/_simulator{path}"), b"").await.unwrap();
        assert_eq!(got.status, 200);
        assert!(String::from_utf8(got.body).unwrap().contains(word), "{path}");
    }
}

#[tokio::test]
async fn a_hasty_reversal_is_remarked() {
    let rig = Rig::plain().await;
    rig.pay(N, 1250, &rig.simulator.new_code(Mood::WalkAway)).await;
    rig.wait(4);
    rig.reverse(N).await;
    rig.wait(20);
    rig.reverse(N).await;
    let notes: Vec<bool> = rig.simulator.calls().iter().map(|call| call.note.is_some()).collect();
    assert_eq!(notes, [false, true, false]);
}

#[tokio::test]
async fn the_manual_lists_every_mood_and_fault() {
    let manual = std::fs::read_to_string("docs/simulator.md").unwrap();
    for fault in Fault::ALL {
        let row = format!("| `{fault}` | {} |", fault.about().replace('|', "\\|"));
        assert!(manual.contains(&row), "docs/simulator.md lacks the row\n{row}");
    }
    for (digit, mood) in Mood::ALL.iter().enumerate() {
        let name = serde_json::to_value(mood).unwrap();
        let row = format!("| `{}` | `15…{digit}` |", name.as_str().unwrap());
        assert!(manual.contains(&row), "docs/simulator.md lacks the row\n{row}");
    }
    for api in micropayd::simulator::fields::Api::ALL {
        assert!(manual.contains(api.path()), "docs/simulator.md does not name {}", api.path());
    }
}
