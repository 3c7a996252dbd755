//! `[wechat]`: who the merchant is, which keys it signs with, and where the gateway is.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::Surroundings;
use super::certificate::{self, Identity, Standing};
use super::problem::Weight;
use super::secret_file::{self, Guard, Trouble};
use super::section::{Entry, Section, written};
use crate::gateway::http;
use crate::gateway::wechat::{self, Secret, SecretError, SignType};

/// The name of the systemd credential with the API key.
pub const KEY_CREDENTIAL: &str = "wechat-api-key";

/// WeChat's hosts: the nearest access point, and the other one (WeChat Pay documents, page on domains).
pub const BASE_URLS: [&str; 2] = ["https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com"];

/// DNS, TCP and TLS together. WeChat's own SDK waits 6 s to connect; 3 s leave time for the second host.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A whole call. WeChat's own SDK reads for 8 s, the example in its README for 10 s.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// `[wechat]`.
#[derive(Debug)]
pub struct Wechat {
    /// Who the merchant is and how it signs.
    pub merchant: wechat::Settings,
    /// What the gateway wants to see for reversals and refunds.
    pub identity: Option<Identity>,
    /// Where the gateway is, without a slash at the end; asked in this order.
    pub base_urls: Vec<String>,
    /// Trusted beside the system's roots.
    pub roots: Vec<CertificateDer<'static>>,
    /// DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// A whole call to one host.
    pub request_timeout: Duration,
    bench: bool,
}

impl Wechat {
    /// Whether every gateway address is a loopback address.
    pub fn is_bench(&self) -> bool {
        self.bench
    }

    /// The longest that one call can be under way: every host until its time-out.
    pub fn longest_call(&self) -> Duration {
        self.request_timeout * u32::try_from(self.base_urls.len()).unwrap_or(u32::MAX)
    }
}

/// `device`: the terminal's name in the merchant's bills.
pub fn read(section: Section<'_>, around: &Surroundings, device: Option<String>) -> Option<Wechat> {
    let app_id = name(&section, "app_id", "wx8888888888888888");
    let mch_id = name(&section, "mch_id", "1900000109");
    section.missing("app_id", "write app_id = \"wx…\", as the merchant platform shows it");
    section.missing("mch_id", "write mch_id = \"…\", the merchant number");
    let sub_app_id = name(&section, "sub_app_id", "wx8888888888888888").map(|entry| entry.value);
    let sub_mch_id = name(&section, "sub_mch_id", "1900000109").map(|entry| entry.value);
    if section.has("sub_app_id") {
        section.missing(
            "sub_mch_id",
            "write sub_mch_id, or remove sub_app_id: it belongs to service-provider mode",
        );
    }
    let sign_type =
        section.choice("sign_type", &[("HMAC-SHA256", SignType::HmacSha256), ("MD5", SignType::Md5)]);

    let addresses = addresses(&section);
    let bench = !addresses.is_empty() && addresses.iter().all(|address| address.loopback);
    let plain = !addresses.is_empty() && addresses.iter().all(|address| !address.tls);
    let api_key = api_key(&section, around);
    let identity = identity(&section, mch_id.as_ref(), plain, around);
    let roots = section.path("ca_file").map(|file| match certificate::roots(&file.value) {
        Ok(roots) => roots,
        Err(trouble) => {
            refuse(&section, &file, trouble);
            Vec::new()
        }
    });

    let connect = section.duration("connect_timeout");
    let request = section.duration("request_timeout");
    let connect_timeout = connect.as_ref().map_or(CONNECT_TIMEOUT, |entry| entry.value);
    let request_timeout = request.as_ref().map_or(REQUEST_TIMEOUT, |entry| entry.value);
    if connect_timeout >= request_timeout
        && let Some(entry) = connect.as_ref().or(request.as_ref())
    {
        let what = format!(
            "contradicts the other: connect_timeout is {}, request_timeout is {}, expected connect_timeout < request_timeout",
            written(connect_timeout),
            written(request_timeout)
        );
        let help = "give the connection a part of the whole call, like 3s of 10s";
        entry.refuse(section.found(), what, help);
    }
    if let Some(entry) = request.filter(|entry| entry.value > Duration::from_secs(60)) {
        entry.refuse(
            section.found(),
            format!("is {}, expected at most 60s", written(entry.value)),
            "write request_timeout = \"10s\"; a cashier waits for it",
        );
    }
    section.finish();
    Some(Wechat {
        merchant: wechat::Settings {
            app_id: app_id?.value,
            mch_id: mch_id?.value,
            sub_app_id,
            sub_mch_id,
            sign_type: sign_type.map_or(SignType::HmacSha256, |entry| entry.value),
            api_key: api_key?,
            // WeChat takes any address; behind a router the own one would say as little.
            ip: Ipv4Addr::LOCALHOST.into(),
            device,
            has_client_certificate: identity.is_some() || plain,
        },
        identity,
        base_urls: addresses.into_iter().map(|address| address.url).collect(),
        roots: roots.unwrap_or_default(),
        connect_timeout,
        request_timeout,
        bench,
    })
}

