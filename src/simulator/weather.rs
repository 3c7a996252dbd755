//! What goes wrong on the way to the gateway, in it, and on the way back.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dice::Dice;
use super::fields::Api;
use crate::time::Timestamp;

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $apis:expr;)+) => {
        /// Everything that can go wrong. The list at `GET /_simulator/weather/faults` is made from this enum.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Fault {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant),+];

            /// Its name in rules and lists.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it does.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_start()),+ }
            }

            /// Where it can strike.
            pub fn apis(self) -> &'static [Api] {
                match self { $(Self::$variant => $apis),+ }
            }
        }
    };
}

const ALL: &[Api] = &Api::ALL;
/// The APIs that answer with signed XML.
const SIGNED: &[Api] = &[Api::Micropay, Api::Orderquery, Api::Reverse, Api::Refund, Api::Refundquery];
/// The signed ones that name an order in their answer.
const NAMING: &[Api] = &[Api::Micropay, Api::Orderquery, Api::Refund, Api::Refundquery];
const ACTING: &[Api] = &[Api::Micropay, Api::Reverse, Api::Refund];
const PAYING: &[Api] = &[Api::Micropay, Api::Orderquery];
const MICROPAY: &[Api] = &[Api::Micropay];
const QUERY: &[Api] = &[Api::Orderquery];
const REVERSE: &[Api] = &[Api::Reverse];
const REFUND: &[Api] = &[Api::Refund];

