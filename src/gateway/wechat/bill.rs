//! The day's bill as WeChat writes it (`downloadbill`), read line by line as it comes; a shortened bill is no bill.
//!
//! The bill is not signed: TLS is all that protects it. So nothing that is read here may change a sale; it is held against
//! the journal, and a person acts.

mod line;
#[cfg(test)]
mod tests;

use self::line::{Columns, SumColumn, Titles};
use super::xml::Fields;
use crate::gateway::LARGEST_ANSWER;
use crate::reconcile::Row;

/// The longest line that is read: 64 KiB. A line of WeChat's has less than 2 KiB: 29 columns, of which the longest are
/// 商户数据包 with 127 and 商品名称 with 128 characters.
pub const LONGEST_LINE: usize = 64 * 1024;

/// The byte order mark that a bill begins with.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a text is not a whole bill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBill {
    /// `error_code` 20002: nobody paid on that day, or the bill is not made yet.
    #[error("there is no bill of that day")]
    NoBill,
    /// WeChat is still making it.
    #[error("bill is still being made\nhelp: ask again in half an hour")]
    BeingMade,
    /// WeChat's answer in the place of a bill; its text.
    #[error(
        "WeChat gave no bill: {0}\nhelp: compare key, app_id and mch_id with the merchant platform; a bill is kept for three months"
    )]
    Refused(String),
    /// It begins as gzip does.
    #[error(
        "bill is compressed, expected plain text\nhelp: unpack it with gunzip, or download it as plain text"
    )]
    Gzip,
    /// It is something else.
    #[error(
        "this is not a bill of WeChat's: {0}\nhelp: download the day's bill of all trades (交易账单, 全部) again"
    )]
    NotABill(String),
    /// A line that cannot be.
    #[error("line {number} of the bill is not usable: {what}\nhelp: download the bill again")]
    Line {
        /// Which line, from 1.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The end is missing.
    #[error("bill ends early, after line {0}: its last two lines are missing\nhelp: download the bill again")]
    EndsEarly(u64),
    /// What it says of itself at the end is not what it has.
    #[error(
        "bill is not whole: {title} is {said}, but its lines come to {got}\nhelp: download the bill again"
    )]
    Sum {
        /// The title of the sum.
        title: &'static str,
        /// What the last line says.
        said: String,
        /// What was read.
        got: String,
    },
}

/// What a whole bill came to, all terminals together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Whole {
    /// Lines: payments, reversals, refunds.
    pub rows: u64,
    /// The orders' amounts, fen (订单总金额, formerly 总交易额).
    pub ordered: u64,
}

/// Reads a bill from pieces of any size. It holds one line and the sums, however large the bill is.
#[derive(Debug)]
pub struct Bill {
    part: Part,
    /// The bytes of a line whose end has not come.
    rest: Vec<u8>,
    /// Lines that ended.
    lines: u64,
    rows: u64,
    sums: [u64; SumColumn::COUNT],
}

#[derive(Debug)]
enum Part {
    /// Too few bytes to know what this is.
    Start,
    /// WeChat's XML in the place of a bill.
    Xml,
    /// Before the titles.
    Titles,
    /// Lines, then the titles of the sums.
    Rows(Columns),
    /// Before the sums.
    Sums(Titles),
    /// After the sums.
    End(Whole),
    /// It was refused.
    Bad(BadBill),
}

impl Default for Bill {
    fn default() -> Self {
        Self::new()
    }
}

impl Bill {
    /// Of which nothing was read.
    pub fn new() -> Self {
        Self { part: Part::Start, rest: Vec::new(), lines: 0, rows: 0, sums: [0; SumColumn::COUNT] }
    }

    /// Bytes that are held at present, at most [`LONGEST_LINE`].
    pub fn held(&self) -> usize {
        self.rest.len()
    }

    /// Reads the next piece, and gives each row that it ends to `row`. The rows are worth nothing before
    /// [`finish`](Self::finish) has said that the bill is whole.
    pub fn push(&mut self, piece: &[u8], row: &mut dyn FnMut(Row)) -> Result<(), BadBill> {
        let done = self.take(piece, row);
        if let Err(bad) = &done {
            self.part = Part::Bad(bad.clone());
            self.rest = Vec::new();
        }
        done
    }

    /// Says that nothing more comes.
    pub fn finish(mut self, row: &mut dyn FnMut(Row)) -> Result<Whole, BadBill> {
        if let Part::Start = self.part {
            self.begin(row)?;
        }
        if let Part::Xml = self.part {
            return Err(refusal(&self.rest));
        }
        if !self.rest.is_empty() {
            let last = std::mem::take(&mut self.rest);
            self.line(&last, row)?;
        }
        match self.part {
            Part::End(whole) => Ok(whole),
            Part::Bad(bad) => Err(bad),
            Part::Start | Part::Xml | Part::Titles | Part::Rows(_) | Part::Sums(_) => {
                Err(BadBill::EndsEarly(self.lines))
            }
        }
    }

