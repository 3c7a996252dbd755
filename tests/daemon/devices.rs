//! What a sale does at the till besides paper: the customer's display, the cashier's sounds, the drawer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::rig::{PATIENCE, Rig, err};

/// The display's side of a pseudo-terminal, and what the daemon opens.
fn cable() -> (OwnedFd, String) {
    // Not for the daemon, which would hold the far end as well.
    let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&far).unwrap();
    unlockpt(&far).unwrap();
    let near = ptsname(&far, Vec::new()).unwrap().into_string().unwrap();
    (far, near)
}

/// Reads the display's bytes until `end` comes; what came, `end` included.
fn until(far: &mut File, end: &str) -> String {
    let patience = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while !seen.ends_with(end.as_bytes()) {
        let mut byte = [0];
        match far.read_exact(&mut byte) {
            Ok(()) => seen.push(byte[0]),
            // Between two daemons nobody has the near end open.
            Err(error) if error.raw_os_error() == Some(5) && Instant::now() < patience => {
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}: {seen:?}"),
        }
    }
    String::from_utf8(seen).unwrap()
}

/// A pipe that the player of sounds writes a line into.
fn ear(rig: &Rig) -> (PathBuf, Receiver<String>) {
    let path = rig.path("ear");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // Open for writing as well, so that it never ends.
    let pipe = open(&path, OFlags::RDWR, Mode::empty()).unwrap();
    let (send, heard) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(File::from(pipe)).lines() {
            if send.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    (path, heard)
}

fn pulses(rig: &Rig, pulse: &[u8; 5]) -> usize {
    let paper = std::fs::read(rig.path("paper")).unwrap();
    paper.windows(5).filter(|five| five == pulse).count()
}

#[test]
fn a_sale_is_seen_and_heard_and_opens_the_drawer_once() {
    let mut rig = Rig::new();
    let (far, near) = cable();
    let mut far = File::from(far);
    let (ear, heard) = ear(&rig);
    let heard = || heard.recv_timeout(PATIENCE).unwrap();
    rig.configure(
        "[api]\n",
        &format!(
            "drawer = \"pin5\"\n[display]\nkind = \"led8\"\npath = {near:?}\n[sounds]\n\
             command = [\"sh\", \"-c\", \"cat > /dev/null; echo $1 $2 > {}\", \"sh\", \"{{sound}}\", \"{{words}}\"]\n[api]\n",
            ear.display()
        ),
    );
    rig.start();
    assert_eq!(until(&mut far, "s0"), "\x1B@\x0C\x1Bs0");

    // A code that does not pay leaves the drawer shut.
    let poor = rig.run(&["pay", "8.00", "--code", &rig.code("poor", 0.0)]);
    assert_eq!(poor.status.code(), Some(1), "{}", err(&poor));
    until(&mut far, "\x0C\x1Bs0\x1BQA--------\r");
    assert_eq!((heard().as_str(), heard().as_str()), ("scanned", "not_paid 支付未成功"));

    let paid = rig.run(&["pay", "12.50", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    let shown = until(&mut far, "\x0C\x1Bs3\x1BQA12.50\r");
    assert!(!shown.contains("8.00"), "{shown:?}");
    assert_eq!((heard().as_str(), heard().as_str()), ("scanned", "paid 收款十二点五元"));
    let id = rig.json(&["list", "--phase", "paid"])["payments"][0]["id"].as_str().unwrap().to_owned();
    let printed = |rig: &Rig, copies: u32| {
        let until = Instant::now() + PATIENCE;
        loop {
            let receipt = &rig.json(&["show", &id])["receipt"];
            if receipt["copies"] == copies && !matches!(receipt["state"].as_str(), Some("queued" | "sending"))
            {
                return;
            }
            assert!(Instant::now() < until, "{receipt}");
        }
    };
    printed(&rig, 1);
    assert_eq!(pulses(&rig, b"\x1Bp\x01\x19\xFA"), 1);
    assert_eq!(pulses(&rig, b"\x1Bp\x00\x19\xFA"), 0);

    // Neither a copy nor a restart opens it again, and neither is seen or heard.
    assert_eq!(rig.run(&["reprint", &id]).status.code(), Some(0));
    printed(&rig, 2);
    rig.signal(Signal::KILL);
    rig.ended();
    rig.start();
    until(&mut far, "\x1B@\x0C\x1Bs0");
    assert_eq!(rig.run(&["reprint", &id]).status.code(), Some(0));
    printed(&rig, 3);
    assert_eq!(pulses(&rig, b"\x1Bp\x01\x19\xFA"), 1);

    // The next sound and the next scene are those of the next sale.
    let paid = rig.run(&["pay", "0.01", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    assert_eq!((heard().as_str(), heard().as_str()), ("scanned", "paid 收款零点零一元"));
    let shown = until(&mut far, "\x0C\x1Bs3\x1BQA0.01\r");
    assert!(!shown.contains("12.50"), "{shown:?}");
}

#[test]
fn a_display_that_is_unplugged_and_a_player_that_hangs_hold_up_no_payment() {
    let mut rig = Rig::new();
    let (far, near) = cable();
    let link = rig.path("display");
    std::os::unix::fs::symlink(&near, &link).unwrap();
    rig.configure(
        "[api]\n",
        &format!(
            "[display]\nkind = \"vfd\"\npath = {link:?}\n[sounds]\ncommand = [\"sleep\", \"600\"]\n\
             within = \"100ms\"\n[api]\n"
        ),
    );
    rig.start();
    let mut far = File::from(far);
    assert_eq!(until(&mut far, "\x0C"), "\x1B@\x0C");
    let missed = |rig: &Rig| rig.json(&["doctor"]).to_string().contains("display is not there");
    assert!(!missed(&rig));
    std::fs::remove_file(&link).unwrap();
    drop(far);
    let patience = Instant::now() + PATIENCE;
    while !missed(&rig) {
        assert!(Instant::now() < patience, "{}", rig.json(&["doctor"]));
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let paid = rig.run(&["pay", "1", "--code", &rig.code("pay", 0.0)]);
        assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }

    let (far, near) = cable();
    std::os::unix::fs::symlink(&near, &link).unwrap();
    let mut far = File::from(far);
    until(&mut far, "\x1B@\x0C");
    let paid = rig.run(&["pay", "2", "--code", &rig.code("pay", 0.0)]);
    assert_eq!(paid.status.code(), Some(0), "{}", err(&paid));
    until(&mut far, "\x1BQAPAID            2.00\r\x1BQBTHANK YOU           \r");
    assert!(rig.log().contains("sleep did not end within 100ms and was killed"), "{}", rig.log());
}