faults! {
    /// SYSTEMERROR; nothing was done.
    SystemError = "systemerror", SIGNED;
    /// SYSTEMERROR; what was asked was done all the same.
    SystemErrorPaid = "systemerror_paid", ACTING;
    /// BANKERROR; nothing was taken, the order is known and unpaid.
    BankError = "bankerror", MICROPAY;
    /// BANKERROR; the money was taken all the same.
    BankErrorPaid = "bankerror_paid", MICROPAY;
    /// FAIL with a listed error (`err_code`, default NOTENOUGH); what was asked was done all the same.
    FailButPaid = "fail_but_paid", ACTING;
    /// Nothing is done; FAIL with any error (`err_code`, default TRADE_ERROR).
    Refuse = "refuse", SIGNED;
    /// FREQUENCY_LIMITED; nothing was done.
    FrequencyLimited = "frequency_limited", SIGNED;
    /// `return_code` FAIL, unsigned; nothing was done.
    ReturnFail = "return_fail", SIGNED;
    /// `return_code` FAIL, unsigned; what was asked was done all the same.
    ReturnFailPaid = "return_fail_paid", ACTING;
    /// Nothing is done; the connection closes without an answer.
    LostBefore = "lost_before", ALL;
    /// Done; the connection closes without an answer.
    LostAfter = "lost_after", ALL;
    /// Nothing is done yet; the connection closes, and the request reaches the gateway `seconds` (5) later.
    ArriveLate = "arrive_late", ACTING;
    /// The request reaches the gateway twice; the second answer comes back.
    Twice = "twice", SIGNED;
    /// Done at once, answered `seconds` (5) later.
    Delay = "delay", ALL;
    /// Done, never answered; the connection stays open.
    Hang = "hang", ALL;
    /// Done, answered at one byte a second.
    Drip = "drip", ALL;
    /// Done; half of the answer comes, then the connection closes.
    Cut = "cut", ALL;
    /// Done; the answer is 300 MB long.
    Huge = "huge", ALL;
    /// Nothing is done; the whole host closes every connection, whatever the API.
    Down = "down", ALL;
    /// Nothing is done; reverse is answered SUCCESS with recall=Y.
    Recall = "recall", REVERSE;
    /// Nothing is done; reverse is refused with USERPAYING, because the payer is typing the password.
    BeingPaid = "being_paid", REVERSE;
    /// The query says USERPAYING although the order is paid.
    Stale = "stale", QUERY;
    /// The query says ORDERNOTEXIST although the order exists.
    NotExist = "not_exist", QUERY;
    /// The query says `state` (default ACCEPT), whatever the truth.
    Says = "says", QUERY;
    /// The refund is accepted and later closed; the money stays with the merchant.
    RefundClose = "refund_close", REFUND;
    /// The refund is accepted and later needs a person (CHANGE).
    RefundChange = "refund_change", REFUND;
    /// Nothing is done; an answer without signature claims success (a query: the opposite of the truth).
    Unsigned = "unsigned", SIGNED;
    /// Nothing is done; the same lie with a wrong signature.
    Forged = "forged", SIGNED;
    /// Nothing is done; the same lie, signed with the other signature type.
    WrongSignType = "wrong_sign_type", SIGNED;
    /// Nothing is done; a properly signed success that belongs to another order.
    OtherOrder = "other_order", NAMING;
    /// Nothing is done; a properly signed success over another amount.
    OtherAmount = "other_amount", NAMING;
    /// Nothing is done; a properly signed success of another merchant.
    OtherMerchant = "other_merchant", SIGNED;
    /// Nothing is done; an earlier answer of this API comes again, of this order if there is one.
    Replay = "replay", SIGNED;
    /// Done; a proxy answers 502 with a page.
    Html = "html", ALL;
    /// Nothing is done; a captive portal answers 200 with a page.
    Portal = "portal", ALL;
    /// 301 to the same place; nothing is done.
    Status301 = "status_301", ALL;
    /// 302 to the same place; nothing is done.
    Status302 = "status_302", ALL;
    /// 307 to the same place, which would have a client send everything again; nothing is done.
    Status307 = "status_307", ALL;
    /// 401; nothing is done.
    Status401 = "status_401", ALL;
    /// 429; nothing is done.
    Status429 = "status_429", ALL;
    /// 500; done all the same.
    Status500 = "status_500", ALL;
    /// 504; done all the same.
    Status504 = "status_504", ALL;
    /// Done; 200 with an empty body.
    Empty = "empty", ALL;
    /// Nothing is done; a signed lie behind a DOCTYPE with an external entity.
    Doctype = "doctype", SIGNED;
    /// Nothing is done; a signed lie whose text expands to a gigabyte for whoever expands it.
    EntityBomb = "entity_bomb", SIGNED;
    /// Nothing is done; the fields that matter occur twice, and the signature fits the last ones, which lie.
    DuplicateKeys = "duplicate_keys", SIGNED;
    /// Nothing is done; the signed lie is nested one level deeper.
    Nested = "nested", SIGNED;
    /// Done; the answer has bytes that are not UTF-8.
    BadUtf8 = "bad_utf8", SIGNED;
    /// Done; the answer has a NUL in it.
    Nul = "nul", SIGNED;
    /// Done; the answer is right and begins with a byte order mark.
    Bom = "bom", SIGNED;
    /// Nothing is done; a signed lie with the value that matters split over CDATA, comment and text.
    CdataTricks = "cdata_tricks", SIGNED;
    /// Nothing is done; a properly signed success in another currency.
    OtherCurrency = "other_currency", PAYING;
    /// Done; a chunked body whose second chunk has no size.
    BadChunk = "bad_chunk", SIGNED;
    /// Done; two lengths that contradict each other.
    BadLength = "bad_length", SIGNED;
    /// Done; bytes that are not HTTP.
    Garbage = "garbage", ALL;
    /// Done; 100,000 header lines come before the body.
    HeaderFlood = "header_flood", SIGNED;
    /// Nothing is done; SYSTEMERROR, and right behind it a second response, a signed lie about the next call.
    TwoAnswers = "two_answers", SIGNED;
    /// Done; `return_code` is missing.
    NoReturnCode = "no_return_code", SIGNED;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Fault {
    /// Whether `seconds` is its own (how late), not how long the rule lasts.
    fn takes_seconds(self) -> bool {
        matches!(self, Self::Delay | Self::ArriveLate)
    }
}

/// Which calls a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Where {
    /// Every call to which the fault can happen.
    #[default]
    Any,
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

impl Where {
    fn covers(self, api: Api) -> bool {
        match self {
            Self::Any => true,
            Self::Micropay => api == Api::Micropay,
            Self::Orderquery => api == Api::Orderquery,
            Self::Reverse => api == Api::Reverse,
            Self::Refund => api == Api::Refund,
            Self::Refundquery => api == Api::Refundquery,
            Self::Downloadbill => api == Api::Downloadbill,
        }
    }
}

/// One line of the forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which calls.
    #[serde(default)]
    pub api: Where,
    /// What happens to them.
    pub fault: Fault,
    /// How many calls; 1 if neither this nor a duration is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// For `delay` and `arrive_late`: how late. For every other fault: how long the rule lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// So many calls pass unharmed first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
    /// Probability for each call; by the seed, so the same calls are hit in every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// For `refuse` and `fail_but_paid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err_code: Option<String>,
    /// For `says`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Rule {
    /// `fault` on the next call of `api`.
    pub fn once(api: Where, fault: Fault) -> Self {
        Self { api, fault, times: None, seconds: None, skip: 0, chance: None, err_code: None, state: None }
    }

    /// The same, so many times.
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same with this delay or duration.
    pub fn seconds(self, seconds: f64) -> Self {
        Self { seconds: Some(seconds), ..self }
    }

    /// Why the rule could never be followed.
    pub fn complaint(&self) -> Option<String> {
        let fault = self.fault;
        let good = |number: f64| number.is_finite() && number >= 0.0;
        if !fault.apis().iter().any(|api| self.api.covers(*api)) {
            let apis: Vec<&str> = fault.apis().iter().map(|api| api.path()).collect();
            return Some(format!("fault {fault} cannot happen there, only to {}", apis.join(", ")));
        }
        if self.seconds.is_some_and(|seconds| !good(seconds)) {
            return Some("seconds: expected a number from 0".to_owned());
        }
        if self.chance.is_some_and(|chance| !good(chance) || chance > 1.0) {
            return Some("chance: expected a number from 0 to 1".to_owned());
        }
        if self.times == Some(0) {
            return Some("times: expected at least 1".to_owned());
        }
        None
    }

    /// How late, for the faults that are about lateness.
    pub fn lateness(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(5.0).clamp(0.0, 1e9))
    }
}

