//! WeChat Pay APIv2, payment codes: makes signed requests and believes signed answers. No I/O, no clock, no second try.

mod answer;
mod bill;
pub mod errors;
#[cfg(test)]
mod facts;
mod heard;
pub mod refund;
mod sign;
mod xml;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use zeroize::Zeroizing;

use self::answer::Expected;
pub use self::bill::{BadBill, Bill, LONGEST_LINE, Whole};
use self::heard::Heard;
pub use self::sign::{Secret, SecretError, SignType};
use super::{Call, Download, Gateway, Order, Outcome, RefundOrder, Request, SecondHost};
use crate::ids::PaymentCode;
use crate::payment::{Answer, Cause, ReversalAnswer};
use crate::refund as refunds;
use crate::time::Day;

/// The merchant, as the configuration's `[wechat]` names it.
#[derive(Debug)]
pub struct Settings {
    /// `appid`; behind a service provider, the provider's.
    pub app_id: String,
    /// `mch_id`; behind a service provider, the provider's.
    pub mch_id: String,
    /// `sub_appid`, service-provider mode only.
    pub sub_app_id: Option<String>,
    /// `sub_mch_id`, service-provider mode only: the shop that gets the money.
    pub sub_mch_id: Option<String>,
    /// How requests and answers are signed.
    pub sign_type: SignType,
    /// The key of both signatures.
    pub api_key: Secret,
    /// `spbill_create_ip`, the address of the calling machine. WeChat takes any; 127.0.0.1 does where it is not known.
    pub ip: IpAddr,
    /// `device_info`, the terminal's name in the merchant's bills.
    pub device: Option<String>,
    /// Whether a reverse request can be made: there is a client certificate, or all hosts are simulators that want none.
    pub has_client_certificate: bool,
}

/// What is wrong with [`Settings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Empty, too long, or with characters that such a name never has.
    #[error("{0} is not usable, expected 1 to 32 visible ASCII characters")]
    Name(&'static str),
    /// A part of the service-provider mode without the other.
    #[error(
        "sub_app_id is given without sub_mch_id\nhelp: write both, or neither if this is no service provider"
    )]
    SubMerchant,
}

/// How sales name this gateway.
pub const NAME: &str = "wechat";

/// The longest `body`: 127 bytes (page 提交付款码支付, 2025-08-14; older pages say 128).
pub const LONGEST_SUBJECT: usize = 127;

/// The APIv2 codec of one merchant.
pub struct Wechat {
    merchant: Arc<Merchant>,
}

struct Merchant {
    app_id: String,
    mch_id: String,
    sub_app_id: Option<String>,
    sub_mch_id: Option<String>,
    sign_type: SignType,
    api_key: Secret,
    ip: String,
    device: Option<String>,
    has_client_certificate: bool,
    /// Answers that named no order.
    heard: Mutex<Heard>,
}

impl Wechat {
    /// Checks the settings.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let Settings { app_id, mch_id, sub_app_id, sub_mch_id, sign_type, api_key, ip, device, .. } =
            settings;
        let names = [
            ("app_id", Some(&app_id)),
            ("mch_id", Some(&mch_id)),
            ("sub_app_id", sub_app_id.as_ref()),
            ("sub_mch_id", sub_mch_id.as_ref()),
            ("device_info", device.as_ref()),
        ];
        for (field, name) in names {
            let usable =
                |name: &String| (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
            if !name.is_none_or(usable) {
                return Err(SettingsError::Name(field));
            }
        }
        if sub_app_id.is_some() && sub_mch_id.is_none() {
            return Err(SettingsError::SubMerchant);
        }
        Ok(Self {
            merchant: Arc::new(Merchant {
                app_id,
                mch_id,
                sub_app_id,
                sub_mch_id,
                sign_type,
                api_key,
                ip: ip.to_string(),
                device,
                has_client_certificate: settings.has_client_certificate,
                heard: Mutex::default(),
            }),
        })
    }

