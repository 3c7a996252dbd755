//! The list of planted bugs does not rot: each still has its one place in the code. (Trying them takes `--example planted`.)

use std::fs;
use std::path::{Path, PathBuf};

#[path = "tools/planted/parts.rs"]
#[expect(dead_code, reason = "the tool writes parts; here they are only looked at")]
mod parts;

use parts::Part;

#[test]
fn every_planted_bug_has_its_place() {
    let home = env!("CARGO_MANIFEST_DIR");
    let list: toml::Table =
        fs::read_to_string(format!("{home}/tests/planted.toml")).unwrap().parse().unwrap();
    let bugs = list["bug"].as_array().unwrap();
    assert!(bugs.len() >= 30, "only {} bugs are left", bugs.len());
    for bug in bugs {
        let [name, file, find, replace] =
            ["name", "file", "find", "replace"].map(|key| bug[key].as_str().unwrap());
        let code = fs::read_to_string(format!("{home}/{file}")).unwrap();
        let places = code.matches(find).count();
        assert_eq!(places, 1, "{name:?}: places in {file}; correct `find` in tests/planted.toml");
        assert_ne!(find, replace, "{name:?} changes nothing");
    }
}

/// A part that names a room which it has not, or whose tests take in a file from elsewhere, does not build, and no bug in
/// it would be tried.
#[test]
fn every_part_that_bugs_are_planted_in_has_what_it_needs() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut looked_at = 0;
    for part in Part::ALL.into_iter().filter(|part| *part != Part::Whole) {
        let mut open: Vec<PathBuf> = vec![home.join("src"), home.join("tests")];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let file = path.strip_prefix(home).unwrap().to_str().unwrap();
            if !part.has(file) {
                continue;
            }
            let code = fs::read_to_string(&path).unwrap();
            if file.starts_with("tests/") {
                assert!(!code.contains(r#"path = "../"#), "{file} takes in what {} has not", part.name());
                continue;
            }
            looked_at += 1;
            for needed in code.split("use crate::").skip(1) {
                let room: String =
                    needed.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(part.rooms().contains(&room.as_str()), "{} needs {room} for {file}", part.name());
            }
        }
    }
    assert!(looked_at > 100, "{looked_at} files");
}
