//! The gateway's counter: one request in, one delivery out. Pure like the world behind it; the shells carry deliveries out.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::answers::{self, Said};
use super::bill;
use super::dice::Dice;
use super::fields::{self, Api, Flaw};
use super::refunds::Fate;
use super::spoil;
use super::weather::{Fault, Rule, Weather};
use super::wire::{self, Fields, SignType};
use super::world::{Refusal, World};
use crate::time::Timestamp;

/// Calls that are remembered.
const CALLS: usize = 10_000;
/// Answers that are remembered to be replayed.
const ANSWERS: usize = 1_000;
/// A payment should not be reversed sooner (API page of reverse).
const REVERSE_NOT_BEFORE: Duration = Duration::from_secs(15);

/// Whom the gateway knows.
#[derive(Debug, Clone)]
pub struct Merchant {
    /// `appid`
    pub app_id: String,
    /// `mch_id`
    pub mch_id: String,
    /// The key of both signatures, 32 characters.
    pub api_key: String,
}

/// The client certificate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Plain HTTP: nothing to show.
    NotAsked,
    /// TLS without one.
    Absent,
    /// Not the merchant's.
    Foreign,
    /// The merchant's.
    Ours,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// An answer.
    Answer(Answer),
    /// The connection closes without a byte.
    Hangup,
    /// These bytes in the place of an HTTP response.
    Raw(Vec<u8>),
    /// Silence on an open connection.
    Never,
}

/// An answer, and how it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
    /// How the body travels.
    pub manner: Manner,
}

/// How a body travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// At once.
    Whole,
    /// After a while.
    After(Duration),
    /// Half of it, then the connection closes.
    Cut,
    /// A byte a second.
    Drip,
    /// Followed by 300 MB of blanks.
    Huge,
}

impl Answer {
    pub(super) fn xml(fields: &Fields) -> Self {
        Self::text(200, "text/plain", wire::write(fields))
    }

    pub(super) fn text(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, body: body.into(), manner: Manner::Whole }
    }
}

/// One call as it was received: payment codes masked, signatures left out.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Counts from 1.
    pub n: u64,
    /// RFC 3339, Beijing time.
    pub at: String,
    /// Which API.
    pub api: Api,
    /// The request's fields; none if it was not a message.
    pub request: Fields,
    /// What the weather did to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// HTTP status and result codes that were sent, or `connection closed`, or `silence`.
    pub answer: String,
    /// What a reviewer would remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One merchant's gateway with its books and its weather.
#[derive(Debug, Clone)]
pub struct Front {
    /// The books.
    pub world: World,
    /// What goes wrong next.
    pub weather: Weather,
    pub(super) merchant: Merchant,
    calls: VecDeque<Call>,
    count: u64,
    answered: VecDeque<(Api, String, Vec<u8>)>,
    pub(super) nonces: Dice,
}

impl Front {
    /// A gateway that knows one merchant and has seen nothing.
    pub fn new(merchant: Merchant, world: World, seed: u64) -> Self {
        Self {
            world,
            weather: Weather::new(seed),
            merchant,
            calls: VecDeque::new(),
            count: 0,
            answered: VecDeque::new(),
            nonces: Dice::new(seed ^ 0x6e6f_6e63_6500_0000),
        }
    }

    /// The calls that are remembered, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }

    /// Receives a request's body at `now` and says what becomes of it.
    pub fn call(&mut self, now: Timestamp, api: Api, body: &[u8], certificate: Certificate) -> Delivery {
        self.world.catch_up(now);
        let struck = self.weather.strike(now, api);
        let fault = struck.as_ref().map(|rule| rule.fault);
        let read = wire::read(body);
        let note = read.as_ref().ok().and_then(|request| self.remark(now, api, request));
        let delivery = if matches!(fault, Some(Fault::Down | Fault::LostBefore)) {
            Delivery::Hangup
        } else if let Some(page) = refuse_certificate(api, certificate) {
            Delivery::Answer(page)
        } else {
            match read.as_ref().map_err(|bad| protocol(api, &format!("XML格式错误:{bad}"))) {
                Err(fields) => Delivery::Answer(Answer::xml(&fields)),
                Ok(request) => match self.check(now, api, request) {
                    Err(fields) => Delivery::Answer(Answer::xml(&fields)),
                    Ok(()) => self.serve(now, api, request, struck),
                },
            }
        };
        self.remember(now, api, read.unwrap_or_default(), fault, &delivery, note);
        delivery
    }

