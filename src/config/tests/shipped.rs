//! The shipped, commented file is the settings reference: it is good, whole, and its comments are true.

use super::Bench;
use crate::config::Config;

const SHIPPED: &str = include_str!("../../../systemd/micropayd.toml");

/// The shipped file with its files in the test's directory.
fn shipped(bench: &Bench) -> String {
    let text = SHIPPED
        .replace("/etc/micropayd/wechat-api-key", "DIR/key")
        .replace("/etc/micropayd/apiclient_cert.pem", "DIR/cert.pem")
        .replace("/etc/micropayd/apiclient_key.pem", "DIR/cert.key");
    text.replace("DIR", bench.dir.path().to_str().unwrap())
}

#[test]
fn the_shipped_file_is_good_and_its_commented_lines_are_the_defaults() {
    let bench = Bench::new();
    let written = |text: &str| {
        bench.write("c.toml", text, 0o640);
        let Config {
            path: _,
            terminal,
            wechat,
            policy,
            limits,
            scanners,
            printer,
            display,
            sounds,
            api,
            journal,
            remarks,
        } = bench.load().unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(remarks, []);
        format!(
            "{terminal:#?} {wechat:#?} {policy:#?} {limits:#?} {scanners:#?} {printer:#?} {display:#?} {sounds:#?} {:?} {:?} {journal:#?}",
            api.listen, api.unix_socket
        )
    };
    let text = shipped(&bench);
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(uncommented.lines().filter(|line| !text.contains(&format!("\n{line}\n"))).count() >= 15);
    assert_eq!(written(&text), written(&uncommented));
}

#[test]
fn the_shipped_file_names_every_setting() {
    let sections = [
        "[terminal]",
        "[wechat]",
        "[policy]",
        "[limits]",
        "[[scanner]]",
        "[printer]",
        "[display]",
        "[sounds]",
        "[api]",
    ];
    for section in sections {
        let bench = Bench::new();
        bench.write("c.toml", &format!("{section}\nzzzzzzzzzzzz = 1\n"), 0o600);
        let said = bench.said();
        let known = said.split("zzzzzzzzzzzz is unknown\nhelp: remove it; known here: ").nth(1).unwrap();
        for key in known.lines().next().unwrap().split(", ") {
            let there = SHIPPED.lines().any(|line| {
                let line = line.trim_start_matches(['#', ' ']);
                line.contains(&format!("{key} = "))
            });
            assert!(there, "{section} {key} is not in the shipped file");
        }
    }
}
