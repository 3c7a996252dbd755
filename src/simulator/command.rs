//! `micropayd simulator`: the simulated gateway alone, for whoever wants to try a client on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use super::weather::Rule;
use super::{Settings, Simulator, control};

/// Run the simulated WeChat Pay gateway alone
///
/// Prints one line of JSON when it listens: base_url, app_id, mch_id, api_key, ca_file, client_cert_file, client_key_file.
/// Everything else is asked and set under /_simulator/ on the same address.
#[derive(Debug, Args)]
pub struct SimulatorArgs {
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    pub listen: SocketAddr,
    /// HTTPS, with a client certificate where the real gateway wants one
    #[arg(long)]
    pub tls: bool,
    /// TOML file of what goes wrong: `[[weather]]` api = "micropay", fault = "lost_after", times = 1
    #[arg(long, value_name = "FILE")]
    pub weather: Option<PathBuf>,
    /// The same seed issues the same codes and has the same weather
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What goes wrong, without a file: API=FAULT or API=FAULT*TIMES, API may be `any`; may be given again
    #[arg(long, value_name = "API=FAULT", value_parser = read_fault)]
    pub fault: Vec<Rule>,
    /// List the faults that the weather can have, and exit
    #[arg(long)]
    pub faults: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeatherFile {
    #[serde(default)]
    weather: Vec<Rule>,
}

/// Reads `[[weather]]` tables.
pub fn read_weather(path: &Path) -> anyhow::Result<Vec<Rule>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: WeatherFile =
        toml::from_str(&text).with_context(|| format!("{} is not a weather file", path.display()))?;
    Ok(file.weather)
}

/// Reads `micropay=lost_after*2`.
fn read_fault(text: &str) -> Result<Rule, String> {
    let (api, fault) = text.split_once('=').ok_or("expected API=FAULT, like micropay=lost_after")?;
    let (fault, times) = match fault.split_once('*') {
        Some((fault, times)) => {
            (fault, Some(times.parse::<u32>().map_err(|error| format!("times: {error}"))?))
        }
        None => (fault, None),
    };
    let rule = serde_json::json!({"api": api, "fault": fault, "times": times});
    let rule: Rule = serde_json::from_value(rule).map_err(|error| error.to_string())?;
    rule.complaint().map_or(Ok(rule), Err)
}

/// Listens until the process is interrupted or told to end.
pub async fn run(args: SimulatorArgs) -> anyhow::Result<()> {
    if args.faults {
        print!("{}", control::fault_list());
        return Ok(());
    }
    let mut weather = args.weather.as_deref().map(read_weather).transpose()?.unwrap_or_default();
    weather.extend(args.fault);
    let settings =
        Settings { listen: args.listen, tls: args.tls, weather, seed: args.seed, ..Settings::default() };
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut told_to_end = signal(SignalKind::terminate())?;
    let simulator = Simulator::start(settings).await?;
    println!("{}", serde_json::to_string(&simulator.handshake())?);
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = told_to_end.recv() => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::weather::{Fault, Where};

    #[test]
    fn faults_are_named_on_the_command_line() {
        assert_eq!(read_fault("reverse=recall*3"), Ok(Rule::once(Where::Reverse, Fault::Recall).times(3)));
        assert_eq!(read_fault("any=down"), Ok(Rule::once(Where::Any, Fault::Down)));
        for bad in
            ["down", "micropay=nonsense", "nowhere=down", "micropay=recall", "any=down*0", "any=down*x"]
        {
            assert!(read_fault(bad).is_err(), "{bad}");
        }
    }
}
