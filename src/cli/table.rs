//! Tables for people: columns that stay aligned when a cell is Chinese, for those characters are two columns wide.

/// How many columns a terminal gives to `text`.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// East Asian Wide and Fullwidth (Unicode 16, EastAsianWidth.txt), by the blocks that a shop's texts come from.
fn is_wide(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x115F | 0x2E80..=0x303E | 0x3041..=0x33FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xA000..=0xA4CF
        | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE4F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F | 0x1F900..=0x1F9FF | 0x20000..=0x3FFFD)
}

/// How a column is set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Rows under their headings, two blanks between columns, none at the end of a line.
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all = || std::iter::once(&heading).chain(rows);
    let widths: Vec<usize> =
        (0..columns.len()).map(|index| all().map(|row| width(&row[index])).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for row in all() {
        let mut line = String::new();
        for ((cell, (_, align)), most) in row.iter().zip(columns).zip(&widths) {
            let blanks = " ".repeat(most.saturating_sub(width(cell)));
            let (before, after) =
                if *align == Align::Right { (blanks, String::new()) } else { (String::new(), blanks) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Names and values, the values under each other.
pub fn facts(pairs: &[(&str, String)]) -> String {
    let most = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| {
        let blanks = " ".repeat(most - width(name));
        format!("{name}{blanks}  {value}\n")
    };
    pairs.iter().map(line).collect()
}

/// Fen as yuan.
pub fn yuan(fen: impl Into<u64>) -> String {
    let fen = fen.into();
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// `2026-11-21 19:38:41` of an RFC 3339 text.
pub fn moment(rfc3339: &str) -> String {
    rfc3339.get(..19).unwrap_or(rfc3339).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_aligned_when_a_cell_is_chinese() {
        let rows = [vec!["朝阳".to_owned(), "1.00".to_owned()], vec!["ab".to_owned(), "12.50".to_owned()]];
        assert_eq!(
            table(&[("shop", Align::Left), ("amount", Align::Right)], &rows),
            "shop  amount\n朝阳    1.00\nab     12.50\n"
        );
        assert_eq!(facts(&[("店", "1".to_owned()), ("total", "2".to_owned())]), "店     1\ntotal  2\n");
        assert_eq!(width("￥12，付款"), 10);
    }
}
