//! Code 128 (ISO/IEC 15417): the shortest row of symbols for a printable text, in code sets B and C.

/// One symbol of the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Symbol {
    /// From here on set B: one character a symbol.
    SetB,
    /// From here on set C: two digits a symbol.
    SetC,
    /// A character of set B.
    Char(u8),
    /// Two digits of set C, 0–99.
    Pair(u8),
}

/// The shortest row for `text`: the sets as they are entered, and the data. `None` unless it is 1–80 printable ASCII
/// characters.
pub fn symbols(text: &str) -> Option<Vec<Symbol>> {
    let bytes = text.as_bytes();
    if !(1..=80).contains(&bytes.len()) || !bytes.iter().all(|b| (0x20..0x7F).contains(b)) {
        return None;
    }
    let pair_at =
        |i: usize| bytes.len() >= i + 2 && bytes[i].is_ascii_digit() && bytes[i + 1].is_ascii_digit();
    // Symbols that the rest needs from character i on, when set B (0) or C (1) is in force. From the back.
    let mut cost = vec![[0usize; 2]; bytes.len() + 1];
    for i in (0..bytes.len()).rev() {
        let as_char = 1 + cost[i + 1][0];
        let as_pair = if pair_at(i) { 1 + cost[i + 2][1] } else { usize::MAX - 1 };
        cost[i] = [as_char.min(as_pair + 1), as_pair.min(as_char + 1)];
    }
    let mut in_c = cost[0][1] < cost[0][0];
    let mut row = vec![if in_c { Symbol::SetC } else { Symbol::SetB }];
    let mut i = 0;
    while i < bytes.len() {
        let as_char = 1 + cost[i + 1][0] + usize::from(in_c);
        let as_pair = if pair_at(i) { 1 + cost[i + 2][1] + usize::from(!in_c) } else { usize::MAX };
        let pair = as_pair < as_char;
        if pair != in_c {
            row.push(if pair { Symbol::SetC } else { Symbol::SetB });
            in_c = pair;
        }
        if pair {
            row.push(Symbol::Pair((bytes[i] - b'0') * 10 + bytes[i + 1] - b'0'));
            i += 2;
        } else {
            row.push(Symbol::Char(bytes[i]));
            i += 1;
        }
    }
    Some(row)
}

/// Width in modules. The ten modules of white that scanners need on both sides are the paper's own margin: 5 mm beside
/// 48 mm on 58 mm paper, 4 mm beside 72 mm on 80 mm paper; a module is 0.25 mm.
pub fn modules(row: &[Symbol]) -> usize {
    // Each symbol and the check symbol have 11 modules, the stop has 13.
    (row.len() + 1) * 11 + 13
}

/// The bars as modules, black is true; without quiet zones.
pub fn bars(row: &[Symbol]) -> Vec<bool> {
    const STOP: u8 = 106;
    let values: Vec<u8> = row
        .iter()
        .enumerate()
        .map(|(place, symbol)| match (symbol, place) {
            (Symbol::SetB, 0) => 104,
            (Symbol::SetC, 0) => 105,
            (Symbol::SetB, _) => 100,
            (Symbol::SetC, _) => 99,
            (Symbol::Char(c), _) => c.saturating_sub(0x20),
            (Symbol::Pair(pair), _) => *pair,
        })
        .collect();
    let weighted = values.iter().enumerate().map(|(place, value)| place.max(1) * usize::from(*value));
    let check = (weighted.sum::<usize>() % 103) as u8;
    let mut modules = Vec::new();
    for value in values.into_iter().chain([check, STOP]) {
        for (place, width) in WIDTHS[usize::from(value)].bytes().enumerate() {
            modules.extend(std::iter::repeat_n(place % 2 == 0, usize::from(width - b'0')));
        }
    }
    modules
}

/// Widths of bars and spaces by symbol value, ISO/IEC 15417 table 1.
const WIDTHS: [&str; 107] = [
    "212222", "222122", "222221", "121223", "121322", "131222", "122213", "122312", "132212", "221213",
    "221312", "231212", "112232", "122132", "122231", "113222", "123122", "123221", "223211", "221132",
    "221231", "213212", "223112", "312131", "311222", "321122", "321221", "312212", "322112", "322211",
    "212123", "212321", "232121", "111323", "131123", "131321", "112313", "132113", "132311", "211313",
    "231113", "231311", "112133", "112331", "132131", "113123", "113321", "133121", "313121", "211331",
    "231131", "213113", "213311", "213131", "311123", "311321", "331121", "312113", "312311", "332111",
    "314111", "221411", "431111", "111224", "111422", "121124", "121421", "141122", "141221", "112214",
    "112412", "122114", "122411", "142112", "142211", "241211", "221114", "413111", "241112", "134111",
    "111242", "121142", "121241", "114212", "124112", "124211", "411212", "421112", "421211", "212141",
    "214121", "412121", "111143", "111341", "131141", "114113", "114311", "411113", "411311", "113141",
    "114131", "311141", "411131", "211412", "211214", "211232", "2331112",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_packed_where_that_is_shorter() {
        assert_eq!(symbols("134567").unwrap().len(), 4);
        assert_eq!(symbols("1").unwrap(), [Symbol::SetB, Symbol::Char(b'1')]);
        let order = symbols("T0126112100004200000101").unwrap();
        // Start B, T, to C, eleven pairs: 14 symbols instead of 24.
        assert_eq!(order.len(), 14);
        assert!(symbols("").is_none() && symbols("店").is_none() && symbols("a\u{1b}").is_none());
    }

    #[test]
    fn the_table_is_whole() {
        for (value, widths) in WIDTHS.iter().enumerate() {
            let sum: u32 = widths.bytes().map(|w| u32::from(w - b'0')).sum();
            let black: u32 = widths.bytes().step_by(2).map(|w| u32::from(w - b'0')).sum();
            assert_eq!(sum, if value == 106 { 13 } else { 11 }, "{value}");
            assert!(value == 106 || black.is_multiple_of(2), "{value}: the bars' parity is even");
            assert_eq!(WIDTHS.iter().filter(|other| other == &widths).count(), 1, "{value}");
        }
    }

    #[test]
    fn the_check_symbol_is_the_weighted_sum() {
        // Start B is 104, A, I, M are 33, 41, 45: weighted by place.
        let row = symbols("AIM").unwrap();
        let modules = bars(&row);
        let check: String = modules[44..55].iter().map(|black| if *black { '1' } else { '0' }).collect();
        let drawn: String = WIDTHS[(104 + 33 + 2 * 41 + 3 * 45) % 103]
            .bytes()
            .enumerate()
            .flat_map(|(place, w)| {
                std::iter::repeat_n(if place % 2 == 0 { '1' } else { '0' }, usize::from(w - b'0'))
            })
            .collect();
        assert_eq!(check, drawn);
        assert_eq!(modules.len(), super::modules(&row));
    }
}
