//! One task for each scanner: opens it, reads it, reports, and opens it again when it was away. Must never spin on a
//! device that is gone, and never keep bytes that it has passed on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::{Zeroize, Zeroizing};

use super::framing::{Framer, Read};
use super::{Kind, Settings, serial};
use crate::input::{Device, DeviceKind, Inbox, Input, Scan, ScanRefusal};

/// The first and the longest wait before an absent scanner is tried again: one that comes back is ready within the
/// 2 s that a cashier waits before calling somebody.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A connection that lasted this long was one; after a shorter one the waits go on growing.
const LASTED: Duration = Duration::from_secs(2);

/// Refusals that are reported at once, and how soon one more is: a scanner at a wrong speed makes hundreds a second.
const REFUSALS: (u32, Duration) = (5, Duration::from_millis(500));

/// Turns what a device's reads return into frames.
pub trait Decode: Send {
    /// Takes from `input` up to the end of a frame, or all.
    fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Read>;
    /// The framer behind it, for what only time decides.
    fn framer(&mut self) -> &mut Framer;
}

impl Decode for Framer {
    fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Read> {
        Framer::take(self, input, at)
    }

    fn framer(&mut self) -> &mut Framer {
        self
    }
}

/// An open device.
pub struct Source {
    /// Not blocking.
    pub device: OwnedFd,
    /// How to read it.
    pub decoder: Box<dyn Decode>,
    /// What to do before it is closed.
    pub release: fn(BorrowedFd<'_>),
}

/// Reads the scanner for as long as `inbox` is open.
pub async fn run(settings: Settings, inbox: Inbox) {
    let mut report = Report::new(settings.name().to_owned(), inbox);
    let mut wait = TRY_AGAIN.0;
    loop {
        let trouble = match open(&settings) {
            Ok(source) => {
                let since = now();
                if report.device(true, String::new()).await.is_err() {
                    return;
                }
                let gone = match read(source, &mut report).await {
                    Err(Closed) => return,
                    Ok(why) => why,
                };
                if now().saturating_sub(since) >= LASTED {
                    wait = TRY_AGAIN.0;
                }
                gone
            }
            Err(why) => why,
        };
        if report.device(false, sentence(&settings, &trouble)).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(TRY_AGAIN.1),
            () = report.inbox.closed() => return,
        }
    }
}

/// Opens the device that `settings` name.
pub fn open(settings: &Settings) -> io::Result<Source> {
    match settings.kind {
        Kind::Serial => Ok(Source {
            device: serial::open_tty(Path::new(&settings.path), settings.baud)?,
            decoder: Box::new(settings.framer()),
            release: serial::release,
        }),
        Kind::Evdev | Kind::Hidpos => Err(Errno::NOSYS.into()),
    }
}

/// Nobody listens any more.
struct Closed;

/// Reads until the device is gone; returns why.
async fn read(source: Source, report: &mut Report) -> Result<io::Error, Closed> {
    let Source { device, mut decoder, release } = source;
    // What tokio deprecates it for (a type whose descriptor changes under it) an `OwnedFd` cannot do.
    #[expect(deprecated, reason = "the replacement is unsafe")]
    let device = match AsyncFd::with_interest(device, Interest::READABLE) {
        Ok(device) => device,
        Err(failed) => return Ok(failed),
    };
    // One read of the kernel's terminal buffer, or one HID report, at most.
    let mut buffer = Zeroizing::new(vec![0; 4096]);
    let gone = loop {
        let deadline = decoder.framer().deadline();
        let mut taken = tokio::select! {
            biased;
            ready = device.readable() => match ready {
                Ok(mut ready) => match ready.try_io(|device| read_some(device.get_ref(), &mut buffer)) {
                    Ok(taken) => taken,
                    Err(_nothing) => continue,
                },
                Err(broken) => Err(broken),
            },
            () = until(deadline) => read_some(device.get_ref(), &mut buffer),
            () = report.inbox.closed() => {
                release(device.as_fd());
                return Err(Closed);
            }
        };
        match &mut taken {
            Ok(0) => break io::Error::from(Errno::NODEV),
            Ok(length) => {
                let fresh = &mut buffer[..*length];
                let passed = pass_on(decoder.as_mut(), fresh, report).await;
                fresh.zeroize();
                passed?;
            }
            Err(none) if none.kind() == io::ErrorKind::WouldBlock => {
                if let Some(read) = decoder.framer().idle(now()) {
                    report.read(read).await?;
                }
            }
            Err(_) => break taken.unwrap_err(),
        }
    };
    release(device.as_fd());
    Ok(gone)
}

