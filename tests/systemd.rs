//! The shipped units: whatever systemd says about them is a mistake.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const ONE: &str = include_str!("../systemd/micropayd.service");
const LANES: &str = include_str!("../systemd/micropayd@.service");

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("micropayd.service", ONE), ("micropayd@.service", LANES)] {
        let file = dir.path().join(name);
        // The command must exist to be verified; here it is the one that was just built.
        std::fs::write(&file, text.replace("/usr/bin/micropayd", env!("CARGO_BIN_EXE_micropayd"))).unwrap();
        assert_eq!(analyze(&["verify", "--man=no"], &file), "", "{name}");
        // Tenths: 16 are 1.6 of 10, which systemd calls OK.
        assert_eq!(analyze(&["security", "--offline=yes", "--threshold=20"], &file), "", "{name}");
    }
}

/// What systemd complains about: an unknown key is no failure for it, but a line on stderr.
fn analyze(arguments: &[&str], file: &Path) -> String {
    let output = Command::new("systemd-analyze").args(arguments).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { said } else { format!("{said}: {}", output.status) }
}

#[test]
fn the_units_differ_only_in_names() {
    let settings = |text: &'static str| -> BTreeSet<&'static str> {
        text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
    };
    let (one, lanes) = (settings(ONE), settings(LANES));
    let keys: BTreeSet<&str> =
        one.symmetric_difference(&lanes).map(|line| line.split('=').next().unwrap()).collect();
    let names = ["Description", "ExecStart", "RuntimeDirectory", "StateDirectory"];
    assert_eq!(keys, BTreeSet::from(names));
}

#[test]
fn what_a_restart_cannot_put_right_is_not_started_again() {
    use micropayd::cli::{CONFIG, DATA, USAGE};
    assert!(ONE.lines().any(|line| line == format!("RestartPreventExitStatus={USAGE} {DATA} {CONFIG}")));
}
