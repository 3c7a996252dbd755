//! Text as a receipt printer counts it: cleaned of control characters, measured in columns, wrapped between characters.

use encoding_rs::{EncoderResult, GB18030};

/// Stands for a character that cannot be shown; it is in every Chinese font (GB 2312 row 1).
pub const SUBSTITUTE: char = '□';

/// What may reach a printer of `text`: no control, format or private characters, so that a name can neither command the
/// printer nor turn the direction of a line. Line breaks and tabs become spaces.
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\u{B}' | '\u{C}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => cleaned.push(' '),
            // Every Unicode space that GB 18030 would spend two or four bytes on, but the ideographic one.
            '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' => cleaned.push(' '),
            // GB 2312 knows only the full-width sign (A3 A4); U+00A5 would be four bytes of garbage on most printers.
            '¥' => cleaned.push('￥'),
            c if c.is_control() || is_format(c) => {}
            c if is_private(c) => cleaned.push(SUBSTITUTE),
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// Invisible characters that change how others are shown: direction, joiners, variation selectors, tags.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Private use and noncharacters: no two fonts agree on them.
fn is_private(c: char) -> bool {
    let code = u32::from(c);
    matches!(code, 0xE000..=0xF8FF | 0xFDD0..=0xFDEF | 0xF_0000..) || code & 0xFFFE == 0xFFFE
}

/// The GB 18030 bytes of `c`: one, two or four; none for the few that it leaves out.
pub fn gb18030(c: char) -> Option<([u8; 4], usize)> {
    let mut bytes = [0; 4];
    if c.is_ascii() {
        bytes[0] = c as u8;
        return Some((bytes, 1));
    }
    let mut utf8 = [0; 4];
    let mut wide = [0; 16];
    let text = c.encode_utf8(&mut utf8);
    let (result, _, written) =
        GB18030.new_encoder().encode_from_utf8_without_replacement(text, &mut wide, true);
    if !matches!(result, EncoderResult::InputEmpty) || written > 4 {
        return None;
    }
    bytes[..written].copy_from_slice(&wide[..written]);
    Some((bytes, written))
}

/// Columns that `c` may take: the length of its GB 18030 bytes. ROM fonts draw each two-byte character two columns wide,
/// also those that Unicode calls narrow (`—`, `×`, `①`); a four-byte one takes at most four.
pub fn char_columns(c: char) -> usize {
    gb18030(c).map_or(2, |(_, length)| length)
}

/// Columns that `text` takes.
pub fn columns(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

/// Breaks `text` into lines of at most `width` columns: between words where the line has a space, else between
/// characters. At least four columns wide, so that every character fits.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(4);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for c in text.trim().chars() {
        let wide = char_columns(c);
        if used + wide > width {
            let rest = match line.rfind(' ') {
                Some(space) if c != ' ' && c.is_ascii() && !line.ends_with(' ') => {
                    line.split_off(space).trim_start().to_owned()
                }
                _ => String::new(),
            };
            lines.push(line.trim_end().to_owned());
            line = rest;
            used = columns(&line);
        }
        if c == ' ' && line.is_empty() && !lines.is_empty() {
            continue;
        }
        line.push(c);
        used += wide;
    }
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_printer_is_left() {
        assert_eq!(clean("a\u{1b}@b\u{10}\u{4}\u{1}c\u{7f}d\u{9b}e"), "a@bcde");
        assert_eq!(clean("甲\u{202e}乙\u{2066}丙\u{feff}\u{200d}丁"), "甲乙丙丁");
        assert_eq!(clean("¥12\u{a0}50\r\n\t"), "￥12 50   ");
        assert_eq!(clean("\u{e5e5}\u{f8ff}"), "□□");
        for c in (0..=0x10FFFF).filter_map(char::from_u32) {
            let cleaned = clean(&c.to_string());
            assert!(!cleaned.chars().any(char::is_control), "{c:?}");
            for c in cleaned.chars() {
                let (bytes, length) = gb18030(c).unwrap_or_else(|| panic!("{c:?} has no bytes"));
                assert!(bytes[..length].iter().all(|b| (0x20..0xFF).contains(b) && *b != 0x7F), "{c:?}");
            }
        }
    }

    #[test]
    fn columns_are_gb18030_bytes() {
        for (text, expected) in [("12.50", 5), ("合计", 4), ("￥", 2), ("—…“”·×①℃", 16), ("é", 2), ("𠮷", 4)]
        {
            assert_eq!(columns(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_break_between_words_or_characters() {
        assert_eq!(wrap("MAY BE A SECOND RECEIPT", 16), ["MAY BE A SECOND", "RECEIPT"]);
        assert_eq!(wrap("朝阳门店消费", 7), ["朝阳门", "店消费"]);
        assert_eq!(wrap("ABCDEFGHIJ", 4), ["ABCD", "EFGH", "IJ"]);
        assert_eq!(wrap("  甲 乙  ", 4), ["甲", "乙"]);
        assert!(wrap("   ", 10).is_empty());
    }
}
