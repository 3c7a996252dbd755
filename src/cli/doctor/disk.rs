//! The disk and the journal on it. Reads only.

use rustix::fs::{Access, StatVfs, access, statvfs};

use super::Finding;
use crate::journal::{self, Settings};

/// Told when less than a tenth of the blocks or of the inodes is left.
const LEFT_MIN: f64 = 0.1;

pub fn look(settings: &Settings) -> Vec<Finding> {
    let dir = settings.dir.display().to_string();
    if !settings.dir.exists() {
        let help = "start the service once, it makes the directory; or correct terminal.state_dir";
        return vec![Finding::look("disk", format!("{dir} is not there yet"), help)];
    }
    let mut findings = Vec::new();
    findings.push(match statvfs(&settings.dir) {
        Ok(about) => room(&dir, &about),
        Err(error) => Finding::bad("disk", format!("{dir}: {error}"), "look at the disk: dmesg"),
    });
    if access(&settings.dir, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let what = format!("{dir} cannot be written by this user");
        findings.push(Finding::look(
            "disk",
            what,
            "run this as the daemon's user: sudo -u micropayd micropayd doctor",
        ));
    }
    findings.push(match journal::read_only(settings) {
        Ok(records) => match records.newest() {
            Ok(newest) => Finding::good("journal", format!("can be read, {newest} steps")),
            Err(error) => {
                let (what, help) = advice(&error, "stop the service and copy the directory away first");
                Finding::bad("journal", what, help)
            }
        },
        Err(error) => {
            let (what, help) = advice(&error, "start the service once, it makes it");
            Finding::look("journal", what, help)
        }
    });
    findings
}

/// What went wrong, and the error's own advice or else `help`.
fn advice(error: &impl ToString, help: &str) -> (String, String) {
    let text = error.to_string();
    let (what, help) = text.split_once("\nhelp: ").unwrap_or((&text, help));
    (what.to_owned(), help.to_owned())
}

fn room(dir: &str, about: &StatVfs) -> Finding {
    #[allow(clippy::cast_precision_loss, reason = "a share of a disk needs no more than 52 bits")]
    let share = |left: u64, all: u64| if all == 0 { 1.0 } else { left as f64 / all as f64 };
    let blocks = share(about.f_bavail, about.f_blocks);
    // Some file systems (btrfs) count no inodes and say 0 of 0.
    let inodes = share(about.f_favail, about.f_files);
    let left = about.f_bavail.saturating_mul(about.f_frsize) / (1024 * 1024);
    let what = format!("{left} MiB are left under {dir}");
    let help = "free some space; sales are refused when nothing can be kept";
    if blocks < LEFT_MIN {
        Finding::bad("disk", format!("{what}, less than a tenth"), help)
    } else if inodes < LEFT_MIN {
        Finding::bad("disk", format!("less than a tenth of the inodes are left under {dir}"), help)
    } else {
        Finding::good("disk", what)
    }
}
