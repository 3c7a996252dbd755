//! Amounts of money: whole fen, never zero, never a float.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

/// An amount in fen (1/100 CNY), at least 1 and at most `u32::MAX` (42,949,672.95 CNY).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(NonZeroU32);

/// Why a text or a number is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Nothing is never paid.
    #[error("amount is zero, expected at least 0.01")]
    Zero,
    /// More than `u32::MAX` fen.
    #[error("amount is too large, expected at most 42949672.95")]
    TooLarge,
    /// Not digits, or not two decimals.
    #[error("amount {0:?} is not a number of yuan, expected a form like \"12.50\"")]
    Form(String),
}

impl Amount {
    /// The amount of `fen`.
    pub fn from_fen(fen: u32) -> Result<Self, AmountError> {
        NonZeroU32::new(fen).map(Self).ok_or(AmountError::Zero)
    }

    /// Whole fen.
    pub fn fen(self) -> u32 {
        self.0.get()
    }
}

/// Parses yuan with at most two decimals: `12`, `12.5` and `12.50` are the same amount.
impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let form = || AmountError::Form(text.chars().take(32).collect());
        let (yuan, decimals) = text.split_once('.').unwrap_or((text, "00"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(yuan) || !digits(decimals) || decimals.len() > 2 {
            return Err(form());
        }
        let yuan: u32 = yuan.parse().map_err(|_| AmountError::TooLarge)?;
        let tenths_or_cents: u32 = decimals.parse().map_err(|_| form())?;
        let cents = if decimals.len() == 1 { tenths_or_cents * 10 } else { tenths_or_cents };
        let fen = yuan.checked_mul(100).and_then(|fen| fen.checked_add(cents));
        Self::from_fen(fen.ok_or(AmountError::TooLarge)?)
    }
}

/// Yuan with two decimals, as [`FromStr`] reads it: `12.50`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.fen() / 100, self.fen() % 100)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for fen in [1, 9, 10, 99, 100, 101, 1250, 500_000, u32::MAX] {
            let amount = Amount::from_fen(fen).unwrap();
            assert_eq!(amount.to_string().parse(), Ok(amount));
        }
        assert_eq!("12.5".parse::<Amount>().unwrap().fen(), 1250);
        assert_eq!("12".parse::<Amount>().unwrap().fen(), 1200);
        assert_eq!("19.90".parse::<Amount>().unwrap().fen(), 1990);
    }

    #[test]
    fn refuses_what_is_not_an_amount_of_money() {
        for text in ["", ".", "1.", ".5", "1.234", "-1", "+1", "1e3", " 1", "1,00", "１２"] {
            assert!(matches!(text.parse::<Amount>(), Err(AmountError::Form(_))), "{text:?}");
        }
        assert_eq!("0.00".parse::<Amount>(), Err(AmountError::Zero));
        assert_eq!("42949672.96".parse::<Amount>(), Err(AmountError::TooLarge));
        assert_eq!("99999999999".parse::<Amount>(), Err(AmountError::TooLarge));
    }
}
