//! Amounts as they are said in Mandarin. Pure.

use crate::money::Amount;

const DIGITS: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];
const PLACES: [&str; 4] = ["", "十", "百", "千"];

/// Yuan in words, the decimals digit by digit after 点, without a zero at the end: `十二点五元`.
pub fn amount(amount: Amount) -> String {
    let (yuan, cents) = (amount.fen() / 100, amount.fen() % 100);
    let mut said = whole(yuan);
    if cents > 0 {
        said.push('点');
        said.push_str(DIGITS[(cents / 10) as usize]);
        if cents % 10 > 0 {
            said.push_str(DIGITS[(cents % 10) as usize]);
        }
    }
    said.push('元');
    said
}

/// A whole number below 100,000,000 (an amount has at most 42,949,672 yuan).
fn whole(number: u32) -> String {
    if number == 0 {
        return DIGITS[0].to_owned();
    }
    let (many, rest) = (number / 10_000, number % 10_000);
    let mut said = String::new();
    if many > 0 {
        said = format!("{}万", group(many));
        // A gap in the places is said as one zero.
        if rest > 0 && rest < 1000 {
            said.push_str(DIGITS[0]);
        }
    }
    if rest > 0 {
        said.push_str(&group(rest));
    }
    // At the head, ten is 十 and not 一十.
    said.strip_prefix("一十").map_or(said.clone(), |tail| format!("十{tail}"))
}

/// 1 to 9999.
fn group(number: u32) -> String {
    let mut said = String::new();
    let mut gap = false;
    for (place, name) in PLACES.iter().enumerate().rev() {
        let digit = number / 10_u32.pow(place as u32) % 10;
        if digit == 0 {
            gap = true;
            continue;
        }
        if gap && !said.is_empty() {
            said.push_str(DIGITS[0]);
        }
        gap = false;
        said.push_str(DIGITS[digit as usize]);
        said.push_str(name);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_said_as_cashiers_say_them() {
        for (written, said) in [
            ("0.01", "零点零一元"),
            ("0.10", "零点一元"),
            ("1.00", "一元"),
            ("2.00", "二元"),
            ("9.99", "九点九九元"),
            ("10.00", "十元"),
            ("12.50", "十二点五元"),
            ("12.05", "十二点零五元"),
            ("20.00", "二十元"),
            ("100.00", "一百元"),
            ("101.00", "一百零一元"),
            ("110.00", "一百一十元"),
            ("111.11", "一百一十一点一一元"),
            ("1000.00", "一千元"),
            ("1001.00", "一千零一元"),
            ("1010.00", "一千零一十元"),
            ("1100.00", "一千一百元"),
            ("5000.00", "五千元"),
            ("10000.00", "一万元"),
            ("10001.00", "一万零一元"),
            ("10010.00", "一万零一十元"),
            ("10100.00", "一万零一百元"),
            ("11000.00", "一万一千元"),
            ("100000.00", "十万元"),
            ("110000.00", "十一万元"),
            ("1002003.00", "一百万二千零三元"),
            ("1000500.00", "一百万零五百元"),
            ("42949672.95", "四千二百九十四万九千六百七十二点九五元"),
        ] {
            assert_eq!(amount(written.parse().unwrap()), said, "{written}");
        }
    }

    /// Reads back what is said; `None` if it is not well formed.
    fn heard(said: &str) -> Option<u32> {
        let said = said.strip_suffix('元')?;
        let (whole, decimals) = said.split_once('点').unwrap_or((said, ""));
        let digit = |c: char| DIGITS.iter().position(|name| name.starts_with(c)).map(|at| at as u32);
        let (mut total, mut group, mut last) = (0, 0, None);
        for c in whole.chars() {
            match c {
                '零' => last = Some(0),
                '万' => (total, group, last) = ((group + last.take().unwrap_or(0)) * 10_000, 0, None),
                '十' | '百' | '千' => {
                    let place = PLACES.iter().position(|name| name.starts_with(c))? as u32;
                    group += last.take().unwrap_or(1) * 10_u32.pow(place);
                }
                c => last = Some(digit(c)?),
            }
        }
        let yuan = total + group + last.unwrap_or(0);
        let mut cents = 0;
        for (c, worth) in decimals.chars().zip([10, 1]) {
            cents += digit(c)? * worth;
        }
        Some(yuan * 100 + cents)
    }

    #[test]
    fn what_is_said_means_the_amount_and_nothing_else() {
        // Every amount to 1,100 yuan, and then ever larger steps through the whole range.
        let mut fen = 1_u32;
        while let Some(next) = fen.checked_add(if fen < 110_000 { 1 } else { fen / 1_000 }) {
            let said = amount(Amount::from_fen(fen).unwrap());
            assert_eq!(heard(&said), Some(fen), "{said}");
            assert!(!said.contains("零零") || said.contains("点零零"), "{said}");
            fen = next;
        }
    }
}
