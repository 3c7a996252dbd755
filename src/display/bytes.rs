//! Scenes become the bytes of a display. Writes bytes only, and none that a display keeps in its EEPROM (`02 …`: its
//! baud, its mode).

use super::{Dialect, Kind, Scene};
use crate::money::Amount;

const ESC: u8 = 0x1B;
const CR: u8 = 0x0D;
/// `CLR`.
const CLEAR: u8 = 0x0C;

/// The characters of a line of a VFD.
const COLUMNS: usize = 20;

/// Digits that a LED8 has; a point takes no place of its own.
const DIGITS: usize = 8;

/// What an amount that a LED8 has no digits for is shown as.
const TOO_LONG: &str = "-------";

/// What a LED8 shows when a code did not pay: it has no letters.
const DASHES: &str = "--------";

/// The lamps of a LED8: 单价, 总计, 收款, 找零 (unit price, total, received, change) are 1 to 4.
#[derive(Clone, Copy)]
enum Lamp {
    Off = 0,
    Total = 2,
    Received = 3,
}

/// After the display was opened: known settings. (`ESC @`; both kinds and all dialects.)
pub fn initialise() -> [u8; 2] {
    [ESC, 0x40]
}

/// The whole scene; nothing of the one before stays.
pub fn scene(kind: Kind, dialect: Dialect, scene: Scene) -> Vec<u8> {
    match kind {
        Kind::None => Vec::new(),
        Kind::Led8 => led8(dialect, scene),
        Kind::Vfd => vfd(dialect, scene),
    }
}

fn led8(dialect: Dialect, scene: Scene) -> Vec<u8> {
    let digits = |amount: Amount| {
        let text = amount.to_string();
        if text.len() > DIGITS + 1 { TOO_LONG.to_owned() } else { text }
    };
    let (lamp, text) = match scene {
        Scene::Empty => (Lamp::Off, String::new()),
        Scene::Total(amount) | Scene::Paying(amount) | Scene::Password(amount) => {
            (Lamp::Total, digits(amount))
        }
        Scene::Paid(amount) => (Lamp::Received, digits(amount)),
        Scene::Again(_) | Scene::NotPaid(_) | Scene::GoesBack(_) | Scene::Unclear(_) => {
            (Lamp::Off, DASHES.to_owned())
        }
    };
    // `ESC s n`: its n is a digit for some makers and a number for others.
    let base = if dialect == Dialect::Binary { 0x00 } else { 0x30 };
    let mut bytes = vec![CLEAR, ESC, 0x73, base + lamp as u8];
    if !text.is_empty() {
        // `ESC Q A`: show a number.
        bytes.extend([ESC, 0x51, 0x41]);
        bytes.extend(text.bytes());
        bytes.push(CR);
    }
    bytes
}

