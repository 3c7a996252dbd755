//! Configurations good and bad, read from real files.

mod mistakes;
mod shipped;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::payment::cashier::Language;

const KEY: &str = "8934e7d15453e97507ef794cf7b0519d";

const GOOD: &str = r#"[terminal]
id         = "T01"
store_name = "朝阳门店"
subject    = "朝阳门店-消费"
state_dir  = "DIR/state"
language   = "zh-CN"

[wechat]
app_id    = "wx8888888888888888"
mch_id    = "1900000109"
sign_type = "HMAC-SHA256"
api_key_file     = "DIR/key"
client_cert_file = "DIR/cert.pem"
client_key_file  = "DIR/cert.key"
base_urls = ["https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com/"]
connect_timeout = "3s"
request_timeout = "10s"

[policy]
query_after = "5s"

[limits]
max_amount = "5000.00"

[[scanner]]
kind = "serial"
path = "/dev/serial/by-id/usb-x"
baud = 9600

[printer]
kind = "none"

[api]
listen = "127.0.0.1:7780"
"#;

/// A directory with a good configuration, its key and its certificate.
struct Bench {
    dir: tempfile::TempDir,
    around: Surroundings,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap(), around: Surroundings::default() };
        bench.write("key", &format!("{KEY}\n"), 0o400);
        let (cert, key) = certificate((2024, 2030));
        bench.write("cert.pem", &cert, 0o644);
        bench.write("cert.key", &key, 0o400);
        bench.edit(&[]);
        let now = Timestamp::from_wechat("20261121120000").unwrap();
        Self { around: Surroundings { now, ..Surroundings::default() }, ..bench }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The good file with lines replaced; a pair's first half must occur once.
    fn edit(&self, changes: &[(&str, &str)]) {
        let mut text = GOOD.to_owned();
        for (from, to) in changes {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            text = text.replace(from, to);
        }
        self.write("c.toml", &text.replace("DIR", self.dir.path().to_str().unwrap()), 0o600);
    }

    fn load(&self) -> Result<Config, Problems> {
        Config::load(&self.path("c.toml"), &self.around)
    }

    /// What is said, with the directory written as `DIR`.
    fn said(&self) -> String {
        match self.load() {
            Ok(config) => self.plain(&Problems(config.remarks).to_string()),
            Err(problems) => self.plain(&problems.to_string()),
        }
    }

    fn plain(&self, text: &str) -> String {
        text.replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

fn certificate((from, to): (i32, i32)) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["merchant".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(to, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_good_file_says_nothing_and_means_what_it_says() {
    let bench = Bench::new();
    let config = bench.load().unwrap();
    assert_eq!(config.remarks, []);
    assert_eq!(config.refuses_sales(), None);
    assert_eq!(config.terminal.id.as_str(), "T01");
    assert_eq!(config.terminal.state_dir, bench.path("state"));
    assert_eq!(config.terminal.language, Language::Chinese);
    assert_eq!(config.wechat.merchant.device.as_deref(), Some("T01"));
    assert!(config.wechat.merchant.has_client_certificate);
    assert_eq!(config.wechat.base_urls, BASE_URLS);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.policy, Policy::default());
    assert_eq!(config.api.listen, Some(LISTEN));
    assert_eq!(config.scanners.len(), 1);
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line() {
    let bench = Bench::new();
    bench.edit(&[("language   = \"zh-CN\"", "language   = zh-CN"), ("baud = 9600", "baud = \nbaud = 1")]);
    let said = bench.said();
    assert!(said.contains("DIR/c.toml:6: not TOML: "), "{said}");
    assert!(said.contains("DIR/c.toml:28: not TOML: "), "{said}");
    std::fs::write(bench.path("c.toml"), b"[terminal]\nid = \"\xff\"\n").unwrap();
    assert_eq!(bench.said(), "DIR/c.toml:2: text is not UTF-8\nhelp: save the file as UTF-8");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let bench = Bench::new();
    std::fs::remove_file(bench.path("c.toml")).unwrap();
    assert_eq!(
        bench.said(),
        "DIR/c.toml: cannot be read: No such file or directory (os error 2)\n\
         help: copy the commented micropayd.toml there, or name another file with --config"
    );
}

#[test]
fn all_mistakes_of_a_file_are_said_at_once_in_the_order_of_its_lines() {
    let bench = Bench::new();
    bench.edit(&[
        ("\"T01\"", "\"\""),
        ("\"1900000109\"", "1900000109"),
        ("\"5000.00\"", "\"0\""),
        ("baud = 9600", "boud = 9600"),
    ]);
    let Err(Problems(problems)) = bench.load() else { panic!("it was accepted") };
    let lines: Vec<_> = problems.iter().map(|problem| problem.spot.line.unwrap()).collect();
    assert_eq!(lines, [2, 10, 23, 28]);
}

#[test]
fn fragments_are_merged_in_the_order_of_their_names_and_named_when_wrong() {
    let bench = Bench::new();
    bench.write("c.toml.d/20.toml", "[terminal]\nid = \"T02\"\nlanguage = \"en\"\n", 0o600);
    bench.write("c.toml.d/30.toml", "[terminal]\nid = \"T03\"\n", 0o600);
    bench.write("c.toml.d/40.toml.bak", "this is not read", 0o600);
    bench.write(
        "c.toml.d/50.toml",
        "[[scanner]]\nkind = \"serial\"\npath = \"/dev/a\"\n[[scanner]]\nkind = \"serial\"\npath = \"/dev/b\"\n",
        0o600,
    );
    let config = bench.load().unwrap();
    assert_eq!(config.terminal.id.as_str(), "T03");
    assert_eq!(config.terminal.language, Language::English);
    assert_eq!(config.terminal.store_name, "朝阳门店");
    assert_eq!(config.scanners.len(), 2);

    bench.write("c.toml.d/30.toml", "[terminal]\n\nid = \"T-3\"\n", 0o600);
    assert_eq!(
        bench.said(),
        "DIR/c.toml.d/30.toml:3: terminal.id \"T-3\" is not usable, expected 1 to 8 of A-Z a-z 0-9\n\
         help: write id = \"T01\""
    );
}

#[test]
fn keys_that_others_can_read_are_refused() {
    for (name, line, setting) in [("key", 12, "api_key_file"), ("cert.key", 14, "client_key_file")] {
        for mode in [0o640, 0o604, 0o444] {
            let bench = Bench::new();
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(bench.path(name), permissions).unwrap();
            let expected = format!(
                "DIR/c.toml:{line}: wechat.{setting} DIR/{name} can be read by others (mode {mode:04o}), expected \
                 mode 0400 or 0600\nhelp: run: chmod 0400 DIR/{name}"
            );
            assert_eq!(bench.said(), expected);
        }
    }
}

#[test]
fn a_key_of_another_length_is_refused_without_being_shown() {
    for key in [
        &KEY[..31],
        &format!("{KEY}0"),
        "",
        &format!("{} {}", &KEY[..15], &KEY[..16]),
        "密钥密钥密钥密钥密钥ab",
    ] {
        let bench = Bench::new();
        bench.write("key", key, 0o600);
        let said = bench.said();
        assert!(said.starts_with("DIR/c.toml:12: wechat.api_key_file DIR/key has "), "{said}");
        assert!(key.is_empty() || !said.contains(&key[..12]), "{said}");
    }
    let bench = Bench::new();
    bench.write("key", &format!("{KEY}\r\n"), 0o600);
    assert_eq!(bench.said(), "");
}

#[test]
fn the_systemd_credential_comes_before_the_file_and_is_guarded_by_systemd() {
    let mut bench = Bench::new();
    bench.write("creds/wechat-api-key", "0123456789abcdef0123456789abcdef\n", 0o440);
    bench.around.credentials_directory = Some(bench.path("creds"));
    assert_eq!(bench.said(), "");
    bench.write("creds/wechat-api-key", "short", 0o440);
    assert!(
        bench.said().contains("wechat credential DIR/creds/wechat-api-key has 5 characters"),
        "{}",
        bench.said()
    );
    bench.write("creds/wechat-api-key", "0123456789abcdef0123456789abcdef", 0o440);
    bench.edit(&[("api_key_file     = \"DIR/key\"\n", "")]);
    assert_eq!(bench.said(), "");
}

#[test]
fn no_secret_is_shown_when_settings_are_printed() {
    let bench = Bench::new();
    let shown = format!("{:?}", bench.load().unwrap().wechat);
    assert!(!shown.contains(KEY) && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn a_certificate_that_ended_stops_sales_and_one_that_ends_soon_is_said() {
    let bench = Bench::new();
    let (cert, key) = certificate((2020, 2025));
    bench.write("cert.pem", &cert, 0o644);
    bench.write("cert.key", &key, 0o400);
    let config = bench.load().unwrap();
    let expected = "DIR/c.toml:13: wechat.client_cert_file ended on 2025-01-01T08:00:00.000+08:00; nothing could be \
                    reversed, so no sale is taken\n\
                    help: renew it on the merchant platform: 账户中心, API安全, API证书";
    assert_eq!(bench.plain(&config.refuses_sales().unwrap()), expected);

    let mut bench = Bench::new();
    bench.around.now = Timestamp::from_wechat("20291202080000").unwrap();
    let config = bench.load().unwrap();
    assert_eq!(config.refuses_sales(), None);
    assert_eq!(config.remarks.len(), 1);
    assert_eq!(config.remarks[0].weight, Weight::Warning);
    bench.around.now = bench.around.now - Duration::from_secs(24 * 60 * 60);
    assert_eq!(bench.said(), "");

    // A board without a battery: not a reason to close the shop by itself.
    bench.around.now = Timestamp(0);
    assert_eq!(bench.load().unwrap().refuses_sales(), None);
    assert!(bench.said().contains("help: set the clock"));
}

#[test]
fn a_certificate_and_a_key_of_two_pairs_are_refused() {
    let bench = Bench::new();
    bench.write("cert.key", &certificate((2024, 2030)).1, 0o400);
    assert_eq!(
        bench.said(),
        "DIR/c.toml:13: wechat.client_cert_file DIR/cert.pem and the key do not belong together\n\
         help: name the certificate and the key that were downloaded together"
    );
    bench.write("cert.key", "not a key", 0o400);
    assert!(
        bench.said().starts_with("DIR/c.toml:14: wechat.client_key_file DIR/cert.key has no private key")
    );
    bench.write("cert.pem", "not a certificate", 0o400);
    bench.write("cert.key", &certificate((2024, 2030)).1, 0o400);
    assert!(
        bench.said().starts_with("DIR/c.toml:13: wechat.client_cert_file DIR/cert.pem has no certificate")
    );
}

#[test]
fn on_loopback_the_gateway_may_be_hurried_and_needs_no_certificate() {
    let bench = Bench::new();
    let hurried =
        "query_after = \"50ms\"\nquery_every = \"50ms\"\nreverse_after = \"200ms\"\ngive_up_after = \"1s\"";
    let files = "client_cert_file = \"DIR/cert.pem\"\nclient_key_file  = \"DIR/cert.key\"\n";
    let hosts = "\"https://api.mch.weixin.qq.com\", \"https://api2.mch.weixin.qq.com/\"";
    for url in ["http://127.0.0.1:1234", "http://localhost:80/", "http://[::1]:8080"] {
        bench.edit(&[("query_after = \"5s\"", hurried), (files, ""), (hosts, &format!("\"{url}\""))]);
        assert_eq!(bench.said(), "");
        let config = bench.load().unwrap();
        assert_eq!(config.policy.reverse_after, Duration::from_millis(200));
        assert_eq!(config.wechat.base_urls, [url.trim_end_matches('/')]);
        assert!(config.wechat.identity.is_none());
    }
    let mixed = "\"http://127.0.0.1:1234\", \"https://api.mch.weixin.qq.com\"";
    bench.edit(&[("query_after = \"5s\"", hurried), (hosts, mixed)]);
    assert_eq!(bench.said().matches("only a gateway on loopback may be hurried").count(), 4);
    for url in ["http://127.0.0.1.example.com", "http://10.0.0.1", "http://localhost.example"] {
        bench.edit(&[(hosts, &format!("\"{url}\""))]);
        assert!(bench.said().contains("is not encrypted"), "{url}");
    }
}

#[test]
fn beyond_loopback_tls_and_tokens_make_a_listener() {
    let bench = Bench::new();
    let token = "0123456789abcdef0123456789abcdef";
    let listen = |token: &str| {
        format!(
            "\"0.0.0.0:7780\"\ntls_cert_file = \"DIR/cert.pem\"\ntls_key_file = \"DIR/cert.key\"\ntokens = [\"{token}\"]"
        )
    };
    bench.edit(&[("\"127.0.0.1:7780\"", &listen(token))]);
    assert_eq!(bench.said(), "");
    assert_eq!(bench.load().unwrap().api.tokens.len(), 1);

    std::fs::set_permissions(bench.path("c.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        bench.said(),
        "DIR/c.toml:37: api.tokens are in a file that anybody can read (mode 0644)\nhelp: run: chmod o= DIR/c.toml"
    );
    bench.edit(&[("\"127.0.0.1:7780\"", &listen("hunter2"))]);
    let said = bench.said();
    assert!(said.contains("api.tokens number 1 is not usable") && !said.contains("hunter2"), "{said}");
}

#[test]
fn the_file_of_a_lane_never_leads_to_another_lanes_journal() {
    let by_hand = Surroundings::default();
    let dir = |path: &str| default_state_dir(Path::new(path), &by_hand);
    assert_eq!(dir(DEFAULT_PATH), Path::new("/var/lib/micropayd"));
    assert_eq!(dir("/etc/micropayd/lane3.toml"), Path::new("/var/lib/micropayd/lane3"));
    assert_eq!(dir("/home/shop/lane3.toml"), Path::new("/var/lib/micropayd"));
    let of_service = Surroundings { state_directory: Some("/srv/lane3".into()), ..Surroundings::default() };
    assert_eq!(
        default_state_dir(Path::new("/etc/micropayd/lane3.toml"), &of_service),
        Path::new("/srv/lane3")
    );
}

#[test]
fn directories_come_from_systemd_unless_the_file_names_them() {
    let mut bench = Bench::new();
    bench.edit(&[("state_dir  = \"DIR/state\"\n", "")]);
    assert_eq!(bench.load().unwrap().journal.dir, Path::new(DEFAULT_STATE_DIR));
    bench.around.state_directory = Some(PathBuf::from("/var/lib/micropayd/lane3"));
    bench.around.runtime_directory = Some(PathBuf::from("/run/micropayd/lane3"));
    let config = bench.load().unwrap();
    assert_eq!(config.journal.dir, Path::new("/var/lib/micropayd/lane3"));
    assert_eq!(config.api.unix_socket.as_deref(), Some(Path::new("/run/micropayd/lane3/api.sock")));
}
