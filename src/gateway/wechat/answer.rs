//! Makes outcomes of APIv2 answers. Nothing is believed that is not signed, about our merchant, order and amount.

use std::sync::Arc;

use super::Merchant;
use super::errors::{self, MICROPAY, ORDERQUERY, REVERSE, Row, Verdict};
use super::sign::sign;
use super::xml::Fields;
use crate::gateway::{LARGEST_ANSWER, Order};
use crate::ids::OrderNumber;
use crate::money::Amount;
use crate::payment::{Answer, Cause, Proof, Refusal, ReversalAnswer};
use crate::time::Timestamp;

/// Characters of a gateway's text that are kept: the length of `err_code_des` on the pages.
const TEXT: usize = 128;

/// What an answer is held against.
pub(super) struct Expected {
    merchant: Arc<Merchant>,
    number: OrderNumber,
    amount: Amount,
}

impl Expected {
    pub fn new(merchant: &Arc<Merchant>, order: &Order) -> Self {
        Self { merchant: merchant.clone(), number: order.number.clone(), amount: order.amount }
    }

    /// The outcome of a pay request.
    pub fn pay(&self, status: u16, body: &[u8]) -> Answer {
        self.try_pay(status, body).unwrap_or_else(Answer::Unknown)
    }

    fn try_pay(&self, status: u16, body: &[u8]) -> Result<Answer, Cause> {
        let fields = self.open(status, body)?;
        if succeeded(&fields)? {
            return match fields.get("trade_state") {
                // Only queries have it: an older answer of another kind says nothing about now.
                Some(state) if state != "SUCCESS" => Err(Cause::Code(bounded(state))),
                _ => self.paid(&fields),
            };
        }
        let (row, code, text) = failure(MICROPAY, &fields)?;
        match row.map(|row| row.verdict(text)) {
            Some(Verdict::Refused(reason)) => {
                Ok(Answer::Refused(Refusal { code: bounded(code), text: bounded(text), reason }))
            }
            Some(Verdict::AwaitingPayer) => Ok(Answer::AwaitingPayer),
            Some(Verdict::NotFound | Verdict::Again | Verdict::Unknown) | None => {
                Err(Cause::Code(bounded(code)))
            }
        }
    }

    /// The outcome of a query.
    pub fn query(&self, status: u16, body: &[u8]) -> Answer {
        self.try_query(status, body).unwrap_or_else(Answer::Unknown)
    }

    fn try_query(&self, status: u16, body: &[u8]) -> Result<Answer, Cause> {
        let fields = self.open(status, body)?;
        if !succeeded(&fields)? {
            let (row, code, text) = failure(ORDERQUERY, &fields)?;
            return match row.map(|row| row.verdict(text)) {
                Some(Verdict::NotFound) => Ok(Answer::NotFound),
                _ => Err(Cause::Code(bounded(code))),
            };
        }
        // Every state comes with the number it is about; one without could be about any order.
        fields.get("out_trade_no").ok_or(Cause::Malformed)?;
        match fields.get("trade_state").ok_or(Cause::Malformed)? {
            "SUCCESS" => self.paid(&fields),
            "REFUND" => Ok(Answer::Refunded),
            "NOTPAY" => Ok(Answer::NotPaid),
            // ACCEPT: accepted, the deduction is still to come. Like an open dialog it contradicts a refusal.
            "USERPAYING" | "ACCEPT" => Ok(Answer::AwaitingPayer),
            "CLOSED" | "REVOKED" => Ok(Answer::Closed),
            "PAYERROR" => Ok(Answer::PayFailed),
            other => Err(Cause::Code(bounded(other))),
        }
    }

    /// The outcome of a reverse request.
    pub fn reverse(&self, status: u16, body: &[u8]) -> ReversalAnswer {
        self.try_reverse(status, body).unwrap_or_else(ReversalAnswer::Unknown)
    }