    /// Signature and fields; the answer of refusal if they are not in order.
    fn check(&mut self, now: Timestamp, api: Api, request: &Fields) -> Result<(), Fields> {
        let refuse = |text: &str| Err(protocol(api, text));
        if let Err(flaw) = fields::check_common(request) {
            let (Flaw::Protocol(text) | Flaw::Param(text)) = flaw;
            return refuse(&text);
        }
        let Merchant { app_id, mch_id, api_key } = &self.merchant;
        if request.get("mch_id") != Some(mch_id) {
            return refuse("商户号mch_id或sub_mch_id不存在");
        }
        let kind = SignType::of(request).unwrap_or(SignType::Md5);
        if request.get("sign") != Some(&wire::sign(request, api_key, kind)) {
            return refuse("签名错误");
        }
        if request.get("appid") != Some(app_id) {
            return refuse("商户号mch_id与appid不匹配");
        }
        match fields::check_own(api, request, now) {
            Ok(()) => Ok(()),
            Err(Flaw::Protocol(text)) => refuse(&text),
            Err(Flaw::Param(text)) if api == Api::Downloadbill => refuse(&text),
            Err(Flaw::Param(text)) => Err(self.seal(request, answers::failed("PARAM_ERROR", &text))),
        }
    }

    fn serve(&mut self, now: Timestamp, api: Api, request: &Fields, struck: Option<Rule>) -> Delivery {
        match struck {
            Some(rule) => spoil::serve(self, now, api, request, &rule),
            None => {
                let said = answers::act(&mut self.world, now, api, request, Fate::Success);
                Delivery::Answer(self.answer(api, request, said))
            }
        }
    }

    /// The finished answer, remembered for replays.
    pub(super) fn answer(&mut self, api: Api, request: &Fields, said: Said) -> Answer {
        match said {
            Said::Bill(text) if request.get("tar_type").is_some_and(|form| form == "GZIP") => {
                Answer::text(200, "application/x-gzip", bill::gzip(text.as_bytes()))
            }
            Said::Bill(text) => Answer::text(200, "text/plain", text),
            Said::NoBill(code, text) => {
                let mut fields = protocol(api, text);
                fields.insert("error_code".to_owned(), code.to_owned());
                Answer::xml(&fields)
            }
            Said::Fields(fields) => {
                let answer = Answer::xml(&self.seal(request, fields));
                if self.answered.len() == ANSWERS {
                    self.answered.pop_front();
                }
                self.answered.push_back((api, order_of(request), answer.body.clone()));
                answer
            }
        }
    }

    /// An earlier answer: the first about the same order, else the latest of the API.
    pub(super) fn earlier(&self, api: Api, request: &Fields) -> Option<Vec<u8>> {
        let order = order_of(request);
        let of_api = || self.answered.iter().filter(|(of, _, _)| *of == api);
        of_api()
            .find(|(_, about, _)| *about == order)
            .or_else(|| of_api().next_back())
            .map(|(_, _, body)| body.clone())
    }

    /// Adds what every signed answer has, and signs it as the request was signed.
    pub(super) fn seal(&mut self, request: &Fields, fields: Fields) -> Fields {
        let mut fields = self.address(request, fields);
        let kind = SignType::of(request).unwrap_or(SignType::Md5);
        let sign = wire::sign(&fields, &self.merchant.api_key, kind);
        fields.insert("sign".to_owned(), sign);
        fields
    }

