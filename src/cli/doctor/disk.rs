//! The disk and the journal on it. Reads only.

use rustix::fs::{Access, access};

use super::Finding;
use crate::journal::{self, Room, Settings};

pub fn look(settings: &Settings) -> Vec<Finding> {
    let dir = settings.dir.display().to_string();
    if !settings.dir.exists() {
        let help = "start the service once, it makes the directory; or correct terminal.state_dir";
        return vec![Finding::look("disk", format!("{dir} is not there yet"), help)];
    }
    let mut findings = Vec::new();
    findings.push(match Room::of(&settings.dir) {
        Ok(left) => room(&dir, left),
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

fn room(dir: &str, room: Room) -> Finding {
    let what = format!("{} MiB are left under {dir}", room.left >> 20);
    let help = "free some space; sales are refused when nothing can be kept";
    if room.short_of_blocks {
        Finding::bad("disk", format!("{what}, less than a tenth"), help)
    } else if room.short_of_inodes {
        Finding::bad("disk", format!("less than a tenth of the inodes are left under {dir}"), help)
    } else {
        Finding::good("disk", what)
    }
}
