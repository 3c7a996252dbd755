//! `[api]`: where the console and the API listen; beyond loopback only with TLS and tokens.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;

use zeroize::Zeroizing;

use super::Surroundings;
use super::certificate::{self, Standing};
use super::problem::Weight;
use super::secret_file::Guard;
use super::section::{Entry, Section};
use crate::api::{self, Tls};

/// Where the API listens when nothing else is said.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);

/// The fewest characters of a token: what 96 random bits have in base 64. The API's door refuses shorter ones, too.
const TOKEN_MIN: usize = 16;

/// `listen` alone.
pub fn listen(section: &Section<'_>) -> Option<Entry<SocketAddr>> {
    let help = "write listen = \"127.0.0.1:7780\"";
    section.parsed("listen", help, |text| {
        let numbers = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numbers.as_deref().unwrap_or(text).parse::<SocketAddr>().map_err(|_| {
            format!("{text:?} is not an address and port, expected a form like \"127.0.0.1:7780\"")
        })
    })
}

pub fn read(section: Section<'_>, around: &Surroundings) -> Option<api::Settings> {
    let listen = listen(&section);
    let tokens = tokens(&section);
    let tls = tls(&section, around);
    if let Some(entry) = &listen
        && !entry.value.ip().is_loopback()
    {
        for (key, example) in
            [("tls_cert_file", "\"…\""), ("tls_key_file", "\"…\""), ("tokens", "[\"…\"], one for each POS")]
        {
            if !section.has(key) {
                let what = format!("is {}, beyond loopback, expected {key} as well", entry.value);
                entry.refuse(
                    section.found(),
                    what,
                    format!("write {key} = {example}, or listen on 127.0.0.1"),
                );
            }
        }
        if section.has("tokens") && tokens.is_empty() {
            let help = "write tokens = [\"…\"], one for each POS, or listen on 127.0.0.1";
            entry.refuse(
                section.found(),
                format!("is {}, beyond loopback, expected tokens as well", entry.value),
                help,
            );
        }
    }
    let usable = !section.has("listen") || listen.is_some();
    section.finish();
    usable.then(|| api::Settings {
        listen: Some(listen.map_or(LISTEN, |entry| entry.value)),
        unix_socket: around.runtime_directory.as_ref().map(|dir| dir.join("api.sock")),
        tls,
        tokens,
    })
}

fn tokens(section: &Section<'_>) -> Vec<Zeroizing<String>> {
    let Some(written) = section.texts("tokens") else { return Vec::new() };
    let spot = written.with(());
    let mut tokens = Vec::new();
    for (index, entry) in written.value.into_iter().enumerate() {
        let token = Zeroizing::new(entry.value.clone());
        let usable = token.len() >= TOKEN_MIN && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !usable {
            let what = format!(
                "number {} is not usable, expected at least {TOKEN_MIN} letters, digits and signs",
                index + 1
            );
            entry.refuse(section.found(), what, "make one with: openssl rand -hex 24");
        }
        tokens.push(token);
    }
    // Whoever reads a token can take payments; the file that holds it is a key file.
    let mode = std::fs::metadata(&spot.spot.file).map_or(0, |about| about.permissions().mode() & 0o777);
    if !tokens.is_empty() && mode & 0o007 != 0 {
        let shown = spot.spot.file.display();
        let what = format!("are in a file that anybody can read (mode {mode:04o})");
        spot.refuse(section.found(), what, format!("run: chmod o= {shown}"));
    }
    tokens
}

fn tls(section: &Section<'_>, around: &Surroundings) -> Option<Tls> {
    let (cert, key) = match (section.path("tls_cert_file"), section.path("tls_key_file")) {
        (Some(cert), Some(key)) => (cert, key),
        (Some(cert), None) => {
            cert.refuse(section.found(), "has no tls_key_file beside it", "write tls_key_file = \"…\"");
            return None;
        }
        (None, Some(key)) => {
            key.refuse(section.found(), "has no tls_cert_file beside it", "write tls_cert_file = \"…\"");
            return None;
        }
        (None, None) => return None,
    };
    match certificate::from_pem(&cert.value, &key.value, Guard::Owner) {
        Ok(identity) => {
            let ends = identity.ends.rfc3339();
            let said = match identity.standing(around.now) {
                Standing::Good | Standing::NotYet => None,
                Standing::EndsSoon => Some(format!("ends on {ends}")),
                Standing::Ended => Some(format!("ended on {ends}; clients will refuse it")),
            };
            if let Some(what) = said {
                cert.report(section.found(), Weight::Warning, what, "renew the listener's certificate");
            }
            Some(Tls { chain: identity.chain, key: identity.key })
        }
        Err((of_key, trouble)) => {
            let entry = if of_key { &key } else { &cert };
            entry.refuse(section.found(), trouble.what, trouble.help);
            None
        }
    }
}
