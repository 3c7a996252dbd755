//! Answers of the gateway: nothing is believed that it did not say, and nothing that it said about others.

use std::borrow::Cow;

use micropayd::payment::{Answer, Cause, ReversalAnswer};
use micropayd::refund;
use micropayd::simulator::wire::{self, Fields};

use super::head;
use super::merchant::{
    APP, FEE, HONEST, KEY, MCH, Question, Word, codec, hear, order, question, refund_order, sign_type,
    wire_type,
};

/// Bytes that whoever does not know the key can send: whatever of them is believed has, to a second reader that shares no
/// code with the first, exactly the fields of an answer that the gateway gave, and means what that answer meant.
///
/// The first byte says which question is asked, which signature is in use, and whether the rest is a body or edits of
/// an honest one (place, bytes taken out, bytes put in).
pub fn nothing_changed_is_believed(mut data: &[u8]) {
    let [choice] = head(&mut data);
    let body = if choice & 0x80 == 0 { Cow::Borrowed(data) } else { Cow::Owned(edited(data)) };
    let (question, kind) = (question(choice), sign_type(choice));
    let ours = codec(kind);
    let word = hear(&ours, question, &body);
    if word.silence().is_some() {
        return;
    }
    let fields = second_reading(&body);
    let honest =
        HONEST.iter().find(|honest| honest.sign_type == kind && with_values(&honest.fields) == fields);
    let honest =
        honest.unwrap_or_else(|| panic!("{word:?} was believed of what the gateway never said: {fields:?}"));
    assert_eq!(
        word,
        hear(&codec(kind), question, &honest.body),
        "it means something else than what was said"
    );
    if !fields.contains_key("out_trade_no") {
        let again = hear(&ours, question, &body);
        assert_eq!(again.silence(), Some(&Cause::Repeated), "an answer about no order is believed once");
    }
}

