//! Speaks to the running daemon, over its Unix socket or its address. Never sends a request twice by itself.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::api::problem::Problem;
use crate::api::view::Money;
use crate::cli::{Context, Failure};
use crate::config;

/// The socket of the service when the environment names no other.
const SOCKET: &str = "/run/micropayd/api.sock";

/// What a request over the socket says of its host.
const OVER_SOCKET: &str = "http://micropayd";

/// The daemon answers at once, or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Longer than the daemon itself waits for its loop (10 s).
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Where the daemon is, for every command that asks it.
#[derive(clap::Args, Debug, Clone)]
pub struct Where {
    /// The daemon's API: a socket's path or an address like http://127.0.0.1:7780
    ///
    /// By default the socket of the service, then the address in the configuration.
    #[arg(long, env = "MICROPAYD_API", value_name = "SOCKET|URL")]
    api: Option<String>,
    /// A file with the token that the daemon wants beyond this machine
    #[arg(long, env = "MICROPAYD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) that are trusted beside the system's, for a daemon with a certificate of its own
    #[arg(long, env = "MICROPAYD_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// A way to the daemon.
pub struct Client {
    http: reqwest::Client,
    base: String,
    shown: String,
    token: Option<Zeroizing<String>>,
}

/// What came of a request that got no good answer.
#[derive(Debug)]
pub enum Trouble {
    /// The daemon is not there; nothing was sent.
    Unreachable(String),
    /// The request may have arrived.
    Lost(String),
    /// The daemon refused.
    Refused(Box<Problem>),
}

impl Trouble {
    /// As the program's error; `Lost` and money that may be on its way are *not known*.
    pub fn into_error(self) -> anyhow::Error {
        match self {
            Trouble::Unreachable(text) => Failure::Unreachable(text).into(),
            Trouble::Lost(text) => Failure::NotKnown(text).into(),
            Trouble::Refused(problem) => {
                let text = format!("{}\nhelp: {}", problem.detail, problem.help);
                match problem.money {
                    Money::Possible | Money::Taken => Failure::NotKnown(text).into(),
                    Money::None | Money::Returned => Failure::Refused(text).into(),
                }
            }
        }
    }
}

impl Where {
    /// Whether no daemon was named.
    pub fn is_default(&self) -> bool {
        self.api.is_none()
    }

    /// Finds the way. Nothing is sent yet.
    pub fn client(&self, context: &Context) -> anyhow::Result<Client> {
        let place = self.place(context);
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_WITHIN)
            .http1_only();
        let (builder, base) = match &place {
            Place::Socket(path) => (builder.unix_socket(path.as_path()), OVER_SOCKET.to_owned()),
            Place::Address(url) => (builder, url.trim_end_matches('/').to_owned()),
        };
        // Without TLS there is no need for the system's roots, which a small machine may not have.
        let builder = if !base.starts_with("https:") {
            builder.tls_certs_only(std::iter::empty())
        } else {
            builder.tls_certs_merge(self.roots()?)
        };
        let token = match &self.token_file {
            None => None,
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))?;
                Some(Zeroizing::new(text.trim().to_owned()))
            }
        };
        if token.is_some() && !is_private(&base) {
            let text = "token would be sent in the clear\nhelp: name the daemon as https://";
            return Err(Failure::Usage(text.to_owned()).into());
        }
        let shown = match place {
            Place::Socket(path) => path.display().to_string(),
            Place::Address(url) => url,
        };
        Ok(Client { http: builder.build()?, base, shown, token })
    }

    fn roots(&self) -> anyhow::Result<Vec<reqwest::Certificate>> {
        let Some(file) = &self.ca_file else { return Ok(Vec::new()) };
        let wrong = |what: String| Failure::Usage(format!("{} {what}", file.display()));
        let pem = std::fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| wrong(format!("is not PEM: {error}")))?;
        Ok(roots)
    }

    fn place(&self, context: &Context) -> Place {
        if let Some(named) = &self.api {
            let path = named.strip_prefix("unix:").unwrap_or(named);
            return if path.starts_with('/') || path.starts_with('.') {
                Place::Socket(PathBuf::from(path))
            } else if named.contains("://") {
                Place::Address(named.clone())
            } else {
                Place::Address(format!("http://{named}"))
            };
        }
        if let Some(listen) = context.config.as_deref().and_then(config::listen_of) {
            return Place::Address(format!("http://{listen}"));
        }
        let of_service = config::Surroundings::of_process().runtime_directory;
        let sockets = of_service.map(|dir| dir.join("api.sock")).into_iter().chain([PathBuf::from(SOCKET)]);
        for socket in sockets {
            if socket.exists() {
                return Place::Socket(socket);
            }
        }
        let listen = config::listen_of(Path::new(config::DEFAULT_PATH)).unwrap_or(config::LISTEN);
        Place::Address(format!("http://{listen}"))
    }
}