#[derive(Debug, Clone)]
struct Pending {
    rule: Rule,
    left: Option<u32>,
    until: Option<Timestamp>,
    skip: u32,
}

/// The forecast: rules in the order in which they were set; the first that fits a call strikes.
#[derive(Debug, Clone)]
pub struct Weather {
    rules: Vec<Pending>,
    dice: Dice,
}

impl Weather {
    /// Fair.
    pub fn new(seed: u64) -> Self {
        Self { rules: Vec::new(), dice: Dice::new(seed ^ 0x0077_EA74_E500_0000) }
    }

    /// Adds a rule, which begins to count at `now`.
    pub fn add(&mut self, now: Timestamp, rule: Rule) {
        let lasts = rule.seconds.filter(|_| !rule.fault.takes_seconds());
        self.rules.push(Pending {
            left: rule.times.or(if lasts.is_none() { Some(1) } else { None }),
            until: lasts.map(|seconds| now + Duration::from_secs_f64(seconds.clamp(0.0, 1e9))),
            skip: rule.skip,
            rule,
        });
    }

    /// Fair again.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The rules that still hold, with the number of calls that they still have.
    pub fn forecast(&self, now: Timestamp) -> Vec<Rule> {
        let holding = self.rules.iter().filter(|pending| pending.until.is_none_or(|until| now < until));
        holding
            .map(|pending| Rule { times: pending.left, skip: pending.skip, ..pending.rule.clone() })
            .collect()
    }

    /// What happens to this call.
    pub fn strike(&mut self, now: Timestamp, api: Api) -> Option<Rule> {
        self.rules.retain(|pending| pending.left != Some(0) && pending.until.is_none_or(|until| now < until));
        for pending in &mut self.rules {
            let rule = &pending.rule;
            let down = rule.fault == Fault::Down;
            if !(down || rule.api.covers(api) && rule.fault.apis().contains(&api)) {
                continue;
            }
            if pending.skip > 0 {
                pending.skip -= 1;
                continue;
            }
            if rule.chance.is_some_and(|chance| !self.dice.chance(chance)) {
                continue;
            }
            pending.left = pending.left.map(|left| left - 1);
            return Some(rule.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Timestamp = Timestamp(1_000_000);

    #[test]
    fn rules_strike_where_they_can_as_often_as_they_say() {
        let mut weather = Weather::new(1);
        weather.add(T, Rule::once(Where::Any, Fault::Recall));
        weather.add(T, Rule { skip: 1, ..Rule::once(Where::Orderquery, Fault::Stale).times(2) });
        let struck = |weather: &mut Weather, api| weather.strike(T, api).map(|rule| rule.fault);
        assert_eq!(struck(&mut weather, Api::Micropay), None, "micropay has no recall");
        assert_eq!(struck(&mut weather, Api::Orderquery), None, "skipped");
        assert_eq!(struck(&mut weather, Api::Orderquery), Some(Fault::Stale));
        assert_eq!(struck(&mut weather, Api::Reverse), Some(Fault::Recall));
        assert_eq!(struck(&mut weather, Api::Reverse), None);
        assert_eq!(struck(&mut weather, Api::Orderquery), Some(Fault::Stale));
        assert_eq!(struck(&mut weather, Api::Orderquery), None);
    }

    #[test]
    fn a_rule_with_seconds_lasts_that_long() {
        let mut weather = Weather::new(1);
        weather.add(T, Rule::once(Where::Any, Fault::Down).seconds(10.0));
        for _ in 0..100 {
            assert!(weather.strike(T + Duration::from_secs(9), Api::Micropay).is_some());
        }
        assert!(weather.strike(T + Duration::from_secs(10), Api::Micropay).is_none());
    }

    #[test]
    fn delays_count_calls_not_seconds() {
        let mut weather = Weather::new(1);
        weather.add(T, Rule::once(Where::Any, Fault::Delay).seconds(0.5));
        let rule = weather.strike(T + Duration::from_secs(60), Api::Micropay).unwrap();
        assert_eq!(rule.lateness(), Duration::from_millis(500));
        assert!(weather.strike(T, Api::Micropay).is_none());
    }

    #[test]
    fn chance_is_the_same_in_every_run() {
        let run = || {
            let mut weather = Weather::new(42);
            weather.add(
                T,
                Rule { chance: Some(0.3), ..Rule::once(Where::Any, Fault::LostAfter).times(u32::MAX) },
            );
            (0..200).map(|_| weather.strike(T, Api::Micropay).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        let hits = run().into_iter().filter(|hit| *hit).count();
        assert!((30..90).contains(&hits), "{hits}");
    }

    #[test]
    fn every_fault_is_named_once_and_reads_back() {
        for fault in Fault::ALL {
            let json = format!("{{\"fault\":\"{fault}\"}}");
            assert_eq!(serde_json::from_str::<Rule>(&json).unwrap().fault, *fault);
            assert!(!fault.about().is_empty() && !fault.apis().is_empty());
        }
        let impossible = Rule::once(Where::Micropay, Fault::Recall);
        assert!(impossible.complaint().unwrap().contains("/secapi/pay/reverse"));
    }
}
