//! The fuzzers' corpora, played again: each file holds the property of its target. What a crash was found with stays here.

#[path = "../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_file_of_every_corpus_holds() {
    for (target, holds) in properties::ALL {
        let files = corpus(target);
        assert!(!files.is_empty(), "{target} has no corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            assert!(bytes.len() <= 4096, "{} is not small", file.display());
            // The test's output names the file when the property panics.
            println!("{}", file.display());
            holds(&bytes);
            for short in [1, bytes.len() / 2] {
                holds(&bytes[..bytes.len().saturating_sub(short)]);
            }
        }
    }
}

#[test]
fn every_corpus_has_a_property() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(properties::ALL.iter().any(|(known, _)| *known == name), "{name}");
    }
}
