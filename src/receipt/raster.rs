//! Lines of a receipt as dots: for previews, and for printers whose own font lacks a character.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

use super::bitmap::Bitmap;
use super::code128;
use super::layout::{BAR_DOTS, COLUMN_DOTS, Line};
use super::text::{SUBSTITUTE, char_columns};

/// WenQuanYi Micro Hei, Apache-2.0 (see hardware/fonts/README.md).
static FONT: &[u8] = include_bytes!("../../hardware/fonts/wqy-microhei.ttc");
/// The second face of the collection has ASCII of one width.
const MONO_FACE: u32 = 1;
/// ab_glyph scales by ascent and descent, not by the em: this makes an em 24 dots (24 × 24 ÷ 20.47, measured).
const SCALE: f32 = 28.1;
/// Coverage from which a dot is black.
const INK: f32 = 0.45;

/// Rows of a line of text: the hanzi cell of ROM fonts is 24×24.
pub const TEXT_ROWS: usize = 24;
/// White rows under a line of text in the preview: printers feed 30 dots a line by default.
const GAP_ROWS: usize = 6;
/// Height of the bars: 10 mm at 203 dots an inch, enough for a hand scanner.
pub const BARCODE_ROWS: usize = 80;
/// Modules of white around a QR code (ISO/IEC 18004).
const QR_QUIET: usize = 4;
/// Dots of a QR module: 0.75 mm.
pub const QR_MODULE: usize = 6;

/// Whether the built-in font can draw `c`: some characters (`℃`) have a glyph there without a line in it.
pub fn has_glyph(c: char) -> bool {
    let drawn = |font: &FontRef<'_>, c| font.glyph_id(c).0 != 0 && font.outline(font.glyph_id(c)).is_some();
    font().is_some_and(|font| match halves(c) {
        Some(halves) => halves.into_iter().all(|half| drawn(&font, half)),
        None => drawn(&font, c),
    })
}

/// Signs that the font has without a line in them, as two that it can draw.
fn halves(c: char) -> Option<[char; 2]> {
    match c {
        '℃' => Some(['°', 'C']),
        '℉' => Some(['°', 'F']),
        _ => None,
    }
}

fn font() -> Option<FontRef<'static>> {
    FontRef::try_from_slice_and_index(FONT, MONO_FACE).ok()
}

/// One line of text, `columns` half-width cells wide and 24 rows high. A character without a glyph is a box.
pub fn text_line(text: &str, columns: usize) -> Bitmap {
    let mut bitmap = Bitmap::new(columns * COLUMN_DOTS, TEXT_ROWS);
    let font = font();
    let mut x = 0;
    for c in text.chars() {
        let dots = char_columns(c).min(2) * COLUMN_DOTS;
        let drawn = font.as_ref().is_some_and(|font| match halves(c) {
            Some([left, right]) => {
                let half = dots / 2;
                glyph(&mut bitmap, font, left, x, half) && glyph(&mut bitmap, font, right, x + half, half)
            }
            None => glyph(&mut bitmap, font, c, x, dots),
        });
        if !drawn && c != ' ' && c != '\u{3000}' {
            substitute(&mut bitmap, x, dots);
        }
        x += dots;
    }
    bitmap
}

/// Draws `c` into its cell; false if the font leaves it white.
fn glyph(bitmap: &mut Bitmap, font: &FontRef<'_>, c: char, x: usize, dots: usize) -> bool {
    let scaled = font.as_scaled(PxScale::from(SCALE));
    let id = font.glyph_id(c);
    if id.0 == 0 {
        return false;
    }
    // A glyph that is narrower than its cell (—, “) stands in the middle of it.
    let margin = ((dots as f32 - scaled.h_advance(id)) / 2.0).max(0.0);
    // The em box stands in the rows: ascent and descent together are higher than it.
    let baseline = TEXT_ROWS as f32 * 0.86;
    let placed: Glyph = id.with_scale_and_position(SCALE, point(x as f32 + margin, baseline));
    let Some(outline) = font.outline_glyph(placed) else { return false };
    let bounds = outline.px_bounds();
    let mut inked = false;
    outline.draw(|column, row, coverage| {
        let (column, row) = (bounds.min.x as i32 + column as i32, bounds.min.y as i32 + row as i32);
        let inside = column >= x as i32 && column < (x + dots) as i32 && row >= 0;
        if coverage >= INK && inside {
            bitmap.set(column as usize, row as usize);
            inked = true;
        }
    });
    inked
}

