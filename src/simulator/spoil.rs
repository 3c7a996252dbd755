//! What a fault makes of a call: whether it is carried out, and what comes back. Whoever believes a lie told here loses money.

use super::answers::{self, Said};
use super::fields::Api;
use super::front::{Answer, Delivery, Front, Manner, SYSTEM_ERROR, nginx, protocol};
use super::refunds::Fate;
use super::weather::{Fault, Rule};
use super::wire::{self, Fields, SignType};
use super::world::{NOT_EXIST, Refusal};
use crate::time::Timestamp;

const BANK_ERROR: Refusal = Refusal::new("BANKERROR", "银行系统异常");
const TOO_OFTEN: Refusal = Refusal::new("FREQUENCY_LIMITED", "频率限制，请稍后再试");
const BEING_PAID: Refusal = Refusal::new("USERPAYING", "正在支付中不能发起撤销");
/// What a portal or a proxy shows; nothing in it is ours to trust.
const PORTAL: &str =
    "<!DOCTYPE html><html><head><title>Wi-Fi</title></head><body>请登录 / please log in</body></html>";

/// One call under a fault.
struct Struck<'a> {
    front: &'a mut Front,
    now: Timestamp,
    api: Api,
    request: &'a Fields,
}

/// Carries a call out, or does not, as the fault has it.
pub(super) fn serve(front: &mut Front, now: Timestamp, api: Api, request: &Fields, rule: &Rule) -> Delivery {
    let mut call = Struck { front, now, api, request };
    let code = |otherwise: &str| rule.err_code.clone().unwrap_or_else(|| otherwise.to_owned());
    match rule.fault {
        Fault::SystemError => call.refuse(SYSTEM_ERROR),
        Fault::SystemErrorPaid => call.done().refuse(SYSTEM_ERROR),
        Fault::BankError => {
            call.front.world.pay_without_bank(now, &answers::pay(request));
            call.refuse(BANK_ERROR)
        }
        Fault::BankErrorPaid => call.done().refuse(BANK_ERROR),
        Fault::FailButPaid => {
            let fields = answers::failed(&code("NOTENOUGH"), "余额不足");
            call.done().say(fields)
        }
        Fault::Refuse => call.say(answers::failed(&code("TRADE_ERROR"), "交易错误")),
        Fault::FrequencyLimited => call.refuse(TOO_OFTEN),
        Fault::ReturnFail => Delivery::Answer(Answer::xml(&protocol(api, "系统繁忙，请稍后再试"))),
        Fault::ReturnFailPaid => {
            call.done();
            Delivery::Answer(Answer::xml(&protocol(api, "系统繁忙，请稍后再试")))
        }
        Fault::LostBefore | Fault::Down => Delivery::Hangup,
        Fault::LostAfter => {
            call.done();
            Delivery::Hangup
        }
        Fault::ArriveLate => {
            if let Some(act) = answers::as_act(api, request) {
                call.front.world.later(now + rule.lateness(), act);
            }
            Delivery::Hangup
        }
        Fault::Twice => call.done().honest(Manner::Whole),
        Fault::Delay => call.honest(Manner::After(rule.lateness())),
        Fault::Hang => {
            call.done();
            Delivery::Never
        }
        Fault::Drip => call.honest(Manner::Drip),
        Fault::Cut => call.honest(Manner::Cut),
        Fault::Huge => call.honest(Manner::Huge),
        Fault::Recall => {
            let mut fields = answers::success();
            put(&mut fields, "recall", "Y");
            call.say(fields)
        }
        Fault::BeingPaid => call.refuse(BEING_PAID),
        Fault::Stale => call.query_says("USERPAYING"),
        Fault::NotExist => call.refuse(NOT_EXIST),
        Fault::Says => call.query_says(rule.state.as_deref().unwrap_or("ACCEPT")),
        Fault::RefundClose => call.fated(Fate::Close),
        Fault::RefundChange => call.fated(Fate::Change),
        Fault::Unsigned => {
            let lie = call.lie();
            let fields = call.front.address(request, lie);
            Delivery::Answer(Answer::xml(&fields))
        }
        Fault::Forged => {
            let mut fields = call.sealed_lie();
            let forged =
                fields.get("sign").map(|sign| sign.chars().rev().collect::<String>()).unwrap_or_default();
            put(&mut fields, "sign", forged);
            Delivery::Answer(Answer::xml(&fields))
        }
        Fault::WrongSignType => {
            let mut fields = call.sealed_lie();
            let other = SignType::of(request).unwrap_or(SignType::Md5).other();
            let sign = wire::sign(&fields, &call.front.merchant.api_key, other);
            put(&mut fields, "sign", sign);
            Delivery::Answer(Answer::xml(&fields))
        }
        Fault::OtherOrder => call.of_another_order(),
        Fault::OtherAmount => {
            let mut lie = call.success_lie();
            for (name, value) in &mut lie {
                let amount = ["total_fee", "cash_fee", "refund_fee"].iter().any(|it| name.starts_with(it));
                if let (true, Ok(fee)) = (amount, value.parse::<u32>()) {
                    *value = fee.saturating_add(1).to_string();
                }
            }
            call.unremembered(lie)
        }
        Fault::OtherMerchant => {
            let lie = call.lie();
            let mut fields = call.front.address(request, lie);
            let other = another(&call.front.merchant.mch_id);
            put(&mut fields, "mch_id", other);
            call.sign_and_send(fields)
        }
        Fault::Replay => match call.front.earlier(api, request) {
            Some(body) => Delivery::Answer(Answer::text(200, "text/plain", body)),
            None => call.of_another_order(),
        },
        Fault::Html => {
            call.done();
            page(502, "Bad Gateway")
        }
        Fault::Portal => Delivery::Answer(Answer::text(200, "text/html", PORTAL)),
        Fault::Status301 => page(301, "Moved Permanently"),
        Fault::Status302 => page(302, "Found"),
        Fault::Status307 => page(307, "Temporary Redirect"),
        Fault::Status401 => page(401, "Unauthorized"),
        Fault::Status429 => page(429, "Too Many Requests"),
        Fault::Status500 => {
            call.done();
            page(500, "Internal Server Error")
        }
        Fault::Status504 => {
            call.done();
            page(504, "Gateway Time-out")
        }
        Fault::Empty => {
            call.done();
            Delivery::Answer(Answer::text(200, "text/plain", ""))
        }
        Fault::Doctype => {
            let text = wire::write(&call.sealed_lie());
            raw(format!("<!DOCTYPE xml [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>{text}"))
        }
        Fault::EntityBomb => {
            let text = wire::write(&call.sealed_lie());
            let mut bomb = String::from("<!DOCTYPE xml [<!ENTITY a0 \"aaaaaaaaaa\">");
            for n in 1..9 {
                bomb.push_str(&format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10)));
            }
            raw(format!("{bomb}]>{}", text.replace("</xml>", "<bomb>&a8;</bomb></xml>")))
        }
        Fault::DuplicateKeys => {
            let lie = wire::write(&call.sealed_lie());
            let first =
                "<result_code>FAIL</result_code><err_code>SYSTEMERROR</err_code><err_code></err_code>";
            raw(lie.replacen("<xml>", &format!("<xml>{first}"), 1))
        }
        Fault::Nested => {
            let lie = wire::write(&call.sealed_lie());
            raw(lie.replacen("<xml>", "<xml><xml>", 1) + "</xml>")
        }
        Fault::BadUtf8 => call.edited(|text| {
            let mut bytes = text.into_bytes();
            let end = bytes.len() - "</xml>".len();
            bytes.splice(end..end, *b"<note>\xff\xfe</note>");
            bytes
        }),
        Fault::Nul => call.edited(|text| text.replacen("</xml>", "<note>\0</note></xml>", 1).into_bytes()),
        Fault::Bom => call.edited(|text| format!("\u{feff}{text}").into_bytes()),
        Fault::CdataTricks => {
            let lie = wire::write(&call.sealed_lie());
            let split = "<result_code><![CDATA[SUC]]><!-- FAIL -->CESS</result_code>";
            raw(lie.replacen("<result_code><![CDATA[SUCCESS]]></result_code>", split, 1))
        }
        Fault::OtherCurrency => {
            let mut lie = call.success_lie();
            for name in ["fee_type", "cash_fee_type"] {
                put(&mut lie, name, "USD");
            }
            call.unremembered(lie)
        }
        Fault::BadChunk => {
            let text = call.honest_text();
            let (first, second) = text.split_at(text.len() / 2);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            Delivery::Raw(
                [head, &format!("{:x}\r\n", first.len()), first, "\r\nzz\r\n", second].concat().into_bytes(),
            )
        }
        Fault::BadLength => {
            let text = call.honest_text();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Length: 5\r\n\r\n", text.len());
            Delivery::Raw((head + &text).into_bytes())
        }
        Fault::Garbage => {
            call.done();
            Delivery::Raw(b"\x16\x03\x01 220 mail ready\r\n\r\n".to_vec())
        }
        Fault::HeaderFlood => {
            let text = call.honest_text();
            let flood: String = (0..100_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
            let head = format!("HTTP/1.1 200 OK\r\n{flood}Content-Length: {}\r\n\r\n", text.len());
            Delivery::Raw((head + &text).into_bytes())
        }
        Fault::TwoAnswers => {
            let lie = call.sealed_lie();
            let truth = call.front.seal(request, answers::refused(SYSTEM_ERROR));
            let responses = [truth, lie].map(|fields| {
                let text = wire::write(&fields);
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
            });
            Delivery::Raw(responses.concat().into_bytes())
        }
        Fault::NoReturnCode => call.edited(|text| {
            text.replacen("<return_code><![CDATA[SUCCESS]]></return_code>\n", "", 1).into_bytes()
        }),
    }
}

