//! A serial scanner that is a pseudo-terminal behind a link, as `/dev/serial/by-id` has them.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

use super::*;

const CODE: &str = "134567890123458406";

/// The scanner's side of the cable.
struct Plug {
    master: OwnedFd,
    link: PathBuf,
}

impl Drop for Plug {
    /// The link goes before the device, or it would lead to the next test's pseudo-terminal.
    fn drop(&mut self) {
        std::fs::remove_file(&self.link).unwrap();
    }
}

impl Plug {
    /// Plugs a scanner in: the link leads to it.
    fn into(link: &Path) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(&master, true).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(name.as_bytes()), link).unwrap();
        Self { master, link: link.to_owned() }
    }

    fn sends(&self, bytes: &str) {
        rustix::io::write(&self.master, bytes.as_bytes()).unwrap();
    }
}

struct Bench {
    link: PathBuf,
    inputs: mpsc::Receiver<Input>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("usb-scanner");
        let (inbox, inputs) = mpsc::channel(64);
        let settings = Settings {
            name: "lane".to_owned(),
            path: link.to_str().unwrap().to_owned(),
            ..Settings::default()
        };
        crate::scanner::start(settings, inbox);
        Self { link, inputs, _dir: dir }
    }

    async fn next(&mut self) -> String {
        let input = tokio::time::timeout(Duration::from_secs(3), self.inputs.recv());
        match input.await.expect("an input within 3 s").expect("a task that lives") {
            Input::Scan(Scan::Begun) => "begun".to_owned(),
            Input::Scan(Scan::Code(name, code)) => format!("{name}: {}", code.expose()),
            Input::Scan(Scan::Refused(name, why)) => format!("{name}: {why:?}"),
            Input::Device(device) if device.ready => format!("{} ready", device.name),
            Input::Device(device) => format!("{}: {}", device.name, device.trouble),
            other => panic!("a scanner does not send {other:?}"),
        }
    }
}

const ABSENT: &str = "lane: 扫码枪未连接，请检查连接线。 Scanner is not connected: check its cable.";

#[tokio::test]
async fn a_scanner_comes_and_goes_and_comes_back_as_another_device() {
    let mut bench = Bench::new();
    assert!(bench.next().await.starts_with(ABSENT));
    let first = Plug::into(&bench.link);
    assert_eq!(bench.next().await, "lane ready");
    first.sends(&format!("{CODE}\r\n"));
    assert_eq!(bench.next().await, format!("lane: {CODE}"));
    first.sends("1345678");
    assert_eq!(bench.next().await, "begun");
    drop(first);
    assert!(bench.next().await.starts_with(ABSENT));
    let pulled = now();
    let second = Plug::into(&bench.link);
    assert_eq!(bench.next().await, "lane ready");
    assert!(now() - pulled < Duration::from_secs(2));
    second.sends(&format!("{CODE}\r"));
    assert_eq!(bench.next().await, format!("lane: {CODE}"), "and nothing of the half code");
}

#[tokio::test]
async fn the_first_character_announces_and_the_last_delivers() {
    let mut bench = Bench::new();
    assert!(bench.next().await.starts_with(ABSENT));
    let scanner = Plug::into(&bench.link);
    assert_eq!(bench.next().await, "lane ready");
    for half in [1, 9, 17] {
        let (head, tail) = CODE.split_at(half);
        scanner.sends(head);
        assert_eq!(bench.next().await, "begun");
        scanner.sends(tail);
        scanner.sends("\r");
        assert_eq!(bench.next().await, format!("lane: {CODE}"));
        scanner.sends("\n");
    }
    scanner.sends("690123456789\r\n");
    assert_eq!(bench.next().await, "lane: Length");
    scanner.sends("13456789");
    assert_eq!(bench.next().await, "begun");
    assert_eq!(bench.next().await, "lane: Broken");
}