/// Whether nobody on the way can read along: TLS, this machine, or the socket.
fn is_private(base: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || loopback || base == OVER_SOCKET
}

enum Place {
    Socket(PathBuf),
    Address(String),
}

impl Client {
    /// Asks for something.
    pub async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.answer(self.http.get(format!("{}{path}", self.base)).timeout(ANSWER_WITHIN)).await
    }

    /// Asks for something to be done.
    pub async fn post(&self, path: &str, body: Option<&Value>, key: Option<&str>) -> Result<Value, Trouble> {
        let mut request = self.http.post(format!("{}{path}", self.base)).timeout(ANSWER_WITHIN);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        self.answer(request).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Value, Trouble> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.as_str()),
            None => request,
        };
        let answer = request.send().await.map_err(|error| self.trouble(&error))?;
        let good = answer.status().is_success();
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.trouble(&error))?;
        if good {
            return serde_json::from_slice(&body).map_err(|error| {
                Trouble::Lost(format!(
                    "daemon at {} gave an answer that is not understood: {error}",
                    self.shown
                ))
            });
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Trouble::Refused(Box::new(problem))),
            Err(_) => Err(Trouble::Lost(format!(
                "{} answered {status} and not as micropayd does\nhelp: name the daemon with --api",
                self.shown
            ))),
        }
    }

    fn trouble(&self, error: &reqwest::Error) -> Trouble {
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        if error.is_connect() {
            let refused =
                cause.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == ErrorKind::PermissionDenied);
            let help = if refused {
                "join the group micropayd and log in again: sudo usermod -aG micropayd NAME"
            } else {
                "start it with: systemctl start micropayd; or name another with --api"
            };
            Trouble::Unreachable(format!("daemon is not reachable at {}: {cause}\nhelp: {help}", self.shown))
        } else {
            Trouble::Lost(format!("daemon at {} did not finish its answer: {cause}", self.shown))
        }
    }
}

/// Reads an answer into its type.
pub fn typed<T: DeserializeOwned>(value: &Value) -> anyhow::Result<T> {
    use anyhow::Context as _;
    serde_json::from_value(value.clone())
        .context("answer is not understood\nhelp: use the micropayd program that belongs to the daemon")
}

/// `text` as one segment of a path or one value of a query.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_only_where_nobody_reads_along() {
        for private in [
            OVER_SOCKET,
            "https://till.example",
            "http://127.0.0.1:7780",
            "http://localhost",
            "http://[::1]:1",
        ] {
            assert!(is_private(private), "{private}");
        }
        for public in ["http://10.0.0.7:7780", "http://localhost.example", "http://127.0.0.1.example", "till"]
        {
            assert!(!is_private(public), "{public}");
        }
    }

    #[test]
    fn what_people_type_is_one_segment_of_a_path() {
        assert_eq!(escaped("T01-a/../b?c"), "T01-a%2F..%2Fb%3Fc");
        assert_eq!(escaped("单"), "%E5%8D%95");
    }
}