    /// What every answer has, but for the signature.
    pub(super) fn address(&mut self, request: &Fields, mut fields: Fields) -> Fields {
        let mut put = |name: &str, value: &str| {
            fields.insert(name.to_owned(), value.to_owned());
        };
        put("return_code", "SUCCESS");
        put("return_msg", "OK");
        put("appid", &self.merchant.app_id);
        put("mch_id", &self.merchant.mch_id);
        put("nonce_str", &self.nonces.nonce());
        for name in ["sub_appid", "sub_mch_id", "device_info"] {
            if let Some(value) = request.get(name) {
                put(name, value);
            }
        }
        fields
    }

    fn remark(&self, now: Timestamp, api: Api, request: &Fields) -> Option<String> {
        let order = self.world.orders.get(request.get("out_trade_no")?)?;
        let age = now.since(order.created);
        if api == Api::Reverse && age < REVERSE_NOT_BEFORE {
            return Some(format!(
                "reversed {:.1} s after the payment, the documents ask for 15 s",
                age.as_secs_f64()
            ));
        }
        if api == Api::Micropay {
            return Some("this order number was sent before".to_owned());
        }
        None
    }

    fn remember(
        &mut self,
        now: Timestamp,
        api: Api,
        mut request: Fields,
        fault: Option<Fault>,
        delivery: &Delivery,
        note: Option<String>,
    ) {
        request.remove("sign");
        if let Some(code) = request.get_mut("auth_code") {
            *code = masked(code);
        }
        if self.calls.len() == CALLS {
            self.calls.pop_front();
        }
        self.count += 1;
        let answer = match delivery {
            Delivery::Hangup => "connection closed".to_owned(),
            Delivery::Raw(_) => "not HTTP".to_owned(),
            Delivery::Never => "silence".to_owned(),
            Delivery::Answer(answer) => summary(answer),
        };
        self.calls.push_back(Call { n: self.count, at: now.rfc3339(), api, request, fault, answer, note });
    }
}

/// The last four digits of a payment code.
pub(super) fn masked(code: &str) -> String {
    let digits: Vec<char> = code.chars().collect();
    // Fewer than eight would show too large a part of whatever it is.
    let shown = if digits.len() < 8 { &[] } else { &digits[digits.len() - 4..] };
    format!("…{}", shown.iter().collect::<String>())
}

/// What a request is about: an order, or a refund where it names nothing else.
fn order_of(request: &Fields) -> String {
    let names = ["out_trade_no", "transaction_id", "refund_id", "out_refund_no"];
    names.iter().find_map(|name| request.get(*name)).cloned().unwrap_or_default()
}

fn summary(answer: &Answer) -> String {
    let mut text = answer.status.to_string();
    let fields = wire::read(&answer.body).unwrap_or_default();
    for name in ["return_code", "result_code", "err_code", "error_code", "trade_state", "recall"] {
        if let Some(value) = fields.get(name) {
            text.push(' ');
            text.push_str(value);
        }
    }
    text
}

/// `return_code` FAIL; such an answer is never signed.
pub(super) fn protocol(api: Api, text: &str) -> Fields {
    let mut fields = Fields::from([
        ("return_code".to_owned(), "FAIL".to_owned()),
        ("return_msg".to_owned(), text.chars().take(128).collect()),
    ]);
    if api == Api::Downloadbill {
        fields.insert("error_code".to_owned(), "20001".to_owned());
    }
    fields
}

/// What nginx answers in front of the APIs that need a certificate.
fn refuse_certificate(api: Api, certificate: Certificate) -> Option<Answer> {
    let title = match certificate {
        Certificate::Absent if api.needs_certificate() => "No required SSL certificate was sent",
        Certificate::Foreign if api.needs_certificate() => "The SSL certificate error",
        _ => return None,
    };
    Some(Answer::text(400, "text/html", nginx(&format!("400 {title}"), "400 Bad Request", title)))
}

pub(super) fn nginx(title: &str, heading: &str, text: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body bgcolor=\"white\">\r\n<center><h1>{heading}</h1></center>\r\n\
         <center>{text}</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}

/// SYSTEMERROR as it reads.
pub(super) const SYSTEM_ERROR: Refusal = Refusal::new("SYSTEMERROR", "system error");