    /// A request about an order, which it names.
    fn request<A: Outcome>(
        &self,
        kind: Kind<Expected, A>,
        order: &Order,
        own: &[(&'static str, &str)],
    ) -> Result<Request<A>, Cause> {
        let named: Vec<_> = own.iter().copied().chain([("out_trade_no", order.number.as_str())]).collect();
        self.make(kind, Expected::new(&self.merchant, order), &named)
    }

    fn make<E: Send + 'static, A: Outcome>(
        &self,
        kind: Kind<E, A>,
        expected: E,
        own: &[(&'static str, &str)],
    ) -> Result<Request<A>, Cause> {
        let body = self.merchant.message(own)?;
        let Kind { path, client_certificate, second_host, read } = kind;
        Ok(Request {
            path,
            body,
            content_type: CONTENT_TYPE,
            client_certificate,
            second_host,
            read: Box::new(move |status, body| read(&expected, status, body)),
        })
    }
}

const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// One of the APIs: what its answers are held against, and what they become.
struct Kind<E, A> {
    path: &'static str,
    client_certificate: bool,
    second_host: SecondHost,
    read: fn(&E, u16, &[u8]) -> A,
}

const MICROPAY: Kind<Expected, Answer> = Kind {
    path: "/pay/micropay",
    client_certificate: false,
    second_host: SecondHost::IfNeverSent,
    read: Expected::pay,
};

const ORDERQUERY: Kind<Expected, Answer> = Kind {
    path: "/pay/orderquery",
    client_certificate: false,
    second_host: SecondHost::Always,
    read: Expected::query,
};

const REVERSE: Kind<Expected, ReversalAnswer> = Kind {
    path: "/secapi/pay/reverse",
    client_certificate: true,
    second_host: SecondHost::Always,
    read: Expected::reverse,
};

impl Gateway for Wechat {
    fn name(&self) -> &'static str {
        NAME
    }

    /// 18 digits that begin with 10 to 15 (payment code page).
    fn accepts(&self, code: &PaymentCode) -> bool {
        let code = code.expose().as_bytes();
        code.len() == 18 && code[0] == b'1' && matches!(code[1], b'0'..=b'5')
    }

    fn pay(&self, order: &Order, code: PaymentCode) -> Call<Answer> {
        let subject = match subject(order) {
            Ok(subject) => subject,
            Err(cause) => return not_sendable(cause),
        };
        if !self.accepts(&code) {
            return not_sendable(Cause::Field("auth_code"));
        }
        let fee = order.amount.fen().to_string();
        let own = [
            ("auth_code", code.expose()),
            ("body", subject),
            ("device_info", self.merchant.device.as_deref().unwrap_or_default()),
            ("spbill_create_ip", &self.merchant.ip),
            ("total_fee", &fee),
        ];
        self.request(MICROPAY, order, &own).map_or_else(not_sendable, Call::Send)
    }

    fn query(&self, order: &Order) -> Call<Answer> {
        self.request(ORDERQUERY, order, &[]).map_or_else(not_sendable, Call::Send)
    }

    fn reverse(&self, order: &Order) -> Call<ReversalAnswer> {
        if !self.merchant.has_client_certificate {
            return not_sendable(Cause::ClientCertificate);
        }
        self.request(REVERSE, order, &[]).map_or_else(not_sendable, Call::Send)
    }

    fn refund(&self, refund: &RefundOrder) -> Call<refunds::Answer> {
        if !self.merchant.has_client_certificate {
            return not_sendable(Cause::ClientCertificate);
        }
        refund::ask(self, refund).map_or_else(not_sendable, Call::Send)
    }

    fn query_refund(&self, refund: &RefundOrder) -> Call<refunds::Answer> {
        refund::query(self, refund).map_or_else(not_sendable, Call::Send)
    }

    /// Plain text: `tar_type` is left out. Behind a service provider the bill is that of the one shop.
    fn statement(&self, day: Day) -> Result<Download, Cause> {
        let date: String = day.to_string().split('-').collect();
        let body = self.merchant.message(&[("bill_date", &date), ("bill_type", "ALL")])?;
        Ok(Download { path: "/pay/downloadbill", body, content_type: CONTENT_TYPE })
    }
}

fn not_sendable<A: Outcome>(cause: Cause) -> Call<A> {
    Call::NotSendable(A::never_sent(cause))
}

/// The subject without blanks around it, for WeChat's own library trims what it signs and others do not.
fn subject(order: &Order) -> Result<&str, Cause> {
    let subject = order.subject.trim();
    let fits = (1..=LONGEST_SUBJECT).contains(&subject.len());
    let writable = subject.chars().all(|c| xml::is_allowed(c) && !c.is_control());
    if fits && writable { Ok(subject) } else { Err(Cause::Field("body")) }
}

impl Merchant {
    /// The signed message: the fields that every request has, and `own`. Empty ones are left out.
    ///
    /// There is no `trade_type`, `notify_url`, `time_start` or `time_expire` among them: WeChat refuses the first two here,
    /// and times taken from a wrong clock would have it refuse the payment.
    fn message(&self, own: &[(&'static str, &str)]) -> Result<Zeroizing<Vec<u8>>, Cause> {
        let nonce = nonce().map_err(|_| Cause::Field("nonce_str"))?;
        let common = [
            ("appid", self.app_id.as_str()),
            ("mch_id", &self.mch_id),
            ("nonce_str", std::str::from_utf8(&nonce).unwrap_or_default()),
            ("sign_type", self.sign_type.as_str()),
            ("sub_appid", self.sub_app_id.as_deref().unwrap_or_default()),
            ("sub_mch_id", self.sub_mch_id.as_deref().unwrap_or_default()),
        ];
        let mut fields: Vec<(&str, &str)> = Vec::with_capacity(common.len() + own.len());
        fields.extend(common.iter().chain(own).filter(|(_, value)| !value.is_empty()));
        fields.sort_unstable_by_key(|(name, _)| *name);
        let signature = sign::sign(fields.iter().copied(), &self.api_key, self.sign_type);
        Ok(xml::write(fields.iter().copied().chain([("sign", signature.as_str())])))
    }
}

/// 128 fresh bits as 32 hexadecimal digits, the most that `nonce_str` holds.
fn nonce() -> Result<[u8; 32], getrandom::Error> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let mut nonce = [0; 32];
    for (pair, byte) in nonce.chunks_exact_mut(2).zip(random) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    Ok(nonce)
}
