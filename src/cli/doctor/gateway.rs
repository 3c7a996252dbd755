//! The key and the certificate, by the only proof there is: signed requests about an order that never was. No money can
//! move by them.

use super::Finding;
use crate::cli::run;
use crate::config::Wechat;
use crate::gateway::{Gateway, Order};
use crate::payment::{Answer, Cause, ReversalAnswer};

/// No terminal makes this number: it has the day 00-00-00.
const ORDER: &str = "DOCTOR00000000000000000001";

/// Asks about the order with the key, then with the certificate as well.
pub async fn look(wechat: Wechat) -> anyhow::Result<Vec<Finding>> {
    let ends = wechat.identity.as_ref().map(|identity| identity.ends.day());
    let (http, codec) = run::gateway(wechat)?;
    let order = Order {
        number: ORDER.parse().map_err(anyhow::Error::msg)?,
        amount: "0.01".parse()?,
        subject: "doctor".to_owned(),
    };
    let key = key(&http.call(codec.query(&order)).await);
    let Some(ends) = ends else {
        let certificate = Finding::look("certificate", "none is set up; on a test bench none is needed", "");
        return Ok(vec![key, certificate]);
    };
    // With a wrong key the second answer would say nothing about the certificate.
    let certificate = if key.health == super::Health::Good {
        certificate(&http.call(codec.reverse(&order)).await, &format!("fits its key, ends on {ends}"))
    } else {
        Finding::look(
            "certificate",
            format!("fits its key, ends on {ends}; was not tried"),
            "put the key right first",
        )
    };
    Ok(vec![key, certificate])
}

fn key(answer: &Answer) -> Finding {
    match answer {
        Answer::Unknown(cause @ (Cause::ProtocolFailure(_) | Cause::BadSignature | Cause::Unsigned)) => {
            let help = "compare the key with 账户中心, API安全, APIv2 密钥; then app_id, mch_id, sign_type";
            Finding::bad("key", format!("was not accepted: {cause}"), help)
        }
        Answer::Unknown(cause @ (Cause::OtherMerchant | Cause::Code(_))) => {
            let help = "compare app_id, mch_id and sub_mch_id with the merchant platform";
            Finding::bad("key", format!("is good, but the gateway said: {cause}"), help)
        }
        Answer::NeverSent(cause) | Answer::Unknown(cause) => {
            Finding::look("key", format!("could not be tried: {cause}"), "put the line right first")
        }
        Answer::NotFound
        | Answer::Paid(_)
        | Answer::AwaitingPayer
        | Answer::Refused(_)
        | Answer::NotPaid
        | Answer::PayFailed
        | Answer::Closed
        | Answer::Refunded => Finding::good("key", "the gateway took and gave a good signature"),
    }
}

fn certificate(answer: &ReversalAnswer, facts: &str) -> Finding {
    let help = "download the certificate again: merchant platform, 账户中心, API安全, API证书";
    match answer {
        ReversalAnswer::Done
        | ReversalAnswer::Again
        | ReversalAnswer::NotFound
        | ReversalAnswer::Refused(_)
        | ReversalAnswer::Unknown(Cause::Code(_)) => {
            Finding::good("certificate", format!("{facts}; the gateway took it"))
        }
        ReversalAnswer::NeverSent(cause) | ReversalAnswer::Unknown(cause) => {
            Finding::bad("certificate", format!("{facts}, but was not accepted: {cause}"), help)
        }
    }
}
