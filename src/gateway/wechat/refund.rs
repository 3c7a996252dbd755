//! Refund requests and what their answers say. As with payments, nothing is believed that is not signed, and about our
//! merchant, order, refund and amount.

use super::answer::{Expected, bounded, failure, fen, succeeded};
use super::errors::{REFUND, REFUNDQUERY, Verdict};
use super::xml::{self, Fields};
use super::{Kind, Wechat};
use crate::gateway::{RefundOrder, Request, SecondHost};
use crate::ids::RefundNumber;
use crate::payment::{Cause, Refusal};
use crate::refund::Answer;

/// The longest `refund_desc` in bytes (page 申请退款, 2025-08-14).
pub const LONGEST_REASON: usize = 80;

/// The most refunds that one answer tells of (page 查询退款). Ours are asked about one at a time, by number.
const LISTED: usize = 50;

const ASK: Kind<Wanted, Answer> = Kind {
    path: "/secapi/pay/refund",
    client_certificate: true,
    second_host: SecondHost::Always,
    read: Wanted::asked,
};

const QUERY: Kind<Wanted, Answer> = Kind {
    path: "/pay/refundquery",
    client_certificate: false,
    second_host: SecondHost::Always,
    read: Wanted::queried,
};

/// What an answer about a refund is held against.
struct Wanted {
    order: Expected,
    number: RefundNumber,
    fen: u32,
}

impl Wanted {
    fn new(wechat: &Wechat, refund: &RefundOrder) -> Self {
        Self {
            order: Expected::new(&wechat.merchant, &refund.order),
            number: refund.number.clone(),
            fen: refund.amount.fen(),
        }
    }

    /// The outcome of a refund request.
    fn asked(&self, status: u16, body: &[u8]) -> Answer {
        self.try_asked(status, body).unwrap_or_else(Answer::Unknown)
    }

    fn try_asked(&self, status: u16, body: &[u8]) -> Result<Answer, Cause> {
        let fields = self.order.open(status, body)?;
        if succeeded(&fields)? {
            self.is_ours(&fields, "out_refund_no", "refund_fee")?;
            return Ok(Answer::Accepted(number(&fields, "refund_id")?));
        }
        let (row, code, text) = failure(REFUND, &fields)?;
        match row.map(|row| row.verdict(text)) {
            Some(Verdict::Refused(reason)) => {
                Ok(Answer::Refused(Refusal { code: bounded(code), text: bounded(text), reason }))
            }
            Some(Verdict::NotFound | Verdict::AwaitingPayer | Verdict::Again | Verdict::Unknown) | None => {
                Err(Cause::Code(bounded(code)))
            }
        }
    }

    /// The outcome of a query.
    fn queried(&self, status: u16, body: &[u8]) -> Answer {
        self.try_queried(status, body).unwrap_or_else(Answer::Unknown)
    }

    fn try_queried(&self, status: u16, body: &[u8]) -> Result<Answer, Cause> {
        let fields = self.order.open(status, body)?;
        if !succeeded(&fields)? {
            let (row, code, text) = failure(REFUNDQUERY, &fields)?;
            return match row.map(|row| row.verdict(text)) {
                Some(Verdict::NotFound) => Ok(Answer::NotFound),
                _ => Err(Cause::Code(bounded(code))),
            };
        }
        let ours =
            |place: &usize| fields.get(&format!("out_refund_no_{place}")) == Some(self.number.as_str());
        let place = (0..LISTED).find(ours).ok_or(Cause::OtherOrder)?;
        self.is_ours(&fields, &format!("out_refund_no_{place}"), &format!("refund_fee_{place}"))?;
        let id = number(&fields, &format!("refund_id_{place}"))?;
        match fields.get(&format!("refund_status_{place}")).ok_or(Cause::Malformed)? {
            "PROCESSING" => Ok(Answer::Accepted(id)),
            "SUCCESS" => Ok(Answer::Returned(id)),
            "CHANGE" => Ok(Answer::Stuck(id)),
            "REFUNDCLOSE" => Ok(Answer::Closed(id)),
            other => Err(Cause::Code(bounded(other))),
        }
    }

    /// Whether a success is about this refund: it must name the order, the price, the refund and what goes back.
    fn is_ours(&self, fields: &Fields, number: &str, fee: &str) -> Result<(), Cause> {
        // That they are ours, where they are there, is looked at before.
        fields.get("out_trade_no").ok_or(Cause::Malformed)?;
        fields.get("total_fee").ok_or(Cause::OtherAmount)?;
        if fields.get(number) != Some(self.number.as_str()) {
            return Err(Cause::OtherOrder);
        }
        if fen(fields, fee)? != Some(self.fen) {
            return Err(Cause::OtherAmount);
        }
        Ok(())
    }
}

/// WeChat's own number of a refund: at most 32 characters (page 申请退款).
fn number(fields: &Fields, name: &str) -> Result<String, Cause> {
    let id = fields.get(name).ok_or(Cause::Malformed)?;
    let plain = id.len() <= 32 && id.bytes().all(|b| b.is_ascii_graphic());
    if plain { Ok(id.to_owned()) } else { Err(Cause::Malformed) }
}

/// The refund request. There is no `notify_url`: a till cannot be called from outside, it asks.
pub(super) fn ask(wechat: &Wechat, refund: &RefundOrder) -> Result<Request<Answer>, Cause> {
    let (total, fee) = (refund.order.amount.fen().to_string(), refund.amount.fen().to_string());
    let reason = reason(refund.reason.as_deref().unwrap_or_default())?;
    let own = [
        ("out_trade_no", refund.order.number.as_str()),
        ("out_refund_no", refund.number.as_str()),
        ("total_fee", &total),
        ("refund_fee", &fee),
        ("refund_desc", reason),
    ];
    wechat.make(ASK, Wanted::new(wechat, refund), &own)
}

/// The query for it, by the refund's number alone: of several numbers WeChat takes the first of its own order.
pub(super) fn query(wechat: &Wechat, refund: &RefundOrder) -> Result<Request<Answer>, Cause> {
    let own = [("out_refund_no", refund.number.as_str())];
    wechat.make(QUERY, Wanted::new(wechat, refund), &own)
}

/// The reason without blanks around it, like the subject of a payment.
fn reason(text: &str) -> Result<&str, Cause> {
    let text = text.trim();
    let writable = text.chars().all(|c| xml::is_allowed(c) && !c.is_control());
    if text.len() <= LONGEST_REASON && writable { Ok(text) } else { Err(Cause::Field("refund_desc")) }
}