/// A box, drawn and not looked up, so that there always is one.
fn substitute(bitmap: &mut Bitmap, x: usize, dots: usize) {
    debug_assert!(SUBSTITUTE == '□');
    let (left, right, top, bottom) = (x + 2, x + dots.max(6) - 3, 3, TEXT_ROWS - 4);
    bitmap.fill(left, top, right - left, 2);
    bitmap.fill(left, bottom, right - left, 2);
    bitmap.fill(left, top, 2, bottom - top);
    bitmap.fill(right - 2, top, 2, bottom - top + 2);
}

/// `code` as Code 128, two dots a module; `None` when it cannot be encoded.
pub fn barcode(code: &str) -> Option<Bitmap> {
    let row = code128::symbols(code)?;
    let mut bitmap = Bitmap::new(code128::modules(&row) * BAR_DOTS, BARCODE_ROWS);
    for (place, black) in code128::bars(&row).into_iter().enumerate() {
        if black {
            bitmap.fill(place * BAR_DOTS, 0, BAR_DOTS, BARCODE_ROWS);
        }
    }
    Some(bitmap)
}

/// `code` as a QR code (Model 2, error correction M) with its quiet zone; `None` when it is too long.
pub fn qr(code: &str) -> Option<Bitmap> {
    let qr = qrcode::QrCode::with_error_correction_level(code, qrcode::EcLevel::M).ok()?;
    let width = qr.width();
    let mut bitmap = Bitmap::new((width + 2 * QR_QUIET) * QR_MODULE, (width + 2 * QR_QUIET) * QR_MODULE);
    for (place, module) in qr.to_colors().into_iter().enumerate() {
        if module == qrcode::Color::Dark {
            let (x, y) = (place % width + QR_QUIET, place / width + QR_QUIET);
            bitmap.fill(x * QR_MODULE, y * QR_MODULE, QR_MODULE, QR_MODULE);
        }
    }
    Some(bitmap)
}

/// The dots of one line, without the white under it; `None` for a code that cannot be encoded.
pub fn line(line: &Line, columns: usize) -> Option<Bitmap> {
    match line {
        Line::Text(text) => Some(text_line(text, columns)),
        Line::Large(text) => Some(text_line(text, columns / 2).doubled()),
        Line::Picture(picture) => Some(picture.clone()),
        Line::Barcode(code) => barcode(code),
        Line::Qr(code) => qr(code),
    }
}

/// The whole receipt as dots, on paper of `dots` a line.
pub fn paint(lines: &[Line], columns: usize, dots: usize) -> Bitmap {
    let parts: Vec<(&Line, Bitmap)> =
        lines.iter().filter_map(|part| Some((part, line(part, columns)?))).collect();
    let height = parts.iter().map(|(_, part)| part.height() + GAP_ROWS).sum();
    let mut paper = Bitmap::new(dots, height);
    let mut y = 0;
    for (kind, part) in &parts {
        let x = match kind {
            Line::Text(_) | Line::Large(_) => 0,
            Line::Picture(_) | Line::Barcode(_) | Line::Qr(_) => dots.saturating_sub(part.width()) / 2,
        };
        paper.draw(part, x, y);
        y += part.height() + GAP_ROWS;
    }
    paper
}

