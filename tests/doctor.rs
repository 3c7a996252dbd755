//! `doctor` against a gateway that runs: what is well is said to be, and a fault is named by its own layer.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The simulated gateway; ends with the test.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn each_layer_is_looked_at() {
    let program = env!("CARGO_BIN_EXE_micropayd");
    let mut child =
        Command::new(program).args(["simulator", "--tls"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _gateway = Gateway(child);
    let handshake: Value = serde_json::from_str(&line).unwrap();
    let of = |key: &str| handshake[key].as_str().unwrap().to_owned();

    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("key"), of("api_key")).unwrap();
    std::fs::set_permissions(at("key"), std::fs::Permissions::from_mode(0o400)).unwrap();
    let config = |url: &str, roots: &str| {
        let text = format!(
            "[terminal]\nid = \"T01\"\nstore_name = \"朝阳门店\"\nstate_dir = {:?}\n\
             [wechat]\napp_id = {:?}\nmch_id = {:?}\napi_key_file = {:?}\nclient_cert_file = {:?}\n\
             client_key_file = {:?}\nbase_urls = [{url:?}]\n{roots}\n\
             [[scanner]]\nkind = \"serial\"\npath = \"/dev/null\"\n[printer]\nkind = \"none\"\n[api]\nlisten = \"127.0.0.1:1\"\n",
            dir.path(),
            of("app_id"),
            of("mch_id"),
            at("key"),
            of("client_cert_file"),
            of("client_key_file"),
        );
        std::fs::write(at("c.toml"), text).unwrap();
    };
    let doctor = || {
        let output = Command::new(program)
            .args(["doctor", "--json", "--config", &at("c.toml")])
            .env_clear()
            .output()
            .unwrap();
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = findings.as_array().unwrap().clone();
        let of = move |name: &str| {
            let finding = findings.iter().find(|finding| finding["of"] == name).unwrap();
            (finding["health"].as_str().unwrap().to_owned(), finding["what"].as_str().unwrap().to_owned())
        };
        (output.status.code().unwrap(), of)
    };

    config(&of("base_url"), &format!("ca_file = {:?}", of("ca_file")));
    let (code, found) = doctor();
    for name in ["settings", "key", "certificate", "127.0.0.1", "clock", "scanner"] {
        assert_eq!(found(name).0, "good", "{name}: {}", found(name).1);
    }
    // No daemon, no journal yet, perhaps a full disk: worth a look, but only a full disk is a fault.
    assert_eq!(found("daemon").0, "look");
    assert_eq!(code, i32::from(found("disk").0 == "bad"));

    std::fs::remove_file(at("key")).unwrap();
    std::fs::write(at("key"), "0".repeat(32)).unwrap();
    std::fs::set_permissions(at("key"), std::fs::Permissions::from_mode(0o400)).unwrap();
    let (code, found) = doctor();
    assert_eq!(code, 1);
    assert_eq!(found("key").0, "bad");
    assert!(found("key").1.starts_with("was not accepted: "), "{}", found("key").1);
    assert_eq!(found("certificate").0, "look");

    config(&of("base_url"), "");
    let (code, found) = doctor();
    assert_eq!(code, 1);
    assert_eq!(found("key").0, "look");
    assert!(found("127.0.0.1").1.starts_with("TLS failed: "), "{}", found("127.0.0.1").1);
    assert_eq!(found("clock").0, "look");

    config("https://127.0.0.1:1", "");
    assert!(doctor().1("127.0.0.1").1.starts_with("cannot be connected to: 127.0.0.1:1: "));

    // A name that never exists (RFC 6761, section 6.4).
    config("https://gateway.invalid", "");
    assert!(doctor().1("gateway.invalid").1.starts_with("has no address: "));
}