impl Struck<'_> {
    /// Carries the request out; nobody hears the answer.
    fn done(&mut self) -> &mut Self {
        let _unheard = self.said(Fate::Success);
        self
    }

    fn said(&mut self, fate: Fate) -> Said {
        answers::act(&mut self.front.world, self.now, self.api, self.request, fate)
    }

    /// Carries the request out and answers truthfully.
    fn honest(&mut self, manner: Manner) -> Delivery {
        let said = self.said(Fate::Success);
        Delivery::Answer(Answer { manner, ..self.front.answer(self.api, self.request, said) })
    }

    fn fated(&mut self, fate: Fate) -> Delivery {
        let said = self.said(fate);
        Delivery::Answer(self.front.answer(self.api, self.request, said))
    }

    /// The truthful answer with its text changed after signing.
    fn edited(&mut self, edit: impl FnOnce(String) -> Vec<u8>) -> Delivery {
        raw(edit(self.honest_text()))
    }

    /// Carries the request out; the text of the truthful answer.
    fn honest_text(&mut self) -> String {
        let said = self.said(Fate::Success);
        let answer = self.front.answer(self.api, self.request, said);
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    fn refuse(&mut self, refusal: Refusal) -> Delivery {
        let mut fields = answers::refused(refusal);
        if self.api == Api::Reverse {
            put(&mut fields, "recall", "Y");
        }
        self.say(fields)
    }

    /// Signs and sends, nothing else.
    fn say(&mut self, fields: Fields) -> Delivery {
        Delivery::Answer(self.front.answer(self.api, self.request, Said::Fields(fields)))
    }

    /// The same, but never replayed: only what was once true is.
    fn unremembered(&mut self, fields: Fields) -> Delivery {
        Delivery::Answer(Answer::xml(&self.front.seal(self.request, fields)))
    }

    fn of_another_order(&mut self) -> Delivery {
        let mut lie = self.success_lie();
        for (name, value) in &mut lie {
            if ["out_trade_no", "transaction_id", "out_refund_no", "refund_id"]
                .iter()
                .any(|it| name.starts_with(it))
            {
                *value = another(value);
            }
        }
        self.unremembered(lie)
    }

    fn sign_and_send(&mut self, mut fields: Fields) -> Delivery {
        let kind = SignType::of(self.request).unwrap_or(SignType::Md5);
        let sign = wire::sign(&fields, &self.front.merchant.api_key, kind);
        put(&mut fields, "sign", sign);
        Delivery::Answer(Answer::xml(&fields))
    }

    /// A query's answer with this state, if the order exists.
    fn query_says(&mut self, state: &str) -> Delivery {
        let said = self.said(Fate::Success);
        let number = match &said {
            Said::Fields(fields) => fields.get("out_trade_no").cloned(),
            _ => None,
        };
        match number.and_then(|number| self.front.world.orders.get(&number)) {
            Some(order) => {
                let fields = answers::found_as(order, state);
                self.say(fields)
            }
            None => Delivery::Answer(self.front.answer(self.api, self.request, said)),
        }
    }

    fn sealed_lie(&mut self) -> Fields {
        let lie = self.lie();
        self.front.seal(self.request, lie)
    }

    /// An answer that is not true. Nothing is carried out.
    fn lie(&mut self) -> Fields {
        let request = self.request;
        let order = request.get("out_trade_no").and_then(|number| self.front.world.orders.get(number));
        match (self.api, order) {
            (Api::Orderquery, Some(order)) if order.trade_state() == "SUCCESS" => {
                answers::found_as(order, "REVOKED")
            }
            _ => self.success_lie(),
        }
    }

    /// A success that did not happen.
    fn success_lie(&mut self) -> Fields {
        let pretended = answers::pretended(&self.front.world, self.now, self.request);
        match self.api {
            Api::Micropay => answers::paid(&pretended),
            Api::Orderquery => answers::found_as(&pretended, "SUCCESS"),
            Api::Reverse => answers::recall(Ok(answers::success())),
            Api::Refund | Api::Refundquery | Api::Downloadbill => {
                // What another world would answer, in which it happened.
                let mut other = self.front.world.clone();
                let said = answers::act(&mut other, self.now, self.api, self.request, Fate::Success);
                let Said::Fields(mut fields) = said else { return answers::success() };
                for (name, value) in &mut fields {
                    if name.starts_with("refund_status_") {
                        *value = if value == "SUCCESS" { "PROCESSING" } else { "SUCCESS" }.to_owned();
                    }
                }
                fields
            }
        }
    }
}

fn put(fields: &mut Fields, name: &str, value: impl Into<String>) {
    fields.insert(name.to_owned(), value.into());
}

/// The same text with another last character.
fn another(text: &str) -> String {
    let mut text = text.to_owned();
    let last = text.pop();
    text.push(if last == Some('7') { '8' } else { '7' });
    text
}

fn raw(body: impl Into<Vec<u8>>) -> Delivery {
    Delivery::Answer(Answer::text(200, "text/plain", body))
}

fn page(status: u16, reason: &str) -> Delivery {
    let title = format!("{status} {reason}");
    Delivery::Answer(Answer::text(status, "text/html", nginx(&title, &title, "")))
}
