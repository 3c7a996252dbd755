//! Reads typed values out of a section and remembers everything that is wrong, so that all of it is said at once.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use super::problem::{Problem, Spot, Weight, nearest};
use super::tree::{Node, Table, Value};

/// The problems found so far.
pub type Found = RefCell<Vec<Problem>>;

/// A section, and which of its keys are known: those that were asked for.
pub struct Section<'a> {
    name: String,
    table: &'a Table,
    spot: Spot,
    found: &'a Found,
    known: RefCell<Vec<&'static str>>,
}

/// A value that was written, and where, so that a later check can still name the line.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// `terminal.id`.
    pub name: String,
    /// Where it is written.
    pub spot: Spot,
}

impl<T> Entry<T> {
    /// Says that the value cannot be used.
    pub fn refuse(&self, found: &Found, what: impl AsRef<str>, help: impl Into<String>) {
        self.report(found, Weight::Fatal, what, help);
    }

    /// Says something about the value.
    pub fn report(&self, found: &Found, weight: Weight, what: impl AsRef<str>, help: impl Into<String>) {
        let what = format!("{} {}", self.name, what.as_ref());
        found.borrow_mut().push(Problem { spot: self.spot.clone(), weight, what, help: help.into() });
    }

    /// The same place with another value.
    pub fn with<U>(&self, value: U) -> Entry<U> {
        Entry { value, name: self.name.clone(), spot: self.spot.clone() }
    }
}

impl<'a> Section<'a> {
    /// A section that is written at `spot`; an empty table where it is not written at all.
    pub fn new(name: impl Into<String>, table: &'a Table, spot: Spot, found: &'a Found) -> Self {
        Self { name: name.into(), table, spot, found, known: RefCell::default() }
    }