    fn try_reverse(&self, status: u16, body: &[u8]) -> Result<ReversalAnswer, Cause> {
        let fields = self.open(status, body)?;
        if succeeded(&fields)? {
            return match fields.get("recall") {
                Some("N") => Ok(ReversalAnswer::Done),
                Some("Y") | None => Ok(ReversalAnswer::Again),
                Some(_) => Err(Cause::Malformed),
            };
        }
        let (row, code, text) = failure(REVERSE, &fields)?;
        match row.map(|row| row.verdict(text)) {
            // It says itself that this is not its last word.
            Some(Verdict::Refused(_)) if fields.get("recall") == Some("Y") => Ok(ReversalAnswer::Again),
            Some(Verdict::Refused(reason)) => {
                Ok(ReversalAnswer::Refused(Refusal { code: bounded(code), text: bounded(text), reason }))
            }
            Some(Verdict::Again) => Ok(ReversalAnswer::Again),
            Some(Verdict::NotFound) => Ok(ReversalAnswer::NotFound),
            Some(Verdict::AwaitingPayer | Verdict::Unknown) | None => Err(Cause::Code(bounded(code))),
        }
    }

    /// Reads an answer as far as to know that it is WeChat's, and about our order.
    pub fn open<'a>(&self, status: u16, body: &'a [u8]) -> Result<Fields<'a>, Cause> {
        // WeChat answers failures with 200 too; everything else comes from something on the way.
        if status != 200 {
            return Err(Cause::HttpStatus(status));
        }
        if body.len() > LARGEST_ANSWER {
            return Err(Cause::TooLarge);
        }
        let fields = Fields::read(body).map_err(|_| Cause::Malformed)?;
        match fields.get("return_code") {
            Some("SUCCESS") => {}
            // Never signed, so it proves nothing; `retmsg` was seen too.
            Some("FAIL") => {
                let text = fields.get("return_msg").or(fields.get("retmsg")).unwrap_or_default();
                return Err(Cause::ProtocolFailure(bounded(text)));
            }
            _ => return Err(Cause::Malformed),
        }
        self.authenticate(&fields)?;
        self.bind(&fields)?;
        self.first_heard(&fields)?;
        Ok(fields)
    }

    /// Checks the signature over all fields, also those that did not exist when this was written.
    fn authenticate(&self, fields: &Fields) -> Result<(), Cause> {
        let Merchant { api_key, sign_type, .. } = &*self.merchant;
        let given = fields.get("sign").ok_or(Cause::Unsigned)?;
        let other_type = fields.get("sign_type").is_some_and(|named| named != sign_type.as_str());
        if other_type || !sign(fields.iter(), api_key, *sign_type).is(given) {
            return Err(Cause::BadSignature);
        }
        // The signed text does not say where a value ends: `a=1&b=2` may be two fields or one. So a value that could
        // have swallowed the field after it is not what was signed for certain.
        if fields.iter().any(|(_, value)| hides_a_field(value)) {
            return Err(Cause::Malformed);
        }
        Ok(())
    }

    /// Checks that an answer that could be about any order was not given before.
    fn first_heard(&self, fields: &Fields) -> Result<(), Cause> {
        if fields.get("out_trade_no").is_some() {
            return Ok(());
        }
        let signature = fields.get("sign").ok_or(Cause::Unsigned)?;
        let mut heard = self.merchant.heard.lock().unwrap_or_else(|broken| broken.into_inner());
        if heard.is_new(signature) { Ok(()) } else { Err(Cause::Repeated) }
    }

    /// Checks that the answer is about our merchant, order and amount, as far as it names them.
    fn bind(&self, fields: &Fields) -> Result<(), Cause> {
        let merchant = &*self.merchant;
        let is = |name, ours: &str| fields.get(name) == Some(ours);
        let is_or_absent = |name, ours: &str| fields.get(name).is_none_or(|theirs| theirs == ours);
        let sub_merchant = match &merchant.sub_mch_id {
            Some(ours) => is_or_absent("sub_mch_id", ours),
            None => fields.get("sub_mch_id").is_none(),
        };
        let sub_app = merchant.sub_app_id.as_ref().is_none_or(|ours| is_or_absent("sub_appid", ours));
        if !is("appid", &merchant.app_id) || !is("mch_id", &merchant.mch_id) || !sub_merchant || !sub_app {
            return Err(Cause::OtherMerchant);
        }
        if !is_or_absent("out_trade_no", self.number.as_str()) {
            return Err(Cause::OtherOrder);
        }
        let same_fee = match fen(fields, "total_fee")? {
            Some(fee) => fee == self.amount.fen(),
            None => true,
        };
        if !same_fee || !is_or_absent("fee_type", "CNY") {
            return Err(Cause::OtherAmount);
        }
        Ok(())
    }

    /// What a success says; it must name the order, the amount and, behind a service provider, who gets the money.
    fn paid(&self, fields: &Fields) -> Result<Answer, Cause> {
        fields.get("out_trade_no").ok_or(Cause::Malformed)?;
        if self.merchant.sub_mch_id.is_some() {
            fields.get("sub_mch_id").ok_or(Cause::OtherMerchant)?;
        }
        let total = fen(fields, "total_fee")?.ok_or(Cause::OtherAmount)?;
        let rest = |part: u32| total.checked_sub(part).ok_or(Cause::OtherAmount);
        // A purse may be kept in another currency; what it gave is then not in fen, and only the rest is known.
        let cash = match fields.get("cash_fee_type") {
            Some("CNY") | None => fen(fields, "cash_fee")?,
            Some(_) => None,
        };
        let (payer_paid, coupon) = match (cash, fen(fields, "coupon_fee")?) {
            (Some(cash), Some(coupon)) => (cash, coupon),
            (Some(cash), None) => (cash, rest(cash)?),
            (None, Some(coupon)) => (rest(coupon)?, coupon),
            (None, None) => (total, 0),
        };
        if payer_paid.checked_add(coupon) != Some(total) {
            return Err(Cause::OtherAmount);
        }
        let txn = fields.get("transaction_id").ok_or(Cause::Malformed)?;
        if txn.len() > 32 || !txn.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Cause::Malformed);
        }
        let paid_at = fields.get("time_end").and_then(Timestamp::from_wechat).ok_or(Cause::Malformed)?;
        Ok(Answer::Paid(Proof { gateway_txn: txn.to_owned(), paid_at, payer_paid, coupon }))
    }
}

