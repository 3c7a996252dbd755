//! One task for each scanner: opens it, reports what it reads, and opens it again when it was away.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::watch;

use super::framing::Frame;
use super::line::{Line, News, Source, now};
use super::trigger::Orders;
use super::{Beep, Kind, Settings, Trigger, devices, evdev, hidpos, serial};
use crate::input::{Device, DeviceKind, Inbox, Input, Scan, ScanRefusal};

/// The first and the longest wait before an absent scanner is tried again: one that comes back is ready within the
/// 2 s that a cashier waits before calling somebody.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A connection that lasted this long was one; after a shorter one the waits go on growing.
const LASTED: Duration = Duration::from_secs(2);

/// Refusals that are reported at once, and how soon one more is: a scanner at a wrong speed makes hundreds a second.
const REFUSALS: (u32, Duration) = (5, Duration::from_millis(500));

/// Reads the scanner for as long as `inbox` is open.
pub async fn run(settings: Settings, inbox: Inbox, wanted: watch::Receiver<bool>) {
    let mut report = Report::new(settings.name().to_owned(), inbox);
    let mut wait = TRY_AGAIN.0;
    loop {
        let opened = tokio::select! {
            opened = open_apart(settings.clone()) => opened,
            () = report.inbox.closed() => return,
        };
        let trouble = match opened {
            Ok((source, told)) => {
                let orders = Orders::new(told.trigger, wanted.clone());
                let since = now();
                let gone = match Line::new(source) {
                    Ok(line) => match read(line, told.beep, orders, &mut report).await {
                        Ok(Closed) => return,
                        Err(gone) => gone,
                    },
                    Err(error) => error,
                };
                if now().saturating_sub(since) >= LASTED {
                    wait = TRY_AGAIN.0;
                }
                sentence(&settings, &gone, None)
            }
            Err(trouble) => trouble,
        };
        if report.device(false, trouble).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(TRY_AGAIN.1),
            () = report.inbox.closed() => return,
        }
    }
}

/// Opens the scanner on a thread of its own, or says what is wrong: a USB device that hangs can hold `open`, or a look
/// at its name, for many seconds, and the loop must not wait with it.
async fn open_apart(settings: Settings) -> Result<(Source, Told), String> {
    let (answer, opened) = tokio::sync::oneshot::channel();
    let work = move || {
        let opened = open(&settings).map(|source| (source, told(&settings))).map_err(|trouble| {
            let hint = devices::hint(Path::new(devices::ROOT), settings.kind);
            sentence(&settings, &trouble, hint)
        });
        // Nobody waits for it any more when the program ends.
        let _ = answer.send(opened);
    };
    if let Err(error) = std::thread::Builder::new().name("scanner-open".to_owned()).spawn(work) {
        return Err(format!("扫码枪故障，请联系维护人员。 No thread to open the scanner with: {error}."));
    }
    opened
        .await
        .unwrap_or_else(|_| Err("扫码枪故障，请联系维护人员。 Opening the scanner failed.".to_owned()))
}

/// Opens the device that `settings` name.
pub fn open(settings: &Settings) -> io::Result<Source> {
    let root = Path::new(devices::ROOT);
    let node = devices::resolve(root, settings.kind, &settings.path)?;
    match settings.kind {
        Kind::Serial => Ok(Source {
            device: serial::open_tty(&node, settings.baud, settings.dtr)?,
            decoder: Box::new(settings.framer()),
            release: serial::release,
        }),
        Kind::Evdev => {
            let device = evdev::open_keys(&node)?;
            let stamped = evdev::stamp(&device);
            let decoder = Box::new(evdev::Keys::new(settings.framer(), stamped));
            Ok(Source { device, decoder, release: |_| {} })
        }
        Kind::Hidpos => {
            let (layout, vendor) = devices::reports(root, &node)?;
            let device = hidpos::open_reports(&node, vendor)?;
            let decoder = Box::new(hidpos::Reports::new(settings.framer(), layout));
            Ok(Source { device, decoder, release: |_| {} })
        }
    }
}

/// What the scanner may be told.
struct Told {
    beep: Option<Beep>,
    trigger: Option<Trigger>,
}