/// WeChat's names for apps and merchants: letters, digits, `-` and `_`, at most 32.
fn name(section: &Section<'_>, key: &'static str, example: &str) -> Option<Entry<String>> {
    section.parsed(key, &format!("write {key} = \"{example}\""), |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=32).contains(&text.len()) && text.bytes().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(format!("{text:?} is not usable, expected 1 to 32 letters and digits"))
        }
    })
}

fn refuse(section: &Section<'_>, entry: &Entry<PathBuf>, trouble: Trouble) {
    entry.refuse(section.found(), trouble.what, trouble.help);
}

/// The API key: the systemd credential if there is one, else the file.
fn api_key(section: &Section<'_>, around: &Surroundings) -> Option<Secret> {
    let named = section.path("api_key_file");
    let credential = around.credentials_directory.as_ref().map(|dir| dir.join(KEY_CREDENTIAL));
    let (entry, guard) = match (credential.filter(|path| path.exists()), named) {
        (Some(path), named) => {
            let spot = named.map_or_else(|| section.spot().clone(), |entry| entry.spot);
            (Entry { value: path, name: "wechat credential".to_owned(), spot }, Guard::Anybody)
        }
        (None, Some(entry)) => (entry, Guard::Owner),
        (None, None) => {
            section.missing(
                "api_key_file",
                format!("write api_key_file = \"/etc/micropayd/wechat-api-key\", or give systemd the credential {KEY_CREDENTIAL}"),
            );
            return None;
        }
    };
    let bytes = match secret_file::read(&entry.value, guard) {
        Ok(bytes) => bytes,
        Err(trouble) => {
            refuse(section, &entry, trouble);
            return None;
        }
    };
    let shown = entry.value.display();
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let key = &bytes[..end];
    let copy = "copy the key again: merchant platform, 账户中心, API安全, APIv2 密钥";
    match std::str::from_utf8(key).map(Secret::parse) {
        Ok(Ok(secret)) => Some(secret),
        Ok(Err(SecretError::Length { got })) => {
            let what = format!("{shown} has {got} characters, expected the 32 of an APIv2 key");
            entry.refuse(section.found(), what, copy);
            None
        }
        Ok(Err(SecretError::Characters)) | Err(_) => {
            let what = format!("{shown} has something else than letters and digits in it");
            entry.refuse(section.found(), what, copy);
            None
        }
    }
}

