//! Configuration files as one tree: the file, then its fragments merged over it, every value with its file and line.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, Spot, Weight};

/// The largest file that is read; the commented one has 10 KiB.
const FILE_MAX: u64 = 1 << 20;

/// A value and where it is written.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where its key is.
    pub spot: Spot,
}

/// What TOML can say here.
#[derive(Clone, Debug)]
pub enum Value {
    /// `"…"`.
    Text(String),
    /// `12`; `None` beyond 64 bits.
    Integer(Option<i64>),
    /// `[…]` and `[[…]]`.
    List(Vec<Node>),
    /// `[…]` as a section.
    Table(Table),
    /// Something that no setting is: its TOML name.
    Other(&'static str),
}

impl Value {
    /// What it is, for *got*.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Integer(_) => "a whole number",
            Value::List(_) => "a list",
            Value::Table(_) => "a section",
            Value::Other(kind) => kind,
        }
    }
}

/// A section: its keys in the order in which they were first written.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<(String, Node)>);

impl Table {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// Takes every value of `over`: sections are merged key by key, anything else is replaced, lists as a whole.
    fn merge(&mut self, over: Table) {
        for (key, node) in over.0 {
            match self.0.iter_mut().find(|(name, _)| *name == key) {
                None => self.0.push((key, node)),
                Some((_, old)) => match (&mut old.value, node.value) {
                    (Value::Table(below), Value::Table(above)) => below.merge(above),
                    (_, value) => *old = Node { value, spot: node.spot },
                },
            }
        }
    }
}

/// Reads `path` and then `path.d/*.toml` in the order of their names.
///
/// # Errors
/// A file that cannot be read, and every place that is not TOML.
pub fn read(path: &Path) -> Result<Table, Problems> {
    let mut problems = Vec::new();
    let mut tree = Table::default();
    for file in std::iter::once(Ok(path.to_owned())).chain(fragments(path)) {
        match file.and_then(|file| read_one(&file)) {
            Ok(table) => tree.merge(table),
            Err(Problems(more)) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(tree) } else { Err(Problems(problems)) }
}

fn fragments(path: &Path) -> Vec<Result<PathBuf, Problems>> {
    let mut dir = path.as_os_str().to_owned();
    dir.push(".d");
    let dir = PathBuf::from(dir);
    match std::fs::read_dir(&dir) {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
            files.sort();
            files.into_iter().map(Ok).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => vec![Err(unreadable(&dir, &error))],
    }
}

fn read_one(path: &Path) -> Result<Table, Problems> {
    let text = match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_MAX => {
            let what = format!("file has {} bytes, expected at most {FILE_MAX}", found.len());
            return Err(whole(path, what, "name the configuration, not another file".to_owned()));
        }
        Ok(_) => std::fs::read(path).map_err(|error| unreadable(path, &error))?,
        Err(error) => return Err(unreadable(path, &error)),
    };
    let file: Arc<Path> = Arc::from(path);
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count() + 1;
            let spot = Spot { file, line: u32::try_from(line).ok() };
            let what = "text is not UTF-8".to_owned();
            return Err(fatal(spot, what, "save the file as UTF-8".to_owned()));
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    if errors.is_empty() {
        return Ok(section(table.get_ref(), &text, &file));
    }
    let problems = errors.iter().map(|error| Problem {
        spot: Spot { file: file.clone(), line: error.span().map(|span| line(&text, &span)) },
        weight: Weight::Fatal,
        what: format!("not TOML: {}", error.message().replace('\n', ", ")),
        help: remedy(error.message()).to_owned(),
    });
    Err(Problems(problems.collect()))
}

/// What to write instead, by the parser's own words; the line itself is not shown, for it may hold a token.
fn remedy(message: &str) -> &'static str {
    let remedies = [
        ("duplicate key", "remove one of the two"),
        ("unclosed table", "write [section], or [[section]] for lists, with a bracket on each side"),
        ("key with no value", "write key = \"text\""),
        ("unexpected key or value", "write one setting to a line"),
        ("invalid boolean", "write texts in straight quotes: key = \"text\""),
        ("must be quoted", "write texts in straight quotes: key = \"text\""),
        ("string", "end the text with the quote that begins it, on the same line: key = \"text\""),
    ];
    let found = remedies.iter().find(|(word, _)| message.contains(word));
    found.map_or("write it as in the commented file: key = \"text\" under its [section]", |(_, help)| help)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "copy the commented micropayd.toml there, or name another file with --config".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => "run as the user that may read it".to_owned(),
        _ => "name a readable file with --config".to_owned(),
    };
    whole(path, format!("cannot be read: {error}"), help)
}

fn whole(path: &Path, what: String, help: String) -> Problems {
    fatal(Spot { file: Arc::from(path), line: None }, what, help)
}

fn fatal(spot: Spot, what: String, help: String) -> Problems {
    Problems(vec![Problem { spot, weight: Weight::Fatal, what, help }])
}

fn line(text: &str, span: &Range<usize>) -> u32 {
    let before = &text.as_bytes()[..span.start.min(text.len())];
    u32::try_from(before.iter().filter(|byte| **byte == b'\n').count() + 1).unwrap_or(u32::MAX)
}

fn section(table: &DeTable<'_>, text: &str, file: &Arc<Path>) -> Table {
    let mut keys: Vec<_> = table.iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
        let spot = Spot { file: file.clone(), line: Some(line(text, &key.span())) };
        (key.get_ref().to_string(), Node { value: convert(value.get_ref(), text, file), spot })
    };
    Table(keys.into_iter().map(entry).collect())
}

fn convert(value: &DeValue<'_>, text: &str, file: &Arc<Path>) -> Value {
    match value {
        DeValue::String(value) => Value::Text(value.to_string()),
        DeValue::Integer(value) => {
            let digits = value.as_str().replace('_', "");
            Value::Integer(i64::from_str_radix(&digits, value.radix()).ok())
        }
        DeValue::Boolean(_) => Value::Other("true or false"),
        DeValue::Table(table) => Value::Table(section(table, text, file)),
        DeValue::Array(values) => Value::List(
            values
                .iter()
                .map(|value| Node {
                    value: convert(value.get_ref(), text, file),
                    spot: Spot { file: file.clone(), line: Some(line(text, &value.span())) },
                })
                .collect(),
        ),
        DeValue::Float(_) => Value::Other("a number with a point"),
        DeValue::Datetime(_) => Value::Other("a date"),
    }
}
