//! The display's thread against a pseudo-terminal that plays the display.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::sync::mpsc;

use super::*;
use crate::input::{Device, DeviceKind, Input};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The far side of the display's cable, and the near side's name.
fn cable() -> (OwnedFd, PathBuf) {
    let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&far).unwrap();
    unlockpt(&far).unwrap();
    let near = ptsname(&far, Vec::new()).unwrap().into_string().unwrap();
    (far, near.into())
}

/// Reads until what came ends with `end`.
fn read_to(far: &OwnedFd, end: &[u8]) -> Vec<u8> {
    let (mut seen, until) = (Vec::new(), Instant::now() + PATIENCE);
    while !seen.ends_with(end) {
        assert!(Instant::now() < until, "{:?} came", String::from_utf8_lossy(&seen));
        let mut fds = [PollFd::new(far, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 })).unwrap();
        if fds[0].revents().contains(PollFlags::IN) {
            let mut bytes = [0; 256];
            let got = rustix::io::read(far.as_fd(), &mut bytes).unwrap();
            seen.extend_from_slice(&bytes[..got]);
        }
    }
    seen
}

fn settings(path: &Path) -> Settings {
    let ms = Duration::from_millis;
    Settings {
        kind: Kind::Led8,
        path: Some(path.to_owned()),
        paid_for: ms(30),
        refused_for: ms(30),
        absent: ms(10),
        watch: ms(10),
        ..Settings::default()
    }
}

fn reported(inputs: &mut mpsc::Receiver<Input>) -> Device {
    match inputs.blocking_recv().unwrap() {
        Input::Device(device) => device,
        other => panic!("{other:?}"),
    }
}

fn sum() -> Amount {
    "12.50".parse().unwrap()
}

#[test]
fn a_sale_is_shown_from_the_total_to_nothing() {
    let (far, near) = cable();
    let (inbox, mut inputs) = mpsc::channel(16);
    let display = Display::start(settings(&near), inbox).unwrap();
    let device = reported(&mut inputs);
    assert_eq!((device.kind, device.ready, device.trouble.as_str()), (DeviceKind::Display, true, ""));
    assert_eq!(read_to(&far, b"s0"), b"\x1B@\x0C\x1Bs0");
    display.show(Scene::Total(sum()));
    assert_eq!(read_to(&far, b"\r"), b"\x0C\x1Bs2\x1BQA12.50\r");
    display.show(Scene::Again(sum()));
    // A code that did not pay: the total comes back by itself.
    assert_eq!(read_to(&far, b"12.50\r"), b"\x0C\x1Bs0\x1BQA--------\r\x0C\x1Bs2\x1BQA12.50\r");
    display.show(Scene::Paid(sum()));
    assert_eq!(read_to(&far, b"s0"), b"\x0C\x1Bs3\x1BQA12.50\r\x0C\x1Bs0");
    display.show(Scene::Total(sum()));
    read_to(&far, b"\r");
    // The end of the program clears it.
    drop(display);
    assert_eq!(read_to(&far, b"s0"), b"\x0C\x1Bs0");
}

#[test]
fn a_display_that_comes_late_or_back_shows_what_is_to_be_shown_now() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("display");
    let (inbox, mut inputs) = mpsc::channel(16);
    let display = Display::start(settings(&link), inbox).unwrap();
    let absent = reported(&mut inputs);
    assert!(!absent.ready && absent.trouble.contains("display is not there"), "{}", absent.trouble);
    display.show(Scene::Total(sum()));
    for _ in 0..3 {
        let (far, near) = cable();
        std::os::unix::fs::symlink(&near, &link).unwrap();
        assert!(reported(&mut inputs).ready);
        assert_eq!(read_to(&far, b"\r"), b"\x1B@\x0C\x1Bs2\x1BQA12.50\r");
        // Unplugged while nothing is written to it.
        std::fs::remove_file(&link).unwrap();
        drop(far);
        let gone = reported(&mut inputs);
        assert!(!gone.ready && gone.trouble.contains("客显"), "{}", gone.trouble);
    }
}

#[test]
fn a_display_that_takes_nothing_holds_up_nobody() {
    let (_far, near) = cable();
    let (inbox, mut inputs) = mpsc::channel(16);
    let display = Display::start(settings(&near), inbox).unwrap();
    assert!(reported(&mut inputs).ready);
    // Far more than the terminal's buffer; nobody reads it.
    let begun = Instant::now();
    for _ in 0..100_000 {
        display.show(Scene::Total(sum()));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_display_that_goes_at_the_end_is_not_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("display");
    let (far, near) = cable();
    std::os::unix::fs::symlink(near, &link).unwrap();
    let (inbox, mut inputs) = mpsc::channel(16);
    let display = Display::start(settings(&link), inbox).unwrap();
    assert!(reported(&mut inputs).ready);
    // The thread is in the middle of these when the display goes.
    for _ in 0..100_000 {
        display.show(Scene::Total(sum()));
    }
    let (other, name) = cable();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(name, &link).unwrap();
    drop(display);
    drop(far);
    // Until the thread has ended and nobody can send any more.
    while inputs.blocking_recv().is_some() {}
    let mut fds = [PollFd::new(&other, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap();
    assert!(!fds[0].revents().contains(PollFlags::IN), "another's device was written to");
}

#[test]
fn what_cannot_work_is_named() {
    let (_far, near) = cable();
    assert_eq!(settings(&near).check(), Ok(()));
    assert_eq!(Settings::default().check(), Ok(()));
    let check = |change: fn(&mut Settings)| {
        let mut settings = settings(&near);
        change(&mut settings);
        settings.check().unwrap_err()
    };
    assert!(check(|settings| settings.path = None).starts_with("display has no path\nhelp: "));
    assert!(check(|settings| settings.dialect = Some(Dialect::Epson)).contains("\nhelp: "));
    let vfd = |settings: &mut Settings| {
        (settings.kind, settings.dialect) = (Kind::Vfd, Some(Dialect::Binary));
    };
    assert!(check(vfd).contains("cd5220 or epson for vfd"));
}