/// The whole receipt as a PNG picture, one bit a dot, on paper of `dots` a line.
pub fn to_png(lines: &[Line], columns: usize, dots: usize) -> Vec<u8> {
    paint(lines, columns, dots).to_png()
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::*;
    use crate::receipt::{Paper, Template};

    /// The 6,763 hanzi of GB 2312 levels 1 and 2: rows 16–87, without the five empty places of row 55.
    fn gb2312_hanzi() -> Vec<char> {
        let mut hanzi = Vec::new();
        for row in 0xB0..=0xF7u8 {
            for cell in 0xA1..=0xFEu8 {
                if row != 0xD7 || cell < 0xFA {
                    let bytes = [row, cell];
                    hanzi.extend(encoding_rs::GB18030.decode(&bytes).0.chars());
                }
            }
        }
        hanzi
    }

    fn ink(bitmap: &Bitmap) -> usize {
        (0..bitmap.height())
            .flat_map(|y| (0..bitmap.width()).map(move |x| (x, y)))
            .filter(|(x, y)| bitmap.get(*x, *y))
            .count()
    }

    #[test]
    fn every_common_hanzi_has_its_own_picture() {
        let hanzi = gb2312_hanzi();
        assert_eq!(hanzi.len(), 6763);
        let without: Vec<char> = hanzi.iter().copied().filter(|c| !has_glyph(*c)).collect();
        assert!(without.is_empty(), "no glyph: {without:?}");
        let mut pictures: Vec<(Vec<u8>, char)> = hanzi
            .iter()
            .map(|c| {
                let bitmap = text_line(&c.to_string(), 2);
                assert!(ink(&bitmap) >= 20, "{c} is nearly white");
                (bitmap.rows().flatten().copied().collect(), *c)
            })
            .collect();
        pictures.sort();
        let twins: Vec<(char, char)> =
            pictures.windows(2).filter(|two| two[0].0 == two[1].0).map(|two| (two[0].1, two[1].1)).collect();
        assert!(twins.is_empty(), "same picture: {twins:?}");
    }

    #[test]
    fn the_font_covers_what_names_need() {
        let covered =
            |from: u32, to: u32| (from..=to).filter_map(char::from_u32).filter(|c| has_glyph(*c)).count();
        // Ideographs of Unicode 1.1, the 20,902 that GBK knows.
        assert_eq!(covered(0x4E00, 0x9FA5), 20_902);
        assert_eq!(covered(0x21, 0x7E), 94);
        println!(
            "GB 2312 6763 of 6763, GBK hanzi {} of 20902, extension A {} of 6582",
            covered(0x4E00, 0x9FA5),
            covered(0x3400, 0x4DB5)
        );
    }

    #[test]
    fn every_character_of_gbk_leaves_a_trace() {
        let mut boxes = Vec::new();
        for lead in 0x81..=0xFEu8 {
            for trail in (0x40..=0x7Eu8).chain(0x80..=0xFE) {
                let bytes = [lead, trail];
                let text = crate::receipt::text::clean(&encoding_rs::GB18030.decode(&bytes).0);
                for c in text.chars().filter(|c| !c.is_whitespace()) {
                    assert!(ink(&text_line(&c.to_string(), 4)) >= 2, "{c:?} leaves no trace");
                    if !has_glyph(c) && c != SUBSTITUTE {
                        boxes.push(c);
                    }
                }
            }
        }
        println!("{} two-byte characters are boxes: {}", boxes.len(), boxes.iter().collect::<String>());
        assert!(boxes.len() < 300, "{boxes:?}");
    }

    #[test]
    fn what_the_font_lacks_is_a_box() {
        let boxed = text_line("\u{10FFFD}", 2);
        for rare in ["😀", "𠮷", "㐂"] {
            let c = rare.chars().next().unwrap();
            assert!(ink(&text_line(rare, 4)) > 20, "{rare} leaves a trace");
            if !has_glyph(c) {
                assert_eq!(ink(&text_line(rare, 4)), ink(&boxed), "{rare}");
            }
        }
    }

    #[test]
    fn ascii_keeps_to_its_half_cell_and_hanzi_to_their_cell() {
        for c in (0x21..0x7F).map(char::from) {
            let shown = ink(&text_line(&c.to_string(), 1));
            assert!(shown >= 4, "{c}");
            // In a wider picture nothing stands right of the cell.
            let wide = text_line(&c.to_string(), 3);
            assert_eq!(ink(&wide), shown, "{c}");
        }
    }

    #[test]
    fn the_preview_is_as_wide_as_the_paper() {
        let receipt = layout::tests::receipt();
        for (columns, dots) in [(32, 384), (42, 512), (48, 576)] {
            let paper = Paper { columns, dots, template: Template::default() };
            let lines = crate::receipt::layout(&receipt, columns, &paper.template);
            let picture = paint(&lines, columns, dots);
            assert_eq!(picture.width(), dots);
            assert!(picture.height() > 500 && ink(&picture) > 5000);
            // The width stands in the first chunk of a PNG, behind its signature, length and name.
            assert_eq!(paper.png(&receipt)[16..20], (dots as u32).to_be_bytes());
        }
    }
}
