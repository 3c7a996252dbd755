//! The names of things: terminals, sales, order and refund numbers, payment codes.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::time::Day;

/// The terminal's name in every order number: 1–8 of `A–Z a–z 0–9`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TerminalId(String);

impl TerminalId {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TerminalId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("terminal id {text:?} is not usable, expected 1 to 8 of A-Z a-z 0-9"))
    }
}

/// A sale's name: terminal, day, the journal's sequence, six random characters; 16–30 of `[0-9A-Za-z]`.
///
/// The sequence makes it unique in one journal; the random part keeps it unique when a journal is restored from a
/// backup, when a clock stands wrong, and when two terminals were given the same id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SaleId(String);

/// The most attempts that one sale can make: the ordinal has two digits.
pub const ATTEMPTS_MAX: u8 = 99;

/// The most refunds that one sale takes: 50 (API page of refund, 2025-08-14).
pub const REFUNDS_MAX: u8 = 50;

/// `random` as so many characters of five bits each. Crockford's base 32: no I, L, O, U, so that it can be read over the
/// phone.
fn spelled(random: u32, characters: u32) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..characters).rev().map(|place| char::from(ALPHABET[(random >> (place * 5)) as usize & 31])).collect()
}

impl SaleId {
    /// Makes the name of the `sequence`-th sale; `random` is 30 bits of fresh randomness (higher bits are ignored).
    pub fn new(terminal: &TerminalId, day: Day, sequence: u64, random: u32) -> Self {
        Self(format!("{}{}{sequence:06}{}", terminal.as_str(), day.compact(), spelled(random, 6)))
    }

    /// The merchant refund number of the `ordinal`-th refund (from 1); `random` is 15 bits of fresh randomness, so that a
    /// journal that has lost a refund does not take another for it.
    pub fn refund(&self, ordinal: u8, random: u32) -> RefundNumber {
        RefundNumber(format!("{}R{ordinal:02}{}", self.0, spelled(random, 3)))
    }

    /// The merchant order number of the `ordinal`-th attempt (from 1).
    pub fn order(&self, ordinal: u8) -> OrderNumber {
        OrderNumber(format!("{}{ordinal:02}", self.0))
    }

    /// The day and the sequence that [`new`](Self::new) put into it, if this terminal can have made it.
    pub fn made_of(&self, terminal: &TerminalId) -> Option<(Day, u64)> {
        let rest = self.0.strip_prefix(terminal.as_str())?;
        let (day, rest) = rest.split_at_checked(6)?;
        let (sequence, _) =
            rest.split_at_checked(rest.len().checked_sub(6).filter(|digits| *digits >= 6)?)?;
        Some((Day::from_compact(day)?, sequence.parse().ok()?))
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SaleId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if (16..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(Self(text.to_owned()));
        }
        Err("sale id is not of its form, expected 16 to 30 letters and digits".to_owned())
    }
}

impl fmt::Display for SaleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SaleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaleId({})", self.0)
    }
}

/// The merchant order number (`out_trade_no`): a sale's name and two digits for the attempt; `[0-9A-Za-z]{18,32}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderNumber(String);

impl OrderNumber {
    /// The number as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sale, and which of its attempts (from 1) this is.
    pub fn split(&self) -> (SaleId, u8) {
        let (sale, ordinal) = self.0.split_at(self.0.len() - 2);
        (SaleId(sale.to_owned()), ordinal.parse().unwrap_or(0))
    }
}

impl FromStr for OrderNumber {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "order number is not of its form, expected 18 to 32 letters and digits".to_owned();
        if !(18..=32).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(form());
        }
        match text[text.len() - 2..].parse::<u8>() {
            Ok(1..=ATTEMPTS_MAX) => Ok(Self(text.to_owned())),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderNumber({})", self.0)
    }
}

/// The merchant refund number (`out_refund_no`): a sale's name, `R`, two digits and three random characters;
/// `[0-9A-Za-z]{22,36}`, of the 64 that WeChat takes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RefundNumber(String);

impl RefundNumber {
    /// The number as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The sale, and which of its refunds (from 1) this is.
    pub fn split(&self) -> (SaleId, u8) {
        let (sale, rest) = self.0.split_at(self.0.len() - 6);
        (SaleId(sale.to_owned()), rest[1..3].parse().unwrap_or(0))
    }
}

impl FromStr for RefundNumber {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "refund number is not of its form, expected 22 to 36 letters and digits".to_owned();
        if !(22..=36).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(form());
        }
        let (_, rest) = text.split_at(text.len() - 6);
        match (rest.starts_with('R'), rest[1..3].parse()) {
            (true, Ok(1..=REFUNDS_MAX)) => Ok(Self(text.to_owned())),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for RefundNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RefundNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefundNumber({})", self.0)
    }
}