/// Reads `result_code`. An `err_code` says nothing here: successes were seen with `0`, `SUCCESS` and `ok` in it.
pub(super) fn succeeded(fields: &Fields) -> Result<bool, Cause> {
    match fields.get("result_code") {
        Some("SUCCESS") => Ok(true),
        Some("FAIL") => Ok(false),
        _ => Err(Cause::Malformed),
    }
}

/// The code of a failure with its text and its row in the table.
pub(super) fn failure<'f>(
    table: &'static [Row],
    fields: &'f Fields,
) -> Result<(Option<&'static Row>, &'f str, &'f str), Cause> {
    let code = fields.get("err_code").ok_or(Cause::Malformed)?;
    Ok((errors::find(table, code), code, fields.get("err_code_des").unwrap_or_default()))
}

/// A count of fen as WeChat writes it: digits without sign, leading zero or blank.
pub(super) fn fen(fields: &Fields, name: &str) -> Result<Option<u32>, Cause> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(fen) if plain => Ok(Some(fen)),
        _ => Err(Cause::Malformed),
    }
}

fn hides_a_field(value: &str) -> bool {
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    value.split('&').skip(1).any(|part| match part.split_once('=') {
        Some((before, _)) => !before.is_empty() && before.bytes().all(name),
        None => false,
    })
}

/// A gateway's text for log and journal: at most 128 characters, none of them a control character.
pub(super) fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT).collect()
}
