//! Server-sent events: no gap, no repeat, whatever the follower and the journal do.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_util::StreamExt;
use serde_json::Value;
use tower::ServiceExt;

use super::shop::Till;
use crate::input::{Device, DeviceKind, Notice, Remark};

/// One event as a client reads it.
#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    id: Option<u64>,
    data: Value,
}

struct Client {
    stream: BodyDataStream,
    rest: String,
}

impl Client {
    async fn follow(till: &Till, last: Option<u64>) -> Self {
        let mut request = Request::get("/v1/events");
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = till.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Self { stream: response.into_body().into_data_stream(), rest: String::new() }
    }

    /// The next event with data; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                if let Some(data) = field("data:") {
                    return Some(Seen {
                        name: field("event:").unwrap().to_owned(),
                        id: field("id:").map(|id| id.parse().unwrap()),
                        data: serde_json::from_str(data).unwrap(),
                    });
                }
                continue;
            }
            let more = tokio::time::timeout(Duration::from_secs(10), self.stream.next()).await;
            let more = more.expect("an event was due")?.unwrap();
            self.rest.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    /// The ids of payment events up to `last`.
    async fn ids_to(&mut self, last: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        while ids.last() != Some(&last) {
            ids.extend(self.next().await.unwrap().id);
        }
        ids
    }
}

async fn opened(till: &Till, steps: usize) -> String {
    let opened = till.post("/v1/payments", "k1", r#"{"amount": 1250}"#).await.json();
    let id = opened["id"].as_str().unwrap().to_owned();
    for _ in 1..steps {
        till.step(&id, "asked", |_| {});
    }
    id
}

#[tokio::test]
async fn a_follower_goes_on_where_it_left_off() {
    let till = Till::open();
    let id = opened(&till, 250).await;
    // Everything from the journal, in several reads, and then what is new.
    let mut client = Client::follow(&till, Some(20)).await;
    till.step(&id, "asked", |_| {});
    assert_eq!(client.ids_to(251).await, (21..=251).collect::<Vec<_>>());
    // Without an id only what is new; the gateway's state is told in any case.
    let mut fresh = Client::follow(&till, None).await;
    assert_eq!(fresh.next().await.unwrap().name, "gateway");
    till.paid(&id);
    let paid = fresh.next().await.unwrap();
    assert_eq!((paid.name.as_str(), paid.id, &paid.data["phase"]), ("payment", Some(252), &"paid".into()));
    assert_eq!(client.next().await.unwrap(), paid);
    // An id from before a restored backup.
    let mut ahead = Client::follow(&till, Some(9_000)).await;
    till.step(&id, "printed", |_| {});
    assert_eq!(ahead.ids_to(253).await, [253]);
}

#[tokio::test]
async fn a_follower_that_is_slow_loses_nothing() {
    let till = Till::open();
    let id = opened(&till, 1).await;
    let mut client = Client::follow(&till, Some(0)).await;
    assert_eq!(client.ids_to(1).await, [1]);
    // Three times as many as the channel holds, while nobody reads.
    for _ in 0..48 {
        till.step(&id, "asked", |_| {});
    }
    assert_eq!(client.ids_to(49).await, (2..=49).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_step_whose_notice_was_lost_is_told_with_the_next() {
    let till = Till::open();
    let id = opened(&till, 1).await;
    let mut client = Client::follow(&till, None).await;
    let mut silent = till.book.lock().unwrap().steps[0].clone();
    silent.sequence = 2;
    till.book.lock().unwrap().steps.push(silent);
    till.step(&id, "asked", |_| {});
    assert_eq!(client.ids_to(3).await, [2, 3]);
}

#[tokio::test]
async fn devices_the_gateway_and_remarks_are_told_without_an_id() {
    let till = Till::open();
    let mut client = Client::follow(&till, None).await;
    client.next().await.unwrap();
    let device = Device {
        kind: DeviceKind::Printer,
        name: "lp0".into(),
        ready: false,
        trouble: "缺纸 out of paper".into(),
    };
    till.notices.send(Notice::Device(device)).unwrap();
    till.notices.send(Notice::Gateway(false, "no answer in time".into())).unwrap();
    till.notices.send(Notice::Remark(Remark { code: "scan_refused", text: "没有待收款".into() })).unwrap();
    let device = client.next().await.unwrap();
    assert_eq!(
        (device.name.as_str(), device.id, &device.data["trouble"]),
        ("device", None, &"缺纸 out of paper".into())
    );
    assert_eq!(client.next().await.unwrap().data["line"], "down");
    assert_eq!(client.next().await.unwrap().data["code"], "scan_refused");
}

#[tokio::test]
async fn streams_are_counted_and_end_with_the_process() {
    let till = Till::open();
    let mut clients = Vec::new();
    for _ in 0..crate::api::events::FOLLOWERS_MAX {
        clients.push(Client::follow(&till, None).await);
    }
    assert_eq!(till.get("/v1/events").await.problem().1, "too_many_followers");
    clients.pop();
    clients.push(Client::follow(&till, None).await);
    assert_eq!(
        till.call("GET", "/v1/events", &[("last-event-id", "x")], None).await.problem().1,
        "invalid_header"
    );
    till.stop.send(true).unwrap();
    for mut client in clients {
        while client.next().await.is_some() {}
    }
}
