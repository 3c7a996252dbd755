//! Which fields each API takes, and in what form; everything else is refused, as WeChat refuses it.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wire::Fields;
use crate::time::{Day, Timestamp};

/// The APIs of a merchant who scans payment codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `/pay/micropay`
    Micropay,
    /// `/pay/orderquery`
    Orderquery,
    /// `/secapi/pay/reverse`
    Reverse,
    /// `/secapi/pay/refund`
    Refund,
    /// `/pay/refundquery`
    Refundquery,
    /// `/pay/downloadbill`
    Downloadbill,
}

impl Api {
    /// Every API.
    pub const ALL: [Api; 6] =
        [Api::Micropay, Api::Orderquery, Api::Reverse, Api::Refund, Api::Refundquery, Api::Downloadbill];

    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Micropay => "/pay/micropay",
            Self::Orderquery => "/pay/orderquery",
            Self::Reverse => "/secapi/pay/reverse",
            Self::Refund => "/secapi/pay/refund",
            Self::Refundquery => "/pay/refundquery",
            Self::Downloadbill => "/pay/downloadbill",
        }
    }

    /// The API at a path.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|api| api.path() == path)
    }

    /// Whether a client certificate must be shown.
    pub fn needs_certificate(self) -> bool {
        matches!(self, Self::Reverse | Self::Refund)
    }

    fn specs(self) -> &'static [Spec] {
        match self {
            Self::Micropay => MICROPAY,
            Self::Orderquery | Self::Reverse => BY_NUMBER,
            Self::Refund => REFUND,
            Self::Refundquery => REFUNDQUERY,
            Self::Downloadbill => DOWNLOADBILL,
        }
    }
}

/// What is wrong with a request's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Refused before anything is looked at: the text is `return_msg`, and the answer is not signed.
    Protocol(String),
    /// `PARAM_ERROR` with this text.
    Param(String),
}

struct Spec {
    name: &'static str,
    required: bool,
    form: Form,
}

