//! Time as the terminal speaks of it: given, never read. Beijing time (UTC+8, no daylight saving) on paper and at WeChat.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use jiff::civil;
use jiff::tz::{Offset, TimeZone};

/// Milliseconds since 1970-01-01T00:00:00Z. Only the terminal's clock and the gateway make new ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

/// The shop's clock: all WeChat documents give times in UTC+8.
pub fn beijing() -> TimeZone {
    Offset::constant(8).to_time_zone()
}

impl Timestamp {
    /// The time that has passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Beijing wall time; the ends of the calendar where the number is beyond them.
    pub fn civil(self) -> civil::DateTime {
        let clamped = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        clamped.to_zoned(beijing()).datetime()
    }

    /// The Beijing day.
    pub fn day(self) -> Day {
        Day(self.civil().date())
    }

    /// RFC 3339 with milliseconds, `2026-11-21T19:38:41.250+08:00`.
    pub fn rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S%.3f+08:00").to_string()
    }

    /// Reads WeChat's `yyyyMMddHHmmss`, Beijing time.
    pub fn from_wechat(text: &str) -> Option<Self> {
        if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let moment = civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
        Some(Self(moment.to_zoned(beijing()).ok()?.timestamp().as_millisecond()))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// A Beijing calendar day, printed and parsed as `2026-11-21`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Day(civil::Date);

impl Day {
    /// First moment of the day.
    pub fn start(self) -> Timestamp {
        let zoned = self.0.to_zoned(beijing());
        Timestamp(zoned.map_or(0, |z| z.timestamp().as_millisecond()))
    }

    /// First moment after the day.
    pub fn end(self) -> Timestamp {
        self.start() + Duration::from_secs(24 * 60 * 60)
    }

    /// `yyMMdd`, as order numbers carry it.
    pub fn compact(self) -> String {
        self.0.strftime("%y%m%d").to_string()
    }

    /// The day that is [written](Self::compact) so, of this century.
    pub fn from_compact(text: &str) -> Option<Self> {
        let digits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| civil::Date::strptime("%Y%m%d", format!("20{text}")).ok().map(Day))?
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%d"))
    }
}

impl FromStr for Day {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("date {text:?} is not a day, expected a form like \"2026-11-21\"");
        if text.len() != 10 {
            return Err(form());
        }
        civil::Date::strptime("%Y-%m-%d", text).map(Day).map_err(|_| form())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechat_times_are_beijing_times() {
        let noon = Timestamp::from_wechat("20261121120000").unwrap();
        assert_eq!(noon.rfc3339(), "2026-11-21T12:00:00.000+08:00");
        assert_eq!(noon.0, 1_795_233_600_000);
        for bad in ["", "2026112112000", "20261321120000", "2026-11-21 120", "２０２６1121120000"] {
            assert_eq!(Timestamp::from_wechat(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_in_beijing() {
        let day: Day = "2026-11-21".parse().unwrap();
        assert_eq!(day.start().rfc3339(), "2026-11-21T00:00:00.000+08:00");
        assert_eq!(day.start().day(), day);
        assert_eq!((day.end() - Duration::from_millis(1)).day(), day);
        assert_ne!(day.end().day(), day);
        assert!("2026-02-30".parse::<Day>().is_err());
    }

    #[test]
    fn no_number_makes_time_panic() {
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            let _ = Timestamp(ms).rfc3339();
            let _ = Timestamp(ms) + Duration::MAX - Duration::MAX;
            let _ = Timestamp(ms).since(Timestamp(-ms.saturating_add(1)));
        }
    }
}
