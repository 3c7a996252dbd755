//! The list of planted bugs does not rot: each still has its one place in the code. (Trying them takes `--example planted`.)

use std::fs;

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