fn vfd(dialect: Dialect, scene: Scene) -> Vec<u8> {
    let lines = match scene {
        Scene::Empty => None,
        Scene::Total(amount) => Some(("TOTAL", amount, "SHOW PAYMENT CODE")),
        Scene::Paying(amount) => Some(("TOTAL", amount, "PLEASE WAIT")),
        Scene::Password(amount) => Some(("TOTAL", amount, "ENTER PASSWORD")),
        Scene::Paid(amount) => Some(("PAID", amount, "THANK YOU")),
        Scene::Again(amount) => Some(("NOT PAID", amount, "SHOW A NEW CODE")),
        Scene::NotPaid(amount) => Some(("NOT PAID", amount, "NOTHING WAS TAKEN")),
        Scene::GoesBack(amount) => Some(("NOT PAID", amount, "MONEY COMES BACK")),
        Scene::Unclear(amount) => Some(("NOT CLEAR", amount, "PLEASE ASK STAFF")),
    };
    let mut bytes = vec![CLEAR];
    let Some((word, amount, below)) = lines else { return bytes };
    // The longest amount (42949672.95) and the longest word together are as long as a line.
    let above = format!("{word}{:>width$}", amount.to_string(), width = COLUMNS - word.len());
    if dialect == Dialect::Epson {
        // `US $ x y`: the cursor. The display is clear, so the lower line needs no blanks at its end, and is short of
        // it: a display that scrolls would push the upper line out.
        bytes.extend([0x1F, 0x24, 1, 1]);
        bytes.extend(above.bytes());
        bytes.extend([0x1F, 0x24, 1, 2]);
        bytes.extend(below.bytes());
    } else {
        // `ESC Q A` and `ESC Q B`: the upper and the lower line.
        for (line, text) in [(0x41, above.as_str()), (0x42, below)] {
            bytes.extend([ESC, 0x51, line]);
            bytes.extend(format!("{text:<COLUMNS$}").bytes());
            bytes.push(CR);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        text.parse().unwrap()
    }

    fn every_scene(amount: Amount) -> [Scene; 9] {
        [
            Scene::Empty,
            Scene::Total(amount),
            Scene::Paying(amount),
            Scene::Password(amount),
            Scene::Paid(amount),
            Scene::Again(amount),
            Scene::NotPaid(amount),
            Scene::GoesBack(amount),
            Scene::Unclear(amount),
        ]
    }

    #[test]
    fn eight_digits_and_the_lamps_in_ascii() {
        let shown = |scene| led8(Dialect::Ascii, scene);
        let sum = amount("12.50");
        assert_eq!(initialise(), *b"\x1B@");
        assert_eq!(shown(Scene::Empty), b"\x0C\x1Bs0");
        for scene in [Scene::Total(sum), Scene::Paying(sum), Scene::Password(sum)] {
            assert_eq!(shown(scene), b"\x0C\x1Bs2\x1BQA12.50\r");
        }
        assert_eq!(shown(Scene::Paid(sum)), b"\x0C\x1Bs3\x1BQA12.50\r");
        for scene in [Scene::Again(sum), Scene::NotPaid(sum), Scene::GoesBack(sum), Scene::Unclear(sum)] {
            assert_eq!(shown(scene), b"\x0C\x1Bs0\x1BQA--------\r");
        }
    }

    #[test]
    fn eight_digits_and_the_lamps_in_binary() {
        let shown = |scene| led8(Dialect::Binary, scene);
        assert_eq!(shown(Scene::Empty), b"\x0C\x1Bs\x00");
        assert_eq!(shown(Scene::Total(amount("0.01"))), b"\x0C\x1Bs\x02\x1BQA0.01\r");
        assert_eq!(shown(Scene::Paid(amount("0.01"))), b"\x0C\x1Bs\x03\x1BQA0.01\r");
        assert_eq!(shown(Scene::NotPaid(amount("0.01"))), b"\x0C\x1Bs\x00\x1BQA--------\r");
    }

    #[test]
    fn an_amount_of_more_than_eight_digits_is_dashes_and_never_a_part_of_it() {
        let shown = |text| led8(Dialect::Ascii, Scene::Total(amount(text)));
        assert_eq!(shown("999999.99"), b"\x0C\x1Bs2\x1BQA999999.99\r");
        assert_eq!(shown("1000000.00"), b"\x0C\x1Bs2\x1BQA-------\r");
    }

    #[test]
    fn two_lines_in_the_words_of_cd5220() {
        let shown = |scene| vfd(Dialect::Cd5220, scene);
        let sum = amount("12.50");
        assert_eq!(shown(Scene::Empty), b"\x0C");
        for (scene, expected) in [
            (Scene::Total(sum), b"\x0C\x1BQATOTAL          12.50\r\x1BQBSHOW PAYMENT CODE   \r"),
            (Scene::Paying(sum), b"\x0C\x1BQATOTAL          12.50\r\x1BQBPLEASE WAIT         \r"),
            (Scene::Password(sum), b"\x0C\x1BQATOTAL          12.50\r\x1BQBENTER PASSWORD      \r"),
            (Scene::Paid(sum), b"\x0C\x1BQAPAID           12.50\r\x1BQBTHANK YOU           \r"),
            (Scene::Again(sum), b"\x0C\x1BQANOT PAID       12.50\r\x1BQBSHOW A NEW CODE     \r"),
            (Scene::NotPaid(sum), b"\x0C\x1BQANOT PAID       12.50\r\x1BQBNOTHING WAS TAKEN   \r"),
            (Scene::GoesBack(sum), b"\x0C\x1BQANOT PAID       12.50\r\x1BQBMONEY COMES BACK    \r"),
            (Scene::Unclear(sum), b"\x0C\x1BQANOT CLEAR      12.50\r\x1BQBPLEASE ASK STAFF    \r"),
        ] {
            assert_eq!(shown(scene), expected, "{scene:?}");
        }
    }

    #[test]
    fn two_lines_in_the_words_of_epson() {
        let shown = |scene| vfd(Dialect::Epson, scene);
        let sum = amount("12.50");
        assert_eq!(shown(Scene::Empty), b"\x0C");
        let total = b"\x0C\x1F$\x01\x01TOTAL          12.50\x1F$\x01\x02SHOW PAYMENT CODE";
        assert_eq!(shown(Scene::Total(sum)), total);
        let paid = b"\x0C\x1F$\x01\x01PAID           12.50\x1F$\x01\x02THANK YOU";
        assert_eq!(shown(Scene::Paid(sum)), paid);
    }

    #[test]
    fn no_line_is_longer_than_the_display_and_nothing_goes_to_an_eeprom() {
        for text in ["0.01", "42949672.95"] {
            for shown in every_scene(amount(text)) {
                for dialect in [Dialect::Ascii, Dialect::Binary] {
                    let bytes = led8(dialect, shown);
                    assert_ne!(bytes[0], 0x02);
                    let number = bytes.split(|byte| *byte == 0x41).nth(1).unwrap_or_default();
                    assert!(number.iter().filter(|byte| byte.is_ascii_digit()).count() <= DIGITS);
                }
                for dialect in [Dialect::Cd5220, Dialect::Epson] {
                    let bytes = vfd(dialect, shown);
                    assert!(bytes.iter().all(|byte| byte.is_ascii()));
                    let longest = bytes
                        .split(|byte| matches!(byte, 0x0C | 0x0D | 0x1B | 0x1F))
                        // `QA`, `$` and two numbers: at most three bytes before the text.
                        .map(|part| part.iter().filter(|byte| **byte >= 0x20).count())
                        .max();
                    assert!(longest <= Some(COLUMNS + 2), "{shown:?}");
                }
            }
        }
    }
}