fn read_some(device: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(device, &mut *buffer)).map_err(io::Error::from)
}

async fn pass_on(decoder: &mut dyn Decode, fresh: &[u8], report: &mut Report) -> Result<(), Closed> {
    let at = now();
    let mut rest = fresh;
    while let Some(read) = decoder.take(&mut rest, at) {
        report.read(read).await?;
    }
    // Only for a frame that goes on: where its end came along, the code itself is the news.
    if decoder.framer().begun() {
        report.begun().await?;
    }
    // Whoever got the code goes first; the look for more bytes can wait.
    tokio::task::yield_now().await;
    Ok(())
}

/// What this scanner tells the loop.
struct Report {
    name: String,
    inbox: Inbox,
    said: Option<(bool, String)>,
    /// How many refusals may be reported, and since when.
    allowed: (u32, Duration),
}

impl Report {
    fn new(name: String, inbox: Inbox) -> Self {
        Self { name, inbox, said: None, allowed: (REFUSALS.0, now()) }
    }

    async fn send(&self, input: Input) -> Result<(), Closed> {
        self.inbox.send(input).await.map_err(|_| Closed)
    }

    /// Says how the device is, if that is news.
    async fn device(&mut self, ready: bool, trouble: String) -> Result<(), Closed> {
        let state = Some((ready, trouble));
        if self.said == state {
            return Ok(());
        }
        self.said = state;
        let trouble = self.said.as_ref().map(|(_, trouble)| trouble.clone()).unwrap_or_default();
        if ready {
            tracing::info!(scanner = self.name, "scanner is ready");
        } else {
            tracing::warn!(scanner = self.name, "scanner is not ready: {trouble}");
        }
        self.send(Input::Device(Device {
            kind: DeviceKind::Scanner,
            name: self.name.clone(),
            ready,
            trouble,
        }))
        .await
    }

    async fn begun(&mut self) -> Result<(), Closed> {
        if self.allowed.0 == 0 {
            return Ok(());
        }
        self.send(Input::Scan(Scan::Begun)).await
    }

    async fn read(&mut self, read: Read) -> Result<(), Closed> {
        match read {
            Read::Code(code, _) => self.send(Input::Scan(Scan::Code(self.name.clone(), code))).await,
            Read::Refused(why, shape) => self.refused(why, &shape).await,
        }
    }

    async fn refused(&mut self, why: ScanRefusal, shape: &str) -> Result<(), Closed> {
        let (most, every) = REFUSALS;
        let (left, since) = self.allowed;
        let elapsed = now().saturating_sub(since);
        let more = u32::try_from(elapsed.as_millis() / every.as_millis()).unwrap_or(u32::MAX);
        if more > 0 {
            self.allowed = (left.saturating_add(more).min(most), now());
        }
        if self.allowed.0 == 0 {
            return Ok(());
        }
        self.allowed.0 -= 1;
        tracing::info!(scanner = self.name, ?why, shape, "scan refused");
        self.send(Input::Scan(Scan::Refused(self.name.clone(), why))).await
    }
}

/// The system's monotonic clock, which also stamps key events.
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

async fn until(moment: Option<Duration>) {
    match moment {
        Some(moment) => tokio::time::sleep(moment.saturating_sub(now())).await,
        None => std::future::pending().await,
    }
}

/// What is wrong and what to do, for the cashier.
fn sentence(settings: &Settings, trouble: &io::Error) -> String {
    let path = &settings.path;
    match Errno::from_io_error(trouble) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::IO) => {
            "扫码枪未连接，请检查连接线。 Scanner is not connected: check its cable.".to_owned()
        }
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "没有权限使用扫码枪，请联系维护人员。 No permission to use {path}: \
             install 70-micropayd.rules and plug the scanner in again."
        ),
        Some(Errno::BUSY | Errno::AGAIN) => format!(
            "扫码枪被其他程序占用，请关闭该程序。 Another program uses {path}: close it (fuser -v {path} names it)."
        ),
        Some(Errno::NOTTY) => format!(
            "扫码枪设置有误，请联系维护人员。 {path} is not a serial device: \
             correct `path` or `kind` of this scanner in the configuration."
        ),
        _ => format!("扫码枪故障，请联系维护人员。 Scanner {path} failed: {trouble}."),
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
