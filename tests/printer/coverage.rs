//! Which characters come out right, and how: as text where the printer's font has them, else as dots of ours; and that
//! nothing whatever comes out as garbage. `cargo test --test printer coverage -- --nocapture` prints the figures.

use micropayd::printer::profile::Chinese;
use micropayd::printer::{Profile, escpos};
use micropayd::receipt::Line;
use micropayd::receipt::raster::has_glyph;
use micropayd::receipt::text::clean;

use crate::jobs::same;
use crate::paper::{Item, Paper};

const FONTS: [Chinese; 4] = [Chinese::None, Chinese::Gb2312, Chinese::Gbk, Chinese::Gb18030];

/// Few enough for a line of 32 columns, however wide they are.
const IN_A_LINE: usize = 8;

#[derive(Default, Debug, PartialEq, Eq)]
struct Tally {
    text: usize,
    dots: usize,
    boxes: usize,
}

/// The two-byte characters of these rows of GB 2312.
fn rows(rows: std::ops::RangeInclusive<u8>) -> Vec<char> {
    let mut found = Vec::new();
    for lead in rows {
        for trail in 0xA1..=0xFE {
            let bytes = [lead, trail];
            let (text, _, bad) = encoding_rs::GB18030.decode(&bytes);
            // What nobody assigned is decoded into the private area.
            let known = |c: &char| !bad && !('\u{E000}'..='\u{F8FF}').contains(c) && Chinese::Gb2312.has(*c);
            found.extend(text.chars().filter(known));
        }
    }
    found
}

/// Prints these characters, as a shop's texts are printed, and looks at the paper.
fn print(chars: &[char], chinese: Chinese) -> Tally {
    let profile = Profile { chinese, ..Profile::built_in("generic-58mm").unwrap() };
    let mut tally = Tally::default();
    for some in chars.chunks(IN_A_LINE) {
        let text = clean(&some.iter().collect::<String>());
        let line = Line::Text(text.clone());
        let items =
            Paper::read(&escpos::receipt(std::slice::from_ref(&line), &profile), chinese != Chinese::None);
        // A line is one item, with nothing before or behind it, or it is garbage.
        let printed: Vec<&Item> = items.iter().filter(|item| **item != Item::Cut).collect();
        assert_eq!(printed.len(), 1, "{text}: {printed:?}");
        assert!(same(printed[0], &line, &profile), "{text}: {printed:?}");
        let visible = text.chars().filter(|c| !c.is_whitespace());
        match printed[0] {
            Item::Text(..) => tally.text += visible.count(),
            _ => {
                for c in visible {
                    if has_glyph(c) { tally.dots += 1 } else { tally.boxes += 1 }
                }
            }
        }
    }
    tally
}

#[test]
fn every_character_of_gb2312_comes_out_right_on_every_printer() {
    for (what, chars, count) in
        [("GB 2312 level 1", rows(0xB0..=0xD7), 3755), ("GB 2312 level 2", rows(0xD8..=0xF7), 3008)]
    {
        assert_eq!(chars.len(), count, "{what}");
        for font in FONTS {
            let tally = print(&chars, font);
            println!("{what}, printer with {font:?}: {tally:?}");
            let all = Tally { text: count, ..Tally::default() };
            let drawn = Tally { dots: count, ..Tally::default() };
            assert_eq!(tally, if font == Chinese::None { drawn } else { all });
        }
    }
}

#[test]
fn larger_sets_come_out_as_text_where_the_printer_has_them() {
    let range = |from: u32, to: u32| (from..=to).filter_map(char::from_u32).collect::<Vec<char>>();
    for (what, chars, font_has) in [
        ("GBK ideographs", range(0x4E00, 0x9FA5), &[Chinese::Gbk, Chinese::Gb18030][..]),
        ("GB 18030 extension A", range(0x3400, 0x4DB5), &[Chinese::Gb18030]),
    ] {
        // A printer with less draws more; what is drawn does not depend on why.
        for font in [Chinese::Gb2312, Chinese::Gbk, Chinese::Gb18030] {
            let tally = print(&chars, font);
            println!("{what}, printer with {font:?}: {tally:?}");
            assert_eq!(tally.text + tally.dots + tally.boxes, chars.len());
            if font_has.contains(&font) {
                assert_eq!(tally.text, chars.len(), "{what} on {font:?}");
            }
            // The font that we draw with has all that GBK has.
            if what.starts_with("GBK") {
                assert_eq!(tally.boxes, 0, "{what} on {font:?}");
            }
        }
    }
}

#[test]
fn nothing_comes_out_as_garbage() {
    let signs: Vec<char> = "¥￥—…“”‘’·×÷±°℃①②€£§☆★○●◎◇□■△▲※→←↑↓〓々〇éàüßñ".chars().collect();
    let without: Vec<char> =
        signs.iter().copied().filter(|c| !has_glyph(clean(&c.to_string()).chars().next().unwrap())).collect();
    assert!(without.is_empty(), "signs that only a printer's own font has: {without:?}");
    for font in FONTS {
        print(&signs, font);
    }
    // Every character of the basic plane, then samples of the others: emoji, rare ideographs, what is not assigned.
    let plane = (0..=0xFFFF).filter_map(char::from_u32);
    let beyond = (0x1F000..=0x1FAFF).chain((0x10000..=0x10FFFF).step_by(61)).filter_map(char::from_u32);
    let all: Vec<char> = plane.chain(beyond).collect();
    let tally = print(&all, Chinese::Gbk);
    println!("{} characters of all kinds, printer with Gbk: {tally:?}", all.len());
    for font in [Chinese::None, Chinese::Gb2312, Chinese::Gb18030] {
        print(&all.iter().copied().step_by(17).collect::<Vec<char>>(), font);
    }
}
