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

/// xorshift64*, Vigna 2016.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound.max(1)
    }
}

/// A few changes, as a fuzzer without eyes makes them.
fn changed(dice: &mut Dice, mut bytes: Vec<u8>, others: &[Vec<u8>]) -> Vec<u8> {
    for _ in 0..1 + dice.below(4) {
        let place = dice.below(bytes.len() + 1);
        let end = (place + dice.below(12)).min(bytes.len());
        let other = &others[dice.below(others.len())];
        let from = dice.below(other.len());
        let until = (from + dice.below(40)).min(other.len());
        match dice.below(6) {
            0 => bytes.truncate(place),
            1 => drop(bytes.splice(place..end, [])),
            2 => drop(bytes.splice(place..place, other[from..until].iter().copied())),
            3 => {
                drop(bytes.splice(
                    place..end,
                    (0..dice.below(4)).map(|_| dice.below(256) as u8).collect::<Vec<_>>(),
                ))
            }
            4 => bytes.extend_from_within(place..end),
            _ if place < bytes.len() => bytes[place] ^= 1 << dice.below(8),
            _ => {}
        }
    }
    bytes.truncate(4096);
    bytes
}

/// `FUZZED_ROUNDS` for more, `FUZZED_SEED` for others. What breaks a property is printed, to be kept in the corpus.
#[test]
fn changed_files_of_every_corpus_hold() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (rounds, seed) = (number("FUZZED_ROUNDS", 300), number("FUZZED_SEED", 1));
    for (target, holds) in properties::ALL {
        let files: Vec<Vec<u8>> = corpus(target).iter().map(|file| fs::read(file).unwrap()).collect();
        let mut dice = Dice(seed | 1 << 63);
        for _ in 0..rounds {
            let file = files[dice.below(files.len())].clone();
            let bytes = changed(&mut dice, file, &files);
            if std::panic::catch_unwind(|| holds(&bytes)).is_err() {
                panic!(
                    "{target} with FUZZED_SEED={seed} does not hold of {:?}",
                    bytes.escape_ascii().to_string()
                );
            }
        }
    }
}
