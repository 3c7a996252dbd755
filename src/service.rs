//! The process under systemd: ready, the status line, the watchdog, stop and reload; and the log on stderr.

mod log;

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

pub use log::{guard_panics, log_to_stderr};

/// Tells the service manager how the process is. Says nothing where there is none.
#[derive(Debug)]
pub struct Service {
    watchdog: Option<Duration>,
    pinged: Instant,
    status: String,
}

impl Service {
    /// Looks at the environment: `NOTIFY_SOCKET`, `WATCHDOG_USEC`.
    pub fn of_process() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled(), pinged: Instant::now(), status: String::new() }
    }

    /// How often [`alive`](Self::alive) must be called at least, if the service manager watches.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 3)
    }

    /// The listeners are open and the open payments are known.
    pub fn ready(&mut self, status: &str) {
        self.status = status.to_owned();
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// One line on how things are; sent only when it changed.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            self.status = status.to_owned();
            tell(&[NotifyState::Status(status)]);
        }
    }

    /// The loop answered and the journal works. Call it from the loop itself, never from a bare timer.
    pub fn alive(&mut self) {
        let Some(limit) = self.watchdog else { return };
        // A third of the limit apart is enough, and keeps a busy loop from a system call for each event.
        if self.pinged.elapsed() >= limit / 4 {
            self.pinged = Instant::now();
            tell(&[NotifyState::Watchdog]);
        }
    }

    /// The process is about to end; it has two seconds.
    pub fn stopping(&mut self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("正在停止 · stopping")]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("service manager cannot be told: {error}");
    }
}

/// What somebody asks of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT: end within two seconds, obligations kept.
    Stop,
    /// SIGHUP: say whether the configuration could be loaded. It is taken up only by a restart, for the loop's waits,
    /// keys and devices must not change under an open payment.
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
