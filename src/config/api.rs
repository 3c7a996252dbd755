//! `[api]`: where the console and the API listen; beyond loopback only with TLS and tokens.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::Surroundings;
use super::certificate::{self, Identity, Standing};
use super::problem::Weight;
use super::secret_file::Guard;
use super::section::{Entry, Section};

/// Where the API listens when nothing else is said.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);

/// The fewest characters of a token: what 96 random bits have in base 64.
const TOKEN_MIN: usize = 16;

/// `[api]`.
#[derive(Clone, Debug)]
pub struct Api {
    /// The address.
    pub listen: SocketAddr,
    /// The Unix socket as well: `$RUNTIME_DIRECTORY/api.sock`.
    pub socket: Option<PathBuf>,
    /// The listener's certificate; always there beyond loopback.
    pub tls: Option<Identity>,
    /// What callers must show; never empty beyond loopback.
    pub tokens: Tokens,
}

/// Tokens, wiped when dropped and never printed.
#[derive(Clone, Default)]
pub struct Tokens(pub Vec<Zeroizing<String>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

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

pub fn read(section: Section<'_>, around: &Surroundings) -> Option<Api> {
    let listen = listen(&section);
    let tokens = tokens(&section);
    let tls = tls(&section, around);
    if let Some(entry) = &listen
        && !entry.value.ip().to_canonical().is_loopback()
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
        if section.has("tokens") && tokens.0.is_empty() {
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
    usable.then(|| Api {
        listen: listen.map_or(LISTEN, |entry| entry.value),
        socket: around.runtime_directory.as_ref().map(|dir| dir.join("api.sock")),
        tls,
        tokens,
    })
}

fn tokens(section: &Section<'_>) -> Tokens {
    let Some(written) = section.texts("tokens") else { return Tokens::default() };
    let spot = written.with(());
    let mut tokens = Tokens::default();
    for (index, entry) in written.value.into_iter().enumerate() {
        let token = Zeroizing::new(entry.value.clone());
        let usable = token.len() >= TOKEN_MIN && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !usable {
            let what = format!(
                "number {} is not usable, expected at least {TOKEN_MIN} letters, digits and signs without spaces",
                index + 1
            );
            entry.refuse(section.found(), what, "make one with: openssl rand -hex 24");
        }
        tokens.0.push(token);
    }
    // Whoever reads a token can take payments; the file that holds it is a key file.
    let mode = std::fs::metadata(&spot.spot.file).map_or(0, |about| about.permissions().mode() & 0o777);
    if !tokens.0.is_empty() && mode & 0o007 != 0 {
        let shown = spot.spot.file.display();
        let what = format!("are in a file that anybody can read (mode {mode:04o})");
        spot.refuse(section.found(), what, format!("run: chmod o= {shown}"));
    }
    tokens
}

fn tls(section: &Section<'_>, around: &Surroundings) -> Option<Identity> {
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
            Some(identity)
        }
        Err((of_key, trouble)) => {
            let entry = if of_key { &key } else { &cert };
            entry.refuse(section.found(), trouble.what, trouble.help);
            None
        }
    }
}
