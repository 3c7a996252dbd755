//! The process under systemd: ready, the status line, the watchdog, stop and reload; and the log on stderr.

mod log;
mod wipe;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

pub use log::{guard_panics, log_to_stderr, say_failure};
pub use wipe::Wiping;

/// Tells the service manager how the process is (sd_notify(3)). Says nothing where there is none, and never waits for
/// it: a manager that does not read must not hold up a payment. What it did not take is said again next time.
#[derive(Debug)]
pub struct Service {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    pinged: Option<Instant>,
    ready: Said,
    status: Said,
}

/// Something that the manager should know.
#[derive(Debug, Default)]
struct Said {
    text: String,
    taken: bool,
}

impl Service {
    /// Looks at the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn of_process() -> Self {
        let manager = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| match reach(&name) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!("service manager at {name} cannot be told: {error}");
                None
            }
        });
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        // Meant for another process of the unit if it names another.
        let ours = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|limit| ours && *limit > 0 && manager.is_some());
        Self {
            manager,
            watchdog: watchdog.map(Duration::from_micros),
            pinged: None,
            ready: Said { text: String::new(), taken: true },
            status: Said { text: String::new(), taken: true },
        }
    }

    /// How often [`alive`](Self::alive) must be called at least, if the service manager watches.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 3)
    }

    /// The listeners are open and the open payments are known.
    pub fn ready(&mut self, status: &str) {
        self.ready = Said { text: "READY=1".to_owned(), taken: false };
        self.status(status);
    }

    /// One line on how things are; sent only when it changed.
    pub fn status(&mut self, status: &str) {
        let text = format!("STATUS={}", status.replace('\n', " "));
        if self.status.text != text {
            self.status = Said { text, taken: false };
        }
        for said in [&mut self.ready, &mut self.status] {
            if !said.taken {
                said.taken = tell(self.manager.as_ref(), &said.text);
            }
        }
    }

    /// The loop answered and the journal works. Call it from the loop itself, never from a bare timer.
    pub fn alive(&mut self) {
        let Some(limit) = self.watchdog else { return };
        // A quarter of the limit apart is enough, and keeps a busy loop from a system call for each event.
        if self.pinged.is_none_or(|at| at.elapsed() >= limit / 4) && tell(self.manager.as_ref(), "WATCHDOG=1")
        {
            self.pinged = Some(Instant::now());
        }
    }

    /// The process is about to end; it has two seconds.
    pub fn stopping(&mut self) {
        tell(self.manager.as_ref(), "STOPPING=1\nSTATUS=正在停止 · stopping");
    }
}

fn reach(name: &str) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// Whether the manager took it, or is not there to be told.
fn tell(manager: Option<&(UnixDatagram, SocketAddr)>, text: &str) -> bool {
    let Some((socket, address)) = manager else { return true };
    match socket.send_to_addr(text.as_bytes(), address) {
        Ok(_) => true,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
        // A manager that went away is told nothing more of this; it is no reason to stop selling.
        Err(error) => {
            tracing::debug!("service manager cannot be told: {error}");
            true
        }
    }
}

/// Keeps keys and payment codes out of core files, and this process's memory out of reach of others of the same user:
/// no core is ever written, and nobody without `CAP_SYS_PTRACE` can trace it or read its memory (prctl(2),
/// `PR_SET_DUMPABLE`). Call it before the first key is read; it holds for all threads, and for no program started later.
///
/// # Errors
/// The kernel refuses. Nothing secret should be read then.
pub fn keep_memory_private() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // The kernel writes none for a process that is not dumpable; this says so to whoever looks at its limits.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

/// What somebody asks of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT: end within two seconds, obligations kept.
    Stop,
    /// SIGHUP: say that the configuration is taken up only by a restart, for the loop's waits, keys and devices must not
    /// change under an open payment.
    Reload,
}

/// The signals of this process.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the signals over; before this they end the process at once.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