    fn take(&mut self, piece: &[u8], row: &mut dyn FnMut(Row)) -> Result<(), BadBill> {
        match &self.part {
            Part::Bad(bad) => Err(bad.clone()),
            Part::Start => {
                // The mark, and a byte to tell by.
                let missing = (MARK.len() + 1).saturating_sub(self.rest.len()).min(piece.len());
                let (first, others) = piece.split_at(missing);
                self.rest.extend_from_slice(first);
                if self.rest.len() <= MARK.len() {
                    return Ok(());
                }
                self.begin(row)?;
                self.take(others, row)
            }
            Part::Xml => {
                if self.rest.len() + piece.len() > LARGEST_ANSWER {
                    return Err(BadBill::NotABill("it is too large for a refusal".to_owned()));
                }
                self.rest.extend_from_slice(piece);
                Ok(())
            }
            Part::Titles | Part::Rows(_) | Part::Sums(_) | Part::End(_) => self.lines_of(piece, row),
        }
    }

    /// Knows by the first bytes what this is.
    fn begin(&mut self, row: &mut dyn FnMut(Row)) -> Result<(), BadBill> {
        let first = std::mem::take(&mut self.rest);
        if first.starts_with(&[0x1f, 0x8b]) {
            return Err(BadBill::Gzip);
        }
        let text = first.strip_prefix(MARK).unwrap_or(&first);
        match text.first() {
            None => Err(BadBill::NotABill("it is empty".to_owned())),
            Some(b'<') => {
                self.part = Part::Xml;
                self.rest.extend_from_slice(text);
                Ok(())
            }
            Some(_) => {
                self.part = Part::Titles;
                self.lines_of(text, row)
            }
        }
    }

    fn lines_of(&mut self, piece: &[u8], row: &mut dyn FnMut(Row)) -> Result<(), BadBill> {
        let mut pieces = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.rest.len() + piece.len() > LONGEST_LINE {
                let what = format!("it is longer than {LONGEST_LINE} bytes");
                return Err(BadBill::Line { number: self.lines + 1, what });
            }
            let ended = pieces.peek().is_some();
            match (ended, self.rest.is_empty()) {
                (false, _) => self.rest.extend_from_slice(piece),
                (true, true) => self.line(piece, row)?,
                (true, false) => {
                    let mut line = std::mem::take(&mut self.rest);
                    line.extend_from_slice(piece);
                    self.line(&line, row)?;
                    // Its room is used again.
                    line.clear();
                    self.rest = line;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, bytes: &[u8], row: &mut dyn FnMut(Row)) -> Result<(), BadBill> {
        self.lines += 1;
        let number = self.lines;
        let bad = |what: String| BadBill::Line { number, what };
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".to_owned()))?;
        match &self.part {
            Part::Titles => {
                self.part = Part::Rows(Columns::read(text).map_err(BadBill::NotABill)?);
            }
            Part::Rows(columns) if text.starts_with('`') => {
                let (one, amounts) = columns.row(text).map_err(bad)?;
                self.rows += 1;
                for (sum, amount) in self.sums.iter_mut().zip(amounts) {
                    let whole = sum.checked_add(amount);
                    *sum = whole.ok_or_else(|| bad("the amounts come to more than can be".to_owned()))?;
                }
                row(one);
            }
            Part::Rows(columns) => {
                let titles = Titles::read(text, columns).map_err(bad)?;
                self.part = Part::Sums(titles);
            }
            Part::Sums(titles) => {
                titles.check(text, self.rows, &self.sums).map_err(|wrong| wrong.at(number))?;
                let ordered = self.sums[SumColumn::Ordered as usize];
                self.part = Part::End(Whole { rows: self.rows, ordered });
            }
            Part::End(_) if text.is_empty() => {}
            Part::End(_) => return Err(bad("something stands after the sums".to_owned())),
            Part::Start | Part::Xml | Part::Bad(_) => {}
        }
        Ok(())
    }
}

/// What WeChat's XML in the place of a bill says. It is not signed either.
fn refusal(bytes: &[u8]) -> BadBill {
    let Ok(fields) = Fields::read(bytes) else {
        return BadBill::NotABill("it begins like XML and is not WeChat's".to_owned());
    };
    let text = fields.get("return_msg").or(fields.get("err_code_des")).unwrap_or("no reason is given");
    let code = fields.get("error_code").or(fields.get("err_code")).unwrap_or_default();
    // The documents write `NO Bill Exist`, the gateway `No Bill Exist`.
    if code == "20002" || text.eq_ignore_ascii_case("no bill exist") {
        return BadBill::NoBill;
    }
    if text.eq_ignore_ascii_case("bill creating") {
        return BadBill::BeingMade;
    }
    let text = super::answer::bounded(text);
    let code = super::answer::bounded(code);
    BadBill::Refused(if code.is_empty() { text } else { format!("{text} ({code})") })
}