#[tokio::test]
async fn an_absent_or_babbling_scanner_costs_no_work() {
    let mut bench = Bench::new();
    assert!(bench.next().await.starts_with(ABSENT));
    let work = || {
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
    };
    let before = work();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(work() - before < Duration::from_millis(60), "{:?}", work() - before);
    let scanner = Plug::into(&bench.link);
    assert_eq!(bench.next().await, "lane ready");
    for _ in 0..200 {
        scanner.sends("noise\r");
        tokio::task::yield_now().await;
    }
    let mut refusals = 0;
    while let Ok(Some(input)) = tokio::time::timeout(Duration::from_millis(300), bench.inputs.recv()).await {
        match input {
            Input::Scan(Scan::Refused(_, ScanRefusal::NotDigits)) => refusals += 1,
            Input::Scan(Scan::Begun) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((1..=8).contains(&refusals), "{refusals} of 200 refusals reached the loop");
}

#[tokio::test]
async fn a_scanner_that_another_has_is_reported_and_taken_up_later() {
    let mut bench = Bench::new();
    assert!(bench.next().await.starts_with(ABSENT));
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("the-same");
    let scanner = Plug::into(&link);
    let taken = serial::open_tty(&link, 9600, None).unwrap();
    std::os::unix::fs::symlink(link.read_link().unwrap(), &bench.link).unwrap();
    let sentence = bench.next().await;
    assert!(sentence.contains("其他程序") && sentence.contains("fuser"), "{sentence}");
    drop(taken);
    assert_eq!(bench.next().await, "lane ready");
    scanner.sends(&format!("{CODE}\r"));
    assert_eq!(bench.next().await, format!("lane: {CODE}"));
}

#[tokio::test]
async fn a_scanner_beeps_after_a_code_and_otherwise_after_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("scanner");
    let scanner = Plug::into(&link);
    let (inbox, mut inputs) = mpsc::channel(8);
    let path = link.to_str().unwrap().to_owned();
    let settings = Settings { path, beep: Some(Beep::Datalogic), dtr: Some(true), ..Settings::default() };
    settings.check().unwrap();
    crate::scanner::start(settings, inbox);
    assert!(matches!(inputs.recv().await, Some(Input::Device(Device { ready: true, .. }))));
    for (sent, beep) in [(CODE, b'B'), ("6901234567892", b'F')] {
        scanner.sends(&format!("{sent}\r"));
        assert!(matches!(inputs.recv().await, Some(Input::Scan(_))));
        let mut heard = [0];
        let answer = async {
            while rustix::io::read(&scanner.master, &mut heard).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(1), answer).await.expect("a beep");
        assert_eq!(heard[0], beep);
    }
}

#[tokio::test]
async fn a_scanner_reads_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("scanner");
    let scanner = Plug::into(&link);
    let (inbox, mut inputs) = mpsc::channel(8);
    let path = link.to_str().unwrap().to_owned();
    let settings = Settings { path, trigger: Some(Trigger::Honeywell), ..Settings::default() };
    settings.check().unwrap();
    let (wants, wanted) = watch::channel(false);
    crate::scanner::start_when(settings, inbox, wanted);
    assert!(matches!(inputs.recv().await, Some(Input::Device(Device { ready: true, .. }))));
    for (want, told) in [(false, b"\x16U\r"), (true, b"\x16T\r"), (false, b"\x16U\r")] {
        wants.send(want).unwrap();
        let mut heard = Vec::new();
        let listen = async {
            while heard.len() < told.len() {
                let mut bytes = [0; 8];
                match rustix::io::read(&scanner.master, &mut bytes) {
                    Ok(got) => heard.extend_from_slice(&bytes[..got]),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), listen).await.expect("an order");
        assert_eq!(heard, told);
    }
}

#[tokio::test]
async fn a_device_that_hangs_up_at_once_is_let_go() {
    let (device, other) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    drop(other);
    let source = Source { device, decoder: Box::new(Settings::default().framer()), release: |_| {} };
    let gone = Line::new(source).unwrap().next().await.unwrap_err();
    assert_eq!(Errno::from_io_error(&gone), Some(Errno::NODEV));
}

#[tokio::test]
async fn what_is_no_serial_device_is_named() {
    let mut bench = Bench::new();
    assert!(bench.next().await.starts_with(ABSENT));
    std::fs::write(&bench.link, "").unwrap();
    let sentence = bench.next().await;
    assert!(sentence.contains("is not a device of kind serial"), "{sentence}");
}

#[tokio::test]
async fn the_task_ends_when_nobody_listens() {
    let (inbox, inputs) = mpsc::channel(4);
    let settings = Settings { path: "/nonexistent/scanner".to_owned(), ..Settings::default() };
    let task = tokio::spawn(run(settings, inbox, watch::channel(true).1));
    drop(inputs);
    tokio::time::timeout(Duration::from_secs(2), task).await.expect("an end").unwrap();
}