/// What the customer's phone shows: 16–24 digits that pay once. Never cloned, never stored, wiped when dropped.
///
/// Which wallet it belongs to is the gateway's business; the length bounds are those of WeChat (18), Alipay (16–24)
/// and UnionPay (19).
pub struct PaymentCode(Zeroizing<String>);

impl PaymentCode {
    /// Checks that `text` is 16–24 ASCII digits; says what is wrong without repeating the code.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(CodeError::NotDigits);
        }
        match text.len() {
            16..=24 => Ok(Self(Zeroizing::new(text.to_owned()))),
            got => Err(CodeError::Length { got }),
        }
    }

    /// The digits, for the one pay request and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The last four digits: `…8406`.
    pub fn hint(&self) -> CodeHint {
        let last = self.0.as_bytes().last_chunk().expect("a code has at least 16 digits");
        CodeHint(*last)
    }
}

/// Why a text is not a payment code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Something else than `0`–`9`.
    #[error("scanned text is not a payment code, expected only digits")]
    NotDigits,
    /// Too short or too long.
    #[error("scanned text has {got} digits, expected 16 to 24")]
    Length {
        /// How many digits it has.
        got: usize,
    },
}

impl fmt::Debug for PaymentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentCode({})", self.hint())
    }
}

impl fmt::Display for PaymentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// The last four digits of a payment code, all that is ever kept of one; printed as `…8406`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CodeHint([u8; 4]);

impl CodeHint {
    /// Takes a hint back from the journal: four digits, without the dots.
    pub fn from_digits(digits: &str) -> Option<Self> {
        let digits: [u8; 4] = digits.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// The four digits, without the dots.
    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl fmt::Display for CodeHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…{}", self.digits())
    }
}

impl fmt::Debug for CodeHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeHint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_number_is_readable_and_within_wechats_limits() {
        for terminal in ["T", "T01", "LANE0008"] {
            let terminal: TerminalId = terminal.parse().unwrap();
            for sequence in [1, 999_999, 99_999_999] {
                let sale = SaleId::new(&terminal, "2026-11-21".parse().unwrap(), sequence, 0x2AAA_AAAA);
                let order = sale.order(7);
                assert!((16..=32).contains(&order.as_str().len()), "{order}");
                assert_eq!(order.as_str().parse::<OrderNumber>().unwrap(), order);
                assert_eq!(order.split(), (sale.clone(), 7));
                assert_eq!(sale.as_str().parse::<SaleId>().unwrap(), sale);
            }
        }
        let t01 = "T01".parse().unwrap();
        let sale = SaleId::new(&t01, "2026-11-21".parse().unwrap(), 42, 1);
        assert_eq!(sale.order(1).as_str(), "T0126112100004200000101");
    }

    #[test]
    fn a_refund_number_is_its_sales_and_within_wechats_limits() {
        let terminal = "LANE0008".parse().unwrap();
        let sale = SaleId::new(&terminal, "2026-11-21".parse().unwrap(), 99_999_999, 0x2AAA_AAAA);
        let refund = sale.refund(7, 0x7fff);
        assert_eq!(refund.as_str(), format!("{sale}R07ZZZ"));
        assert!(refund.as_str().len() <= 64);
        assert_eq!(refund.as_str().parse::<RefundNumber>().unwrap(), refund);
        assert_eq!(refund.split(), (sale.clone(), 7));
        assert_ne!(sale.refund(7, 1), sale.refund(7, 2), "a refund that was lost is not taken for another");
        for bad in
            [format!("{sale}R00ZZZ"), format!("{sale}R51ZZZ"), format!("{sale}S01ZZZ"), "R01ZZZ".to_owned()]
        {
            assert!(bad.parse::<RefundNumber>().is_err(), "{bad}");
        }
        assert!("é".repeat(14).parse::<RefundNumber>().is_err());
    }

    #[test]
    fn a_restored_sequence_does_not_repeat_a_name() {
        let t01 = "T01".parse().unwrap();
        let day = "2026-11-21".parse().unwrap();
        assert_ne!(SaleId::new(&t01, day, 42, 7), SaleId::new(&t01, day, 42, 8));
    }

    #[test]
    fn a_payment_code_shows_only_its_last_four_digits() {
        let code = PaymentCode::parse("134567890123458406").unwrap();
        assert_eq!(format!("{code} {code:?}"), "PaymentCode(…8406) PaymentCode(…8406)");
        assert_eq!(PaymentCode::parse("1345678901234").unwrap_err(), CodeError::Length { got: 13 });
        assert_eq!(PaymentCode::parse("13456789012345840x").unwrap_err(), CodeError::NotDigits);
        assert_eq!(PaymentCode::parse("１３４５６７８９").unwrap_err(), CodeError::NotDigits);
    }

    #[test]
    fn a_terminal_id_is_plain() {
        for bad in ["", "NINECHARS", "T-1", "店1"] {
            assert!(bad.parse::<TerminalId>().is_err(), "{bad}");
        }
    }
}
