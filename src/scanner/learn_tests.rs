//! Learning over a machine that is a folder, whose only serial device is a pseudo-terminal.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::*;

const CODE: &str = "134567890123458406";

/// A machine with one serial scanner in it, and the scanner's side of the cable.
fn machine(node: &str) -> (tempfile::TempDir, std::os::fd::OwnedFd) {
    let dir = tempfile::tempdir().unwrap();
    let usb = dir.path().join("sys/devices/usb1/1-1");
    fs::create_dir_all(usb.join("1-1:1.0")).unwrap();
    for (name, content) in [("idVendor", "1eab"), ("idProduct", "0c06"), ("serial", "AB12")] {
        fs::write(usb.join(name), content).unwrap();
    }
    let class = dir.path().join("sys/class/tty").join(node);
    fs::create_dir_all(&class).unwrap();
    symlink(usb.join("1-1:1.0"), class.join("device")).unwrap();
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let pts = ptsname(&master, Vec::new()).unwrap();
    fs::create_dir_all(dir.path().join("dev")).unwrap();
    symlink(std::ffi::OsStr::from_bytes(pts.as_bytes()), dir.path().join("dev").join(node)).unwrap();
    (dir, master)
}

/// Learns while the scanner sends each text, a moment apart.
async fn learned(node: &str, texts: &[&[u8]]) -> (io::Result<Learned>, Vec<String>) {
    let (dir, master) = machine(node);
    let mut said = Vec::new();
    let scans = async {
        for text in texts {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            rustix::io::write(&master, text).unwrap();
        }
        std::future::pending::<()>().await;
    };
    let learning = learn(dir.path(), Duration::from_secs(5), |line| said.push(line));
    let result = tokio::select! { result = learning => result, () = scans => unreachable!() };
    (result, said)
}

#[tokio::test]
async fn the_device_that_answers_is_the_scanner() {
    let (learned, said) = learned("ttyACM0", &[b"134567890123458406\r\n"]).await;
    let learned = learned.unwrap();
    assert_eq!(
        learned.lines(),
        "[[scanner]]\nkind = \"serial\"\npath = \"usb:1eab:0c06:AB12\"\nbaud = 9600\nend = \"crlf\"\n"
    );
    assert!(learned.seen.starts_with("code …8406: 18 characters in "), "{}", learned.seen);
    assert!(!format!("{learned:?}{said:?}").contains(CODE));
}

#[tokio::test]
async fn a_product_without_an_end_shows_how_codes_end() {
    let (learned, _) = learned("ttyACM0", &[b"6901234567892"]).await;
    assert!(learned.unwrap().lines().ends_with("end = \"idle\"\n"));
}

#[tokio::test]
async fn another_speed_is_tried_when_it_cannot_be_read() {
    let (learned, said) = learned("ttyUSB0", &[b"\xff\x80\xfe\x81\xa3\xff\r", b"6901234567892\r"]).await;
    assert!(learned.unwrap().lines().contains("baud = 115200\n"));
    assert!(said.iter().any(|line| line.contains("scan once more")), "{said:?}");
}

#[tokio::test]
async fn with_nothing_to_watch_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = learn(dir.path(), Duration::from_secs(5), |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
