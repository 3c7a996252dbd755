//! The line to the gateway, one layer after the other, so that the fault is named by the first that fails; and the clock.

use std::time::{Duration, Instant};

use jiff::fmt::rfc2822;
use reqwest::header::DATE;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Finding;
use crate::config::Wechat;

/// A resolver that is silent asks its second server after 5 s (resolv.conf(5)).
const LOOKUP_WITHIN: Duration = Duration::from_secs(6);

/// TLS works with a clock that is days off; order numbers, receipts and reports are wrong sooner.
const CLOCK_OFF: i64 = 60;

/// Looks at every access point, and compares the clock with the first that answers.
pub async fn look(wechat: &Wechat) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut theirs = None;
    for url in &wechat.base_urls {
        let (finding, date) = access_point(wechat, url).await;
        findings.push(finding);
        theirs = theirs.or(date);
    }
    findings.push(clock(jiff::Timestamp::now(), theirs));
    findings
}

async fn access_point(wechat: &Wechat, base: &str) -> (Finding, Option<jiff::Timestamp>) {
    let Ok(url) = reqwest::Url::parse(base) else {
        return (Finding::bad(base, "is not an address", "correct wechat.base_urls"), None);
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let bad = |what: String, help: &str| (Finding::bad(&host, what, help), None);

    let found = match timeout(LOOKUP_WITHIN, lookup_host((host.as_str(), port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let help = "check the cable and the router, then /etc/resolv.conf; try: getent hosts";
            return bad(format!("has no address: {error}"), help);
        }
        Err(_) => {
            return bad("name server does not answer".to_owned(), "check /etc/resolv.conf and the router");
        }
    };
    let mut refused = String::new();
    let begun = Instant::now();
    let mut reached = None;
    for address in &found {
        match timeout(wechat.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                reached = Some(address);
                break;
            }
            Ok(Err(error)) => refused = format!("{address}: {error}"),
            Err(_) => refused = format!("{address}: no answer in {:?}", wechat.connect_timeout),
        }
    }
    let Some(address) = reached else {
        return bad(
            format!("cannot be connected to: {refused}"),
            "check the line; let port 443 out through the firewall",
        );
    };
    let connected = begun.elapsed();

    let begun = Instant::now();
    let answer = match client(wechat) {
        Ok(client) => client.get(url).timeout(wechat.request_timeout).send().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(answer) => {
            let date = answer.headers().get(DATE).and_then(|value| value.to_str().ok());
            let date = date.and_then(|text| rfc2822::parse(text).ok()).map(|zoned| zoned.timestamp());
            let what = format!(
                "answers at {}: connected in {} ms, answered in {} ms",
                address.ip(),
                connected.as_millis(),
                begun.elapsed().as_millis()
            );
            (Finding::good(&host, what), date)
        }
        Err(error) if error.is_connect() => {
            let help =
                "set the clock; install ca-certificates; no proxy may open the line up (else wechat.ca_file)";
            bad(format!("TLS failed: {}", deepest(&error)), help)
        }
        Err(error) => {
            bad(format!("does not answer: {}", deepest(&error)), "try again; look at wechat.request_timeout")
        }
    }
}

fn client(wechat: &Wechat) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(wechat.connect_timeout);
    if !wechat.roots.is_empty() {
        let roots = wechat.roots.iter().map(|root| reqwest::Certificate::from_der(root));
        builder = builder.tls_certs_merge(roots.collect::<Result<Vec<_>, _>>()?);
    }
    if wechat.base_urls.iter().all(|url| url.starts_with("http://")) {
        // Without TLS there is no need for the system's roots, which a test machine may not have.
        builder = builder.tls_certs_only(std::iter::empty());
    }
    builder.build()
}

fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn clock(ours: jiff::Timestamp, theirs: Option<jiff::Timestamp>) -> Finding {
    let help = "set the clock: timedatectl set-ntp true";
    let Some(theirs) = theirs else {
        return Finding::look(
            "clock",
            "could not be compared: no access point answered",
            "put the line right first",
        );
    };
    let off = ours.as_second() - theirs.as_second();
    match off {
        _ if off.abs() <= CLOCK_OFF => Finding::good("clock", "agrees with the gateway's"),
        _ if off > 0 => Finding::bad("clock", format!("is {off} s ahead of the gateway's"), help),
        _ => Finding::bad("clock", format!("is {} s behind the gateway's", -off), help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Health;

    #[test]
    fn the_gateways_date_is_read_and_a_wrong_clock_is_told() {
        let theirs = rfc2822::parse("Sat, 21 Nov 2026 11:38:41 GMT").unwrap().timestamp();
        assert_eq!(clock(theirs, Some(theirs)).health, Health::Good);
        let behind = jiff::Timestamp::from_second(theirs.as_second() - 3600).unwrap();
        assert_eq!(clock(behind, Some(theirs)).what, "is 3600 s behind the gateway's");
        assert_eq!(clock(theirs, Some(behind)).what, "is 3600 s ahead of the gateway's");
        assert_eq!(clock(theirs, None).health, Health::Look);
    }
}