/// The commands that were asked for, unless the scanner is known to be of another make.
fn told(settings: &Settings) -> Told {
    let root = Path::new(devices::ROOT);
    let node = devices::resolve(root, settings.kind, &settings.path).ok();
    let maker = node.and_then(|node| devices::maker_of_tty(root, &node));
    let fits = |wanted: &str, what: &str| match maker {
        Some(maker) if !maker.starts_with(wanted) => {
            tracing::warn!(
                scanner = settings.name(),
                maker,
                "scanner is of another make: it is not told to {what}"
            );
            false
        }
        _ => true,
    };
    Told {
        beep: settings.beep.filter(|beep| fits(beep.maker(), "beep")),
        trigger: settings.trigger.filter(|trigger| fits(trigger.maker(), "read")),
    }
}

/// Nobody listens any more.
struct Closed;

/// Reports what the line brings until nobody listens, or until it is gone: then the error says why.
async fn read(
    mut line: Line,
    beep: Option<Beep>,
    mut orders: Orders,
    report: &mut Report,
) -> io::Result<Closed> {
    if report.device(true, String::new()).await.is_err() {
        return Ok(Closed);
    }
    loop {
        let news = tokio::select! {
            biased;
            news = line.next() => news?,
            order = orders.next() => {
                line.tell(order);
                continue;
            }
            () = report.inbox.closed() => return Ok(Closed),
        };
        let passed = match news {
            News::Begun => report.begun().await,
            News::Frame(frame) => {
                orders.has_read();
                let taken = frame.what.is_ok();
                let passed = report.frame(frame).await;
                if let Some(beep) = beep {
                    line.tell(beep.command(taken));
                }
                passed
            }
        };
        if passed.is_err() {
            return Ok(Closed);
        }
    }
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

    /// Says how the device is, if that is news; the desk logs it.
    async fn device(&mut self, ready: bool, trouble: String) -> Result<(), Closed> {
        let state = Some((ready, trouble.clone()));
        if self.said == state {
            return Ok(());
        }
        self.said = state;
        let name = self.name.clone();
        self.send(Input::Device(Device { kind: DeviceKind::Scanner, name, ready, trouble })).await
    }

    async fn begun(&mut self) -> Result<(), Closed> {
        // A scanner whose refusals are held back has nothing to announce either.
        if self.allowed.0 == 0 { Ok(()) } else { self.send(Input::Scan(Scan::Begun)).await }
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), Closed> {
        match frame.what {
            Ok(code) => self.send(Input::Scan(Scan::Code(self.name.clone(), code))).await,
            Err(why) => self.refused(why, &frame.shape).await,
        }
    }

    async fn refused(&mut self, why: ScanRefusal, shape: &str) -> Result<(), Closed> {
        let (most, every) = REFUSALS;
        let (left, since) = self.allowed;
        let more = now().saturating_sub(since).as_millis() / every.as_millis();
        if more > 0 {
            self.allowed = (left.saturating_add(u32::try_from(more).unwrap_or(most)).min(most), now());
        }
        if self.allowed.0 == 0 {
            return Ok(());
        }
        self.allowed.0 -= 1;
        tracing::info!(scanner = self.name, ?why, shape, "scan refused");
        self.send(Input::Scan(Scan::Refused(self.name.clone(), why))).await
    }
}

/// What is wrong and what to do, for the cashier; `hint` is what else is known of a scanner that is not there.
fn sentence(settings: &Settings, trouble: &io::Error, hint: Option<String>) -> String {
    let path = &settings.path;
    match Errno::from_io_error(trouble) {
        Some(Errno::NOENT | Errno::NODEV | Errno::NXIO | Errno::IO) => {
            let hint = hint.map_or(String::new(), |hint| format!(" {hint}"));
            format!("扫码枪未连接，请检查连接线。 Scanner is not connected: check its cable.{hint}")
        }
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "没有权限使用扫码枪，请联系维护人员。 No permission to use {path}: \
             install 70-micropayd.rules and plug the scanner in again."
        ),
        Some(Errno::BUSY | Errno::AGAIN) => {
            // A name of ours is no file: what lists its holders wants the node.
            let node = devices::resolve(Path::new(devices::ROOT), settings.kind, path);
            let node = node.map_or_else(|_| path.clone(), |node| node.display().to_string());
            format!(
                "扫码枪被其他程序占用，请关闭该程序。 Another program uses {path}: close it (fuser -v {node} names it)."
            )
        }
        Some(Errno::NOTTY | Errno::INVAL) => format!(
            "扫码枪设置有误，请联系维护人员。 {path} is not a device of kind {}: \
             correct `path` or `kind` of this scanner in the configuration.",
            settings.kind
        ),
        _ => format!("扫码枪故障，请联系维护人员。 Scanner {path} failed: {trouble}."),
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