    /// Where the section is written.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The problems, for checks of several values together.
    pub fn found(&self) -> &'a Found {
        self.found
    }

    /// Whether `key` is written here, usable or not.
    pub fn has(&self, key: &'static str) -> bool {
        self.node(key).is_some()
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<Entry<String>> {
        let (node, entry) = self.entry(key)?;
        match &node.value {
            Value::Text(text) => Some(entry.with(text.clone())),
            other => self.wrong(&entry, "a text", other, format!("write {key} = \"…\"")),
        }
    }

    /// A text that `parse` understands; its error becomes the problem, with `help`.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        help: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Entry<T>> {
        let text = self.text(key)?;
        match parse(&text.value) {
            Ok(value) => Some(text.with(value)),
            Err(what) => {
                text.refuse(self.found, what, help);
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Clone>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Entry<T>> {
        let text = self.text(key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(text.with(value.clone()));
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = match nearest(&text.value, &all) {
            Some(word) => format!("write {key} = \"{word}\""),
            None => format!("write one of these: {}", all.join(", ")),
        };
        text.refuse(self.found, format!("{:?} is unknown, expected {}", text.value, or(&all)), help);
        None
    }

    /// A path, absolute or from the working directory.
    pub fn path(&self, key: &'static str) -> Option<Entry<PathBuf>> {
        self.parsed(key, &format!("write {key} = \"/…\""), |text| {
            if text.is_empty() {
                Err("is empty, expected a path".to_owned())
            } else {
                Ok(PathBuf::from(text))
            }
        })
    }

    /// A whole number from `least` to `most`.
    pub fn number(&self, key: &'static str, least: i64, most: i64) -> Option<Entry<i64>> {
        let (node, entry) = self.entry(key)?;
        let help = format!("write a number from {least} to {most} without quotes");
        match &node.value {
            Value::Integer(Some(number)) if (least..=most).contains(number) => Some(entry.with(*number)),
            Value::Integer(_) => {
                entry.refuse(self.found, format!("is out of range, expected {least} to {most}"), help);
                None
            }
            other => self.wrong(&entry, "a whole number", other, help),
        }
    }

    /// A span of time, `"5s"`.
    pub fn duration(&self, key: &'static str) -> Option<Entry<Duration>> {
        let (node, entry) = self.entry(key)?;
        let help = |example: &str| format!("write {key} = \"{example}\"; units are ms, s, m, h, d");
        match &node.value {
            Value::Text(text) => match duration(text) {
                Some(span) => Some(entry.with(span)),
                None => {
                    let what =
                        format!("{text:?} is not a span of time, expected a form like \"5s\" or \"200ms\"");
                    entry.refuse(self.found, what, help("5s"));
                    None
                }
            },
            Value::Integer(Some(number)) => {
                self.wrong(&entry, "a span of time in quotes", &node.value, help(&format!("{number}s")))
            }
            other => self.wrong(&entry, "a span of time in quotes", other, help("5s")),
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &'static str) -> Option<Entry<Vec<Entry<String>>>> {
        let (node, entry) = self.entry(key)?;
        let help = || format!("write {key} = [\"…\", \"…\"]");
        let Value::List(items) = &node.value else {
            return self.wrong(&entry, "a list of texts", &node.value, help());
        };
        let mut texts = Vec::new();
        for item in items {
            let item_entry = Entry { value: (), name: entry.name.clone(), spot: item.spot.clone() };
            match &item.value {
                Value::Text(text) => texts.push(item_entry.with(text.clone())),
                other => return self.wrong(&item_entry, "only texts", other, help()),
            }
        }
        Some(entry.with(texts))
    }

    /// Every `[[key]]`, as sections named `key` (or `key 2`, … when there are several).
    pub fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some((node, entry)) = self.entry(key) else { return Vec::new() };
        let items = match &node.value {
            Value::List(items) => items,
            other => {
                let help = format!("write [[{key}]] with two brackets on each side");
                self.wrong::<()>(&entry, "a list of sections", other, help);
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let name = if items.len() == 1 { key.to_owned() } else { format!("{key} {}", index + 1) };
            match &item.value {
                Value::Table(table) => {
                    sections.push(Section::new(name, table, item.spot.clone(), self.found))
                }
                other => {
                    self.wrong::<()>(&entry, "a list of sections", other, format!("write [[{key}]]"));
                }
            }
        }
        sections
    }

    /// `[key]`; an empty section where it is not written.
    pub fn section(&self, key: &'static str) -> Section<'a> {
        static EMPTY: Table = Table(Vec::new());
        let absent = |spot| Section::new(key, &EMPTY, spot, self.found);
        let Some((node, entry)) = self.entry(key) else {
            return absent(Spot { line: None, ..self.spot.clone() });
        };
        match &node.value {
            Value::Table(table) => Section::new(key, table, node.spot.clone(), self.found),
            other => {
                self.wrong::<()>(&entry, "a section", other, format!("write [{key}] on a line of its own"));
                absent(node.spot.clone())
            }
        }
    }

    /// Says that `key` is missing, unless it is written (then something else was said already).
    pub fn missing(&self, key: &'static str, help: impl Into<String>) {
        if !self.has(key) {
            let what = format!("{}.{key} is missing", self.name);
            self.problem(what, help);
        }
    }

    /// Says something about the section as a whole.
    pub fn problem(&self, what: impl Into<String>, help: impl Into<String>) {
        let problem =
            Problem { spot: self.spot.clone(), weight: Weight::Fatal, what: what.into(), help: help.into() };
        self.found.borrow_mut().push(problem);
    }

    /// Says which keys nobody asked for.
    pub fn finish(self) {
        let known = self.known.borrow();
        for (key, node) in &self.table.0 {
            if known.contains(&key.as_str()) {
                continue;
            }
            let help = match nearest(key, &known) {
                Some(near) => format!("write {near}"),
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            let dot = if self.name.is_empty() { "" } else { "." };
            let what = format!("{}{dot}{key} is unknown", self.name);
            let spot = node.spot.clone();
            self.found.borrow_mut().push(Problem { spot, weight: Weight::Fatal, what, help });
        }
    }

    fn node(&self, key: &'static str) -> Option<&'a Node> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    fn entry(&self, key: &'static str) -> Option<(&'a Node, Entry<()>)> {
        let node = self.node(key)?;
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        Some((node, Entry { value: (), name, spot: node.spot.clone() }))
    }

    fn wrong<T>(&self, entry: &Entry<()>, expected: &str, got: &Value, help: String) -> Option<T> {
        entry.refuse(self.found, format!("is {}, expected {expected}", got.kind()), help);
        None
    }
}

/// `a, b or c`.
fn or(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A whole number and a unit: `200ms`, `5s`, `5m`, `2h`, `7d`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = match &text[digits..] {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A span of time as [`duration`] reads it.
pub fn written(span: Duration) -> String {
    match span.as_secs() {
        seconds if span.subsec_millis() != 0 => {
            format!("{}ms", seconds * 1000 + u64::from(span.subsec_millis()))
        }
        seconds if seconds % 86_400 == 0 && seconds > 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 60 == 0 && seconds > 60 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_have_a_number_and_a_unit() {
        assert_eq!(duration("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("7d"), Some(Duration::from_secs(604_800)));
        for bad in
            ["", "5", "s", "-5s", "5 s", "1.5s", "5S", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(duration(bad), None, "{bad:?}");
        }
        for text in ["200ms", "5s", "60s", "5m", "7d", "1500ms", "0s"] {
            assert_eq!(written(duration(text).unwrap()), text);
        }
    }
}