/// Answers that whoever knows the key can give: they are believed only about our merchant, order, amount and currency.
pub fn nothing_foreign_is_believed(mut data: &[u8]) {
    let [choice] = head(&mut data);
    let (question, kind) = (question(choice), sign_type(choice));
    let Ok(mut fields) = wire::read(data) else { return };
    fields.remove("sign");
    let sign = wire::sign(&fields, KEY, wire_type(kind));
    fields.insert("sign".to_owned(), sign);
    let word = hear(&codec(kind), question, wire::write(&fields).as_bytes());
    if word.silence().is_some() {
        return;
    }
    let said = |name: &str| fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let order = order();
    assert_eq!((said("appid"), said("mch_id")), (Some(APP), Some(MCH)), "{fields:?}");
    assert_eq!(said("return_code"), Some("SUCCESS"), "{fields:?}");
    assert!(said("sub_mch_id").is_none(), "{fields:?}");
    assert!(said("out_trade_no").is_none_or(|number| number == order.number.as_str()), "{fields:?}");
    assert!(said("total_fee").is_none_or(|fee| fee == FEE), "{fields:?}");
    assert!(said("fee_type").is_none_or(|currency| currency == "CNY"), "{fields:?}");
    assert!(said("sign_type").is_none_or(|named| named == kind.as_str()), "{fields:?}");
    let well = said("result_code") == Some("SUCCESS");
    match &word {
        Word::Pay(Answer::Paid(proof)) => {
            assert!(well, "{fields:?}");
            assert!(said("trade_state").is_none_or(|state| state == "SUCCESS"), "{fields:?}");
            assert_eq!(said("out_trade_no"), Some(order.number.as_str()), "{fields:?}");
            assert_eq!(said("total_fee"), Some(FEE), "{fields:?}");
            assert_eq!(said("transaction_id"), Some(proof.gateway_txn.as_str()), "{fields:?}");
            assert_eq!(proof.payer_paid + proof.coupon, order.amount.fen(), "{fields:?}");
        }
        Word::Pay(Answer::Refused(refusal)) => {
            assert!(!well && question == Question::Pay, "{fields:?}");
            assert!(refusal.text.chars().count() <= 128 && !refusal.text.chars().any(char::is_control));
        }
        Word::Pay(Answer::Closed | Answer::Refunded | Answer::NotPaid | Answer::PayFailed) => {
            assert!(well && question == Question::Query, "{fields:?}");
            assert!(said("trade_state").is_some() && said("out_trade_no").is_some(), "{fields:?}");
        }
        Word::Pay(Answer::NotFound) => assert!(!well && question == Question::Query, "{fields:?}"),
        Word::Pay(Answer::AwaitingPayer) => assert!(well == (question == Question::Query), "{fields:?}"),
        Word::Reverse(ReversalAnswer::Done) => assert!(well && said("recall") == Some("N"), "{fields:?}"),
        Word::Reverse(ReversalAnswer::Refused(_)) => {
            assert!(!well && said("recall") != Some("Y"), "{fields:?}");
        }
        Word::Reverse(ReversalAnswer::NotFound) => assert!(!well, "{fields:?}"),
        Word::Reverse(ReversalAnswer::Again) => {}
        Word::Refund(refund::Answer::NotFound | refund::Answer::Refused(_)) => assert!(!well, "{fields:?}"),
        Word::Refund(
            refund::Answer::Accepted(id)
            | refund::Answer::Returned(id)
            | refund::Answer::Stuck(id)
            | refund::Answer::Closed(id),
        ) => {
            let wanted = refund_order();
            let place = match question {
                Question::Refund => String::new(),
                _ => (0..50)
                    .map(|place| format!("_{place}"))
                    .find(|place| said(&format!("out_refund_no{place}")) == Some(wanted.number.as_str()))
                    .unwrap_or_else(|| panic!("it does not name the refund: {fields:?}")),
            };
            let named = |name: &str| said(&format!("{name}{place}"));
            let fen = wanted.amount.fen().to_string();
            assert!(well, "{fields:?}");
            assert_eq!(said("out_trade_no"), Some(order.number.as_str()), "{fields:?}");
            assert_eq!(said("total_fee"), Some(FEE), "{fields:?}");
            assert_eq!(named("out_refund_no"), Some(wanted.number.as_str()), "{fields:?}");
            assert_eq!(named("refund_fee"), Some(fen.as_str()), "{fields:?}");
            assert_eq!(named("refund_id"), Some(id.as_str()), "{fields:?}");
            assert!(question == Question::Refund || named("refund_status").is_some(), "{fields:?}");
        }
        Word::Pay(Answer::NeverSent(_) | Answer::Unknown(_))
        | Word::Reverse(ReversalAnswer::NeverSent(_) | ReversalAnswer::Unknown(_))
        | Word::Refund(refund::Answer::NeverSent(_) | refund::Answer::Unknown(_)) => unreachable!("silence"),
    }
}

/// An honest answer after some edits.
fn edited(mut data: &[u8]) -> Vec<u8> {
    let [which] = head(&mut data);
    let mut body = HONEST[usize::from(which) % HONEST.len()].body.clone();
    while !data.is_empty() {
        let [low, high, out, into] = head(&mut data);
        let place = usize::from(u16::from_le_bytes([low, high])) % (body.len() + 1);
        let end = (place + usize::from(out & 31)).min(body.len());
        let (new, rest) = data.split_at(usize::from(into & 31).min(data.len()));
        data = rest;
        body.splice(place..end, new.iter().copied());
    }
    body
}

/// What a second reader makes of a body that the first believed. Line ends are as XML 1.0, 2.11 wants them.
fn second_reading(body: &[u8]) -> Fields {
    let text = std::str::from_utf8(body).expect("only UTF-8 is believed");
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    match wire::read(text.as_bytes()) {
        Ok(fields) => with_values(&fields),
        Err(why) => panic!("believed, and no message to a second reader ({why}): {text}"),
    }
}

/// Without the fields that the signature does not cover, which say nothing.
fn with_values(fields: &Fields) -> Fields {
    fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
