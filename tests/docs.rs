//! Holds the documents against the program: every link leads somewhere, every command and every path exists.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for dir in
        ["", "docs", "hardware", "hardware/printers", "hardware/fonts", "systemd", "fuzz", "benches", "tests"]
    {
        let Ok(entries) = fs::read_dir(root().join(dir)) else { continue };
        for entry in entries {
            let path = entry.expect("entry is readable").path();
            if path.extension().is_some_and(|ext| ext == "md") {
                let text = fs::read_to_string(&path).expect("document is readable");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() >= 4, "the documents are found: {found:?}");
    found
}

/// The shell lines of a document's fenced `sh` blocks, continued lines joined.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.replace("\\\n", " ").lines() {
        match line.trim() {
            "```sh" | "```console" => inside = true,
            "```" => inside = false,
            line if inside => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for (path, text) in documents() {
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.starts_with("http") {
                continue;
            }
            links += 1;
            let beside = path.parent().expect("a document is in a folder").join(target);
            assert!(beside.exists(), "{}: link to {target} leads nowhere", path.display());
        }
    }
    assert!(links > 5, "links are found, only {links}");
}

#[test]
fn every_file_that_is_named_is_there() {
    let mut named = 0;
    for (path, text) in documents() {
        for name in text.split('`').skip(1).step_by(2) {
            let rooms = ["src/", "tests/", "docs/", "benches/", "fuzz/", "hardware/", "systemd/"];
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c));
            if plain && rooms.iter().any(|room| name.starts_with(room)) {
                named += 1;
                assert!(root().join(name).exists(), "{}: there is no {name}", path.display());
            }
        }
    }
    assert!(named > 20, "files are named, only {named}");
}

/// All Rust source below these directories, in one text.
fn source(dirs: &[&str]) -> String {
    let mut open: Vec<PathBuf> = dirs.iter().map(|dir| root().join(dir)).collect();
    let mut text = String::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("entry is readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                text.push_str(&fs::read_to_string(path).expect("source is readable"));
            }
        }
    }
    text
}

#[test]
fn every_fault_is_shown_by_tests_and_stories_that_exist() {
    let page = include_str!("../docs/faults.md");
    let source = source(&["src", "tests"]);
    let stories = root().join("tests/payment/stories");
    let (mut faults, mut names) = (0, 0);
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault |")) {
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().expect("a row has cells");
        let shown_by: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!shown_by.is_empty(), "nothing shows it: {row}");
        faults += 1;
        for name in shown_by {
            names += 1;
            let there = match name {
                story if story.ends_with(".txt") => stories.join(story).exists(),
                path if path.contains('/') => root().join(path).exists(),
                test => source.contains(&format!("fn {test}(")),
            };
            assert!(there, "there is no test {name}: {row}");
        }
    }
    assert!(faults > 60 && names > 100, "{faults} faults, {names} names");
}

/// Whether the program has this command; some are hidden from its help.
fn is_known(command: &str) -> bool {
    let mut program = Command::new(env!("CARGO_BIN_EXE_micropayd"));
    program.args([command, "--help"]).output().expect("the program runs").status.success()
}

#[test]
fn every_command_in_the_documents_is_one_of_the_program() {
    let mut seen = 0;
    for (path, text) in documents() {
        for line in shell_lines(&text) {
            let words: Vec<&str> = line.split_whitespace().collect();
            for (at, word) in words.iter().enumerate() {
                if !word.ends_with("micropayd") || word.starts_with("--") || *word == "-u" {
                    continue;
                }
                // Only where the word is the command: first, or after sudo, or after `--` of cargo.
                let runs =
                    at == 0 || matches!(words[at - 1], "sudo" | "|" | "&&") || words[at - 1].contains('=');
                let Some(command) = words.get(at + 1).filter(|_| runs) else { continue };
                if command.starts_with('-') {
                    continue;
                }
                seen += 1;
                assert!(
                    is_known(command),
                    "{}: `{line}` uses {command}, which is no command",
                    path.display()
                );
            }
        }
    }
    assert!(seen > 0, "commands are found");
}

#[test]
fn every_path_in_the_documents_is_served() {
    let described = serde_json::to_value(micropayd::api::description()).expect("the description is JSON");
    let paths: Vec<&String> = described["paths"].as_object().expect("it has paths").keys().collect();
    let mut seen = 0;
    for (path, text) in documents() {
        for (at, _) in text.match_indices("/v1/") {
            let mention: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "/_{}.<>-".contains(*c))
                .collect();
            let mention = mention.trim_end_matches(['.', '/', '-']);
            let fits = |served: &&&String| {
                let (a, b): (Vec<&str>, Vec<&str>) =
                    (served.split('/').collect(), mention.split('/').collect());
                a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a == b || a.starts_with('{'))
            };
            seen += 1;
            assert!(paths.iter().find(fits).is_some(), "{}: {mention} is not served", path.display());
        }
    }
    assert!(seen > 2, "paths are found");
}