enum Form {
    /// At most this many bytes.
    Text(usize),
    /// At most this many bytes of digits, letters, `_-|*` (and `@` where the page lists it), at least the second number.
    Number(usize, usize, &'static str),
    /// Fen, above zero.
    Fee,
    /// A count from zero.
    Count,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// 18 digits that begin with 10 to 15.
    Code,
    /// IPv4 or IPv6.
    Ip,
    /// `yyyyMMddHHmmss`
    Time,
    /// `yyyyMMdd`
    Date,
    /// 28 digits, WeChat's own number.
    Transaction,
}

const fn must(name: &'static str, form: Form) -> Spec {
    Spec { name, required: true, form }
}

const fn may(name: &'static str, form: Form) -> Spec {
    Spec { name, required: false, form }
}

const ORDER: Form = Form::Number(6, 32, "_-|*");
const NUMBER: Form = Form::Number(1, 64, "_-|*@");

/// In every request; the service provider's two are optional here, since the simulated merchant is both.
const COMMON: &[Spec] = &[
    must("appid", Form::Text(32)),
    must("mch_id", Form::Text(32)),
    must("nonce_str", Form::Text(32)),
    must("sign", Form::Text(64)),
    may("sign_type", Form::OneOf(&["MD5", "HMAC-SHA256"])),
    may("sub_appid", Form::Text(32)),
    may("sub_mch_id", Form::Text(32)),
];

/// API page of 提交付款码支付, lengths of 2025-08-14 and the stricter of two where pages differ.
const MICROPAY: &[Spec] = &[
    must("body", Form::Text(127)),
    must("out_trade_no", ORDER),
    must("total_fee", Form::Fee),
    must("spbill_create_ip", Form::Ip),
    must("auth_code", Form::Code),
    may("version", Form::OneOf(&["1.0"])),
    may("device_info", Form::Text(32)),
    may("detail", Form::Text(6000)),
    may("attach", Form::Text(127)),
    may("fee_type", Form::OneOf(&["CNY"])),
    may("goods_tag", Form::Text(32)),
    may("limit_pay", Form::OneOf(&["no_credit"])),
    may("time_start", Form::Time),
    may("time_expire", Form::Time),
    may("receipt", Form::OneOf(&["Y"])),
    may("scene_info", Form::Text(256)),
    may("profit_sharing", Form::OneOf(&["Y", "N"])),
    may("deposit", Form::OneOf(&["Y"])),
];

const BY_NUMBER: &[Spec] = &[may("transaction_id", Form::Transaction), may("out_trade_no", ORDER)];

const REFUND: &[Spec] = &[
    may("transaction_id", Form::Transaction),
    may("out_trade_no", ORDER),
    must("out_refund_no", NUMBER),
    must("total_fee", Form::Fee),
    must("refund_fee", Form::Fee),
    may("refund_fee_type", Form::OneOf(&["CNY"])),
    may("refund_desc", Form::Text(80)),
    may("refund_account", Form::OneOf(&["REFUND_SOURCE_UNSETTLED_FUNDS", "REFUND_SOURCE_RECHARGE_FUNDS"])),
    may("notify_url", Form::Text(256)),
    may("op_user_id", Form::Text(32)),
];

const REFUNDQUERY: &[Spec] = &[
    may("refund_id", Form::Text(32)),
    may("out_refund_no", NUMBER),
    may("transaction_id", Form::Transaction),
    may("out_trade_no", ORDER),
    may("offset", Form::Count),
];

const DOWNLOADBILL: &[Spec] = &[
    must("bill_date", Form::Date),
    may("bill_type", Form::OneOf(&["ALL", "SUCCESS", "REFUND", "REVOKED"])),
    may("tar_type", Form::OneOf(&["GZIP"])),
];

/// The common fields alone, in the order in which a request is looked at before its signature.
pub(super) fn check_common(fields: &Fields) -> Result<(), Flaw> {
    for spec in COMMON {
        check(spec, fields).map_err(|text| Flaw::Protocol(text.unwrap_or_else(|| missing(spec.name))))?;
    }
    Ok(())
}

/// The fields of one API: unknown, missing, malformed.
pub(super) fn check_own(api: Api, fields: &Fields, now: Timestamp) -> Result<(), Flaw> {
    let specs = api.specs();
    if let Some(name) = fields.keys().find(|name| !COMMON.iter().chain(specs).any(|spec| spec.name == *name))
    {
        return Err(Flaw::Protocol(format!("不识别的参数{name}")));
    }
    for spec in specs {
        check(spec, fields).map_err(|text| match text {
            None => Flaw::Protocol(missing(spec.name)),
            Some(text) => Flaw::Param(text),
        })?;
    }
    let named =
        |names: &[&str]| names.iter().any(|name| fields.get(*name).is_some_and(|value| !value.is_empty()));
    match api {
        Api::Orderquery | Api::Reverse | Api::Refund if !named(&["transaction_id", "out_trade_no"]) => {
            Err(Flaw::Protocol("缺少参数:transaction_id和out_trade_no不能同时为空".to_owned()))
        }
        Api::Refundquery if !named(&["refund_id", "out_refund_no", "transaction_id", "out_trade_no"]) => {
            Err(Flaw::Protocol("缺少参数:四个订单号不能同时为空".to_owned()))
        }
        Api::Micropay => expiry(fields, now),
        _ => Ok(()),
    }
}

/// `time_expire` must lie at least a minute after `time_start` and after now.
fn expiry(fields: &Fields, now: Timestamp) -> Result<(), Flaw> {
    let time = |name| fields.get(name).and_then(|text| Timestamp::from_wechat(text));
    let Some(expire) = time("time_expire") else { return Ok(()) };
    let start = time("time_start").unwrap_or(now).max(now);
    // WeChat's times are whole seconds: a minute may look a second short.
    if expire < start + Duration::from_secs(59) {
        return Err(Flaw::Param("time_expire时间过短，刷卡至少1分钟，其他5分钟".to_owned()));
    }
    Ok(())
}

fn missing(name: &str) -> String {
    format!("缺少参数:{name}")
}

/// `Err(None)` if it is missing, `Err(Some(text))` if it is malformed.
fn check(spec: &Spec, fields: &Fields) -> Result<(), Option<String>> {
    let value = fields.get(spec.name).map_or("", String::as_str);
    if value.is_empty() {
        return if spec.required { Err(None) } else { Ok(()) };
    }
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let good = match spec.form {
        Form::Text(most) => value.len() <= most,
        Form::Number(least, most, extra) => {
            (least..=most).contains(&value.len())
                && value.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        }
        Form::Fee => digits && !value.starts_with('0') && value.parse::<u32>().is_ok(),
        Form::Count => digits && value.len() <= 9,
        Form::OneOf(values) => values.contains(&value),
        Form::Code => digits && value.len() == 18 && ("10"..="15").contains(&&value[..2]),
        Form::Ip => value.len() <= 64 && value.parse::<IpAddr>().is_ok(),
        Form::Time => Timestamp::from_wechat(value).is_some(),
        Form::Date => day(value).is_some(),
        Form::Transaction => digits && value.len() == 28,
    };
    if good { Ok(()) } else { Err(Some(complaint(spec, value))) }
}

fn complaint(spec: &Spec, value: &str) -> String {
    match spec.form {
        Form::Text(most) => format!("参数{}长度为{}字节，最多{most}字节", spec.name, value.len()),
        Form::Code => "付款码格式错误：应为18位数字，以10、11、12、13、14、15开头".to_owned(),
        Form::Transaction => "微信订单号非法".to_owned(),
        _ => format!("参数{}格式错误", spec.name),
    }
}

/// Reads `yyyyMMdd`.
pub(super) fn day(text: &str) -> Option<Day> {
    Timestamp::from_wechat(&format!("{text}000000")).map(Timestamp::day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_233_600_000);

    fn good() -> Fields {
        [
            ("appid", "wx8888888888888888"),
            ("mch_id", "1900000109"),
            ("nonce_str", "n"),
            ("sign", "x"),
            ("body", "朝阳门店-消费"),
            ("out_trade_no", "T01261121000001"),
            ("total_fee", "1250"),
            ("spbill_create_ip", "127.0.0.1"),
            ("auth_code", "134500001234568406"),
        ]
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
    }

    fn with(name: &str, value: &str) -> Result<(), Flaw> {
        let mut fields = good();
        fields.insert(name.to_owned(), value.to_owned());
        check_common(&fields)?;
        check_own(Api::Micropay, &fields, NOW)
    }

    #[test]
    fn takes_what_the_page_allows() {
        for (name, value) in [
            ("body", "a"),
            ("spbill_create_ip", "2001:db8::1"),
            ("total_fee", "4294967295"),
            ("out_trade_no", "a_-|*9"),
            ("auth_code", "100000000000000000"),
            ("auth_code", "159999999999999999"),
            ("attach", ""),
            ("sub_mch_id", "1900000200"),
            ("time_expire", "20261121120100"),
        ] {
            assert_eq!(with(name, value), Ok(()), "{name}={value}");
        }
    }

    #[test]
    fn refuses_malformed_fields() {
        let long = "长".repeat(43);
        for (name, value) in [
            ("body", long.as_str()),
            ("out_trade_no", "short"),
            ("out_trade_no", "123456789012345678901234567890123"),
            ("out_trade_no", "has@sign"),
            ("out_trade_no", "中文中文中文"),
            ("total_fee", "0"),
            ("total_fee", "012"),
            ("total_fee", "12.50"),
            ("total_fee", "-1"),
            ("total_fee", "4294967296"),
            ("spbill_create_ip", "localhost"),
            ("auth_code", "160000000000000000"),
            ("auth_code", "13450000123456840"),
            ("auth_code", "28450000123456840"),
            ("fee_type", "USD"),
            ("time_expire", "20261121120030"),
            ("time_start", "2026-11-21"),
        ] {
            assert!(matches!(with(name, value), Err(Flaw::Param(_))), "{name}={value}");
        }
    }

    #[test]
    fn refuses_what_is_missing_or_too_much() {
        assert_eq!(with("notify_url", "http://a/"), Err(Flaw::Protocol("不识别的参数notify_url".to_owned())));
        assert_eq!(with("trade_type", "MICROPAY"), Err(Flaw::Protocol("不识别的参数trade_type".to_owned())));
        assert_eq!(with("body", ""), Err(Flaw::Protocol("缺少参数:body".to_owned())));
        assert_eq!(with("nonce_str", ""), Err(Flaw::Protocol("缺少参数:nonce_str".to_owned())));
        assert!(matches!(with("nonce_str", &"n".repeat(33)), Err(Flaw::Protocol(_))));
        assert!(matches!(with("sign_type", "SHA1"), Err(Flaw::Protocol(_))));
        let no_number: Fields =
            good().into_iter().filter(|(name, _)| COMMON.iter().any(|s| s.name == name)).collect();
        for api in [Api::Orderquery, Api::Reverse, Api::Refundquery] {
            assert!(matches!(check_own(api, &no_number, NOW), Err(Flaw::Protocol(_))), "{api:?}");
        }
    }
}
