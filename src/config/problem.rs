//! What is wrong with a configuration: which file, which line, and what to write instead. Never shows a secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a configuration file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Spot {
    /// The file.
    pub file: Arc<Path>,
    /// The line, from 1; `None` when the file as a whole is meant.
    pub line: Option<u32>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// How bad a problem is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Weight {
    /// Worth a look; everything works.
    Warning,
    /// The daemon runs and looks after what is open, but takes no new sale.
    NoSales,
    /// The daemon does not start.
    Fatal,
}

impl Weight {
    /// The name that `check-config` uses.
    pub fn label(self) -> &'static str {
        match self {
            Weight::Warning => "warning",
            Weight::NoSales => "no sales",
            Weight::Fatal => "error",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where.
    pub spot: Spot,
    /// How bad.
    pub weight: Weight,
    /// What, as a fragment: expected and got.
    pub what: String,
    /// What to write or do instead, in the imperative.
    pub help: String,
}

/// `file.toml:12: terminal.id …` and a `help:` line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\nhelp: {}", self.spot, self.what, self.help)
    }
}

/// Everything that is wrong with a configuration, in the order of the lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(pub Vec<Problem>);

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// The one of `known` that is written most like `word`, if any is like it at all.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| {
            let begun = word.len() > 2 && candidate.starts_with(word);
            (if begun { 1 } else { distance(word, candidate) }, *candidate)
        })
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.chars().count() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_nonsense_is_not() {
        let known = ["id", "store_name", "subject", "state_dir", "language"];
        assert_eq!(nearest("storename", &known), Some("store_name"));
        assert_eq!(nearest("stroe_name", &known), Some("store_name"));
        assert_eq!(nearest("lang", &known), Some("language"));
        assert_eq!(nearest("di", &known), Some("id"));
        assert_eq!(nearest("wholly_other", &known), None);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