fn identity(
    section: &Section<'_>,
    mch_id: Option<&Entry<String>>,
    plain: bool,
    around: &Surroundings,
) -> Option<Identity> {
    let cert = section.path("client_cert_file");
    let key = section.path("client_key_file");
    let p12 = section.path("client_p12_file");
    let (entry, identity) = match (cert, key, p12) {
        (None, None, None) => {
            if !plain && !section.has("client_cert_file") && !section.has("client_p12_file") {
                section.missing(
                    "client_cert_file",
                    "write client_cert_file and client_key_file (or client_p12_file): without them nothing can be reversed",
                );
            }
            return None;
        }
        (Some(cert), Some(key), None) => match certificate::from_pem(&cert.value, &key.value, Guard::Owner) {
            Ok(identity) => (cert, identity),
            Err((of_key, trouble)) => {
                refuse(section, if of_key { &key } else { &cert }, trouble);
                return None;
            }
        },
        (Some(cert), None, None) => {
            cert.refuse(section.found(), "has no client_key_file beside it", "write client_key_file = \"…\"");
            return None;
        }
        (None, Some(key), None) => {
            key.refuse(
                section.found(),
                "has no client_cert_file beside it",
                "write client_cert_file = \"…\"",
            );
            return None;
        }
        (None, None, Some(p12)) => match certificate::from_p12(&p12.value, mch_id.map_or("", |id| &id.value))
        {
            Ok(identity) => (p12, identity),
            Err(trouble) => {
                refuse(section, &p12, trouble);
                return None;
            }
        },
        (_, _, Some(p12)) => {
            let help = "remove client_p12_file, or the other two";
            p12.refuse(section.found(), "is written beside client_cert_file or client_key_file", help);
            return None;
        }
    };
    let ends = identity.ends.rfc3339();
    let renew = "renew it on the merchant platform: 账户中心, API安全, API证书";
    match identity.standing(around.now) {
        Standing::Good => {}
        Standing::EndsSoon => {
            entry.report(section.found(), Weight::Warning, format!("ends on {ends}"), renew)
        }
        Standing::Ended => entry.report(
            section.found(),
            Weight::NoSales,
            format!("ended on {ends}; nothing could be reversed, so no sale is taken"),
            renew,
        ),
        Standing::NotYet => entry.report(
            section.found(),
            Weight::Warning,
            format!("is valid only from {}", identity.begins.rfc3339()),
            "set the clock: timedatectl set-ntp true",
        ),
    }
    Some(identity)
}

/// A gateway address.
struct Address {
    url: String,
    loopback: bool,
    tls: bool,
}

fn addresses(section: &Section<'_>) -> Vec<Address> {
    let Some(written) = section.texts("base_urls") else {
        return BASE_URLS
            .map(|url| Address { url: url.to_owned(), loopback: false, tls: true })
            .into_iter()
            .collect();
    };
    if written.value.is_empty() {
        let help = format!("write base_urls = {BASE_URLS:?}");
        written.refuse(section.found(), "is empty, expected at least one address", help);
    }
    let mut addresses = Vec::new();
    for entry in written.value {
        match address(&entry.value) {
            Ok(address) => addresses.push(address),
            Err((what, help)) => entry.refuse(section.found(), format!("{:?} {what}", entry.value), help),
        }
    }
    addresses
}

fn address(text: &str) -> Result<Address, (&'static str, &'static str)> {
    let example = "write \"https://api.mch.weixin.qq.com\"";
    let trimmed = text.trim_end_matches('/');
    let url = reqwest::Url::parse(trimmed)
        .map_err(|_| ("is not an address, expected a form like \"https://host\"", example))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(("is not an address for HTTP, expected https://", example)),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("has a user name in it, expected only scheme and host", example));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(("has a path in it, expected only scheme and host", example));
    }
    // Browsers read `127.1` and `0x7f000001` as addresses; who connects later does not, or reads another one.
    if !url
        .host_str()
        .is_some_and(|host| host.starts_with('[') || trimmed.to_ascii_lowercase().contains(host))
    {
        return Err(("names its host in an unusual way, expected a plain name or address", example));
    }
    let loopback = host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    if !tls && !loopback {
        return Err(("is not encrypted, expected https:// (http:// only for loopback)", "write https://"));
    }
    http::check_url(trimmed)
        .map_err(|_| ("is not an address, expected a form like \"https://host\"", example))?;
    Ok(Address { url: trimmed.to_owned(), loopback, tls })
}
