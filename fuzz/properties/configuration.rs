//! A configuration file: it is taken only if it keeps the rules that protect money and keys, and is refused with a place,
//! a reason and help, and without a word of any secret.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use micropayd::config::{Config, Surroundings, Weight};
use micropayd::gateway::http::{self, Http};

/// Where it may stand as a token, a key or a password.
const SECRET: &str = "SECRETsecretSECRETsecretSECRETse";

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// The file's text.
pub fn holds(data: &[u8]) {
    PLACE.with_borrow_mut(|place| {
        let place = place.get_or_insert_with(|| {
            // Memory where there is such a file system: each run writes the file.
            let shm = PathBuf::from("/dev/shm");
            let parent = if shm.is_dir() { shm } else { std::env::temp_dir() };
            let thread = format!("{:?}", std::thread::current().id());
            let number: String = thread.chars().filter(char::is_ascii_digit).collect();
            let dir = parent.join(format!("micropayd-fuzz-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&dir).expect("a directory can be made");
            std::fs::write(dir.join("wechat-api-key"), SECRET).expect("a file can be written");
            Place(dir)
        });
        let file = place.0.join("c.toml");
        std::fs::write(&file, data).expect("a file can be written");
        judge(Config::load(&file, &around(&place.0)), data);
    });
}

fn around(dir: &std::path::Path) -> Surroundings {
    Surroundings {
        credentials_directory: Some(dir.to_owned()),
        state_directory: Some(dir.join("state")),
        runtime_directory: None,
        now: super::merchant::NOW,
    }
}

fn judge(loaded: Result<Config, micropayd::config::Problems>, data: &[u8]) {
    let config = match loaded {
        Ok(config) => config,
        Err(problems) => {
            assert!(problems.0.iter().any(|problem| problem.weight == Weight::Fatal), "{problems}");
            let lines = data.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
            for problem in &problems.0 {
                assert!(!problem.what.is_empty() && !problem.help.is_empty(), "{problem}");
                assert!(problem.spot.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
            }
            assert!(!problems.to_string().contains(SECRET), "a secret is told: {problems}");
            return;
        }
    };
    for remark in &config.remarks {
        assert!(remark.weight != Weight::Fatal && !remark.to_string().contains(SECRET), "{remark}");
    }
    assert!(!format!("{:?}", config.wechat).contains(SECRET), "a secret is printed");
    let local = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    };
    let mut bench = true;
    for url in &config.wechat.base_urls {
        let (scheme, rest) = url.split_once("://").expect("an address has a scheme");
        // It may be written in any case (RFC 3986, 3.1).
        let scheme = scheme.to_ascii_lowercase();
        let host = match rest.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            _ => rest,
        };
        assert!(
            scheme == "https" || scheme == "http" && local(host),
            "keys and codes leave in the clear: {url}"
        );
        bench &= local(host);
    }
    let line = http::Settings {
        base_urls: config.wechat.base_urls.clone(),
        roots: Vec::new(),
        identity: None,
        connect_timeout: config.wechat.connect_timeout,
        request_timeout: config.wechat.request_timeout,
    };
    assert!(Http::new(line).is_ok(), "taken here and refused by the line: {:?}", config.wechat.base_urls);
    if !bench {
        let policy = &config.policy;
        assert!(
            policy.reverse_after >= Duration::from_secs(15) && policy.query_after >= Duration::from_secs(5)
        );
        assert!(policy.code_life >= Duration::from_secs(65), "a code can still arrive");
    }
    assert!(!config.policy.query_every.is_zero() && !config.policy.reverse_every.is_zero());
    if let Some(listen) = config.api.listen.filter(|listen| !listen.ip().to_canonical().is_loopback()) {
        assert!(config.api.tls.is_some() && !config.api.tokens.is_empty(), "{listen} is open to the network");
    }
    let names = [&config.terminal.store_name, &config.terminal.subject];
    assert!(names.iter().all(|name| !name.is_empty() && !name.chars().any(char::is_control)));
    assert!(config.terminal.subject.len() <= 127);
}
