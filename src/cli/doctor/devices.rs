//! The devices' nodes: whether they are there and may be opened. Nothing is sent to them, for that could print.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Finding;
use crate::config::Config;
use crate::display;
use crate::printer::{self, Kind};
use crate::scanner::devices;

/// Raw printing (JetDirect), what every network receipt printer listens on.
const PRINTER_PORT: u16 = 9100;

/// A printer in the same room answers in milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

pub async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.scanners.is_empty() {
        let help = "write a [[scanner]] section, or send codes over the API";
        findings.push(Finding::look("scanner", "none is set up", help));
    }
    for scanner in &config.scanners {
        let root = Path::new(devices::ROOT);
        findings.push(match devices::resolve(root, scanner.kind, &scanner.path) {
            Ok(path) => node("scanner", &path),
            Err(error) => {
                let help = devices::hint(root, scanner.kind)
                    .unwrap_or_else(|| "plug it in, or find it with: micropayd scanner learn".to_owned());
                Finding::bad("scanner", format!("{}: {error}", scanner.path), help)
            }
        });
    }
    findings.push(printer(&config.printer).await);
    if config.display.kind != display::Kind::None {
        findings.extend(config.display.path.as_deref().map(|path| node("display", path)));
    }
    findings.extend(config.sounds.command.first().map(|program| player(program)));
    findings
}

async fn printer(settings: &printer::Settings) -> Finding {
    match (settings.kind, &settings.path, &settings.address) {
        (Kind::None, ..) => {
            Finding::look("printer", "none is set up", "receipts stay pending; write [printer]")
        }
        (Kind::Network, _, Some(address)) => network(address).await,
        (Kind::File, Some(path), _) => Finding::good("printer", format!("prints into {}", path.display())),
        (_, Some(path), _) => node("printer", path),
        // The printer's own rules: without a path the first one is taken.
        (_, None, _) => node("printer", Path::new("/dev/usb/lp0")),
    }
}

/// The program that plays sounds: whether it is there.
fn player(program: &str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![program.into()],
        false => std::env::split_paths(&path).map(|folder| folder.join(program)).collect(),
    };
    match places.iter().any(|place| access(place, Access::EXEC_OK).is_ok()) {
        true => Finding::good("sounds", format!("{program} plays; hear it: micropayd sounds test")),
        false => Finding::look(
            "sounds",
            format!("{program} is not there"),
            "install it, or correct sounds.command",
        ),
    }
}

/// A printer on the network: whether it takes a connection. Nothing is sent.
async fn network(address: &str) -> Finding {
    let place = if address.contains(':') { address.to_owned() } else { format!("{address}:{PRINTER_PORT}") };
    match timeout(CONNECT_WITHIN, TcpStream::connect(&place)).await {
        Ok(Ok(_)) => Finding::good("printer", format!("{place} takes connections")),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            let help = "another program may hold it, the daemon too; else switch it off and on";
            Finding::look("printer", format!("{place}: {error}"), help)
        }
        Ok(Err(error)) => {
            Finding::bad("printer", format!("{place}: {error}"), "correct printer.address, look at its cable")
        }
        Err(_) => {
            Finding::bad("printer", format!("{place} does not answer"), "switch it on, look at its cable")
        }
    }
}

/// A device node.
fn node(of: &str, path: &Path) -> Finding {
    let shown = path.display();
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) => {
            let help = format!("plug it in; see what is there: {}", where_to_look(path));
            return Finding::bad(of, format!("{shown}: {error}"), help);
        }
    };
    if !about.file_type().is_char_device() {
        return Finding::bad(of, format!("{shown} is not a device"), format!("correct the path in [{of}]"));
    }
    if access(path, Access::READ_OK | Access::WRITE_OK).is_err() {
        let help = "install 70-micropayd.rules with the device's vendor in it, or run this as: sudo -u micropayd micropayd doctor";
        return Finding::bad(of, format!("{shown} may not be opened by this user"), help);
    }
    Finding::good(of, format!("{shown} is there"))
}

fn where_to_look(path: &Path) -> String {
    // The nearest directory that exists shows what is plugged in.
    let there = path.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("/dev"));
    format!("ls -l {}", there.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Health;

    #[test]
    fn a_node_is_there_or_says_where_to_look() {
        assert_eq!(node("scanner", Path::new("/dev/null")).health, Health::Good);
        let absent = node("scanner", Path::new("/dev/serial/by-id/usb-none"));
        assert_eq!(absent.health, Health::Bad);
        assert!(absent.help.starts_with("plug it in; see what is there: ls -l /dev"), "{}", absent.help);
        assert_eq!(player("sh").health, Health::Good);
        assert_eq!(player("/nonexistent/player").health, Health::Look);
        assert_eq!(node("scanner", Path::new("/etc/hostname")).what, "/etc/hostname is not a device");
    }
}
