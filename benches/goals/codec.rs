//! P5's other half: the codec alone, request and answer, with both signatures.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use micropayd::gateway::wechat::{Secret, Settings, SignType, Wechat};
use micropayd::gateway::{Call, Gateway, Order};
use micropayd::ids::PaymentCode;
use micropayd::payment::Answer;

use crate::gateway::{API_KEY, APP_ID, FEN, MCH_ID, answer};
use crate::table::{Row, at};

/// gopay 1.x on such a machine in another run (Go 1.27, November 2026): build and sign, parse and verify, µs.
const GOPAY: (f64, f64) = (15.3, 53.0);
const CALLS: usize = 20_000;

pub fn codec() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, sign_type) in [("MD5", SignType::Md5), ("HMAC-SHA256", SignType::HmacSha256)] {
        let wechat = Wechat::new(Settings {
            app_id: APP_ID.to_owned(),
            mch_id: MCH_ID.to_owned(),
            sub_app_id: None,
            sub_mch_id: None,
            sign_type,
            api_key: Secret::parse(API_KEY)?,
            ip: [127, 0, 0, 1].into(),
            device: None,
            has_client_certificate: true,
        })?;
        let order = Order {
            number: "T0126112100004200000101".parse().map_err(anyhow::Error::msg)?,
            amount: micropayd::money::Amount::from_fen(FEN)?,
            subject: "朝阳门店-消费".to_owned(),
        };
        let (mut writes, mut reads) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
        let mut reply = String::new();
        for n in 0..CALLS {
            let code = PaymentCode::parse("134567890123458406")?;
            let began = Instant::now();
            let call = wechat.pay(black_box(&order), code);
            let wrote = began.elapsed();
            let Call::Send(request) = call else { anyhow::bail!("request is not sendable") };
            if n == 0 {
                reply = answer(&request.body, true)?;
            }
            let began = Instant::now();
            let told = (request.read)(200, black_box(reply.as_bytes()));
            let read = began.elapsed();
            ensure!(matches!(told, Answer::Paid(_)), "answer is {told:?}");
            // The first ones only warm the caches.
            if n >= CALLS / 10 {
                writes.push(wrote);
                reads.push(read);
            }
        }
        let micros = |times: &[Duration]| at(times, 500).as_nanos() as f64 / 1e3;
        for (what, times, gopay) in
            [("sign and write", &writes, GOPAY.0), ("parse and verify", &reads, GOPAY.1)]
        {
            let ours = micros(times);
            rows.push(Row {
                goal: "P5",
                what: format!("codec, {what}, {name}, p50"),
                ours: format!("{ours:.2} µs"),
                floor: format!("gopay {gopay} µs, of another run"),
                ratio: format!("{:.2} ≤ 0.1", ours / gopay),
                met: None,
            });
        }
    }
    Ok(rows)
}
