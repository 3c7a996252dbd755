//! A printer on a serial port, or on a USB port that shows itself as one.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serialport::{ClearBuffer, DataBits, FlowControl, Parity, SerialPort, StopBits, TTYPort};

use super::link::{Link, Open, absent};

/// How a serial printer says stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Flow {
    /// Not at all: only for short receipts or slow lines.
    #[default]
    None,
    /// By XOFF and XON.
    Software,
    /// By the CTS line. A printer that drives DTR or DSR needs a cable that leads it there; Linux has no DSR flow control.
    Hardware,
}

/// What opens the port.
pub struct Port {
    path: PathBuf,
    baud: u32,
    flow: Flow,
}

impl Port {
    /// 8 data bits, no parity, one stop bit.
    pub fn new(path: &Path, baud: u32, flow: Flow) -> Self {
        Self { path: path.to_owned(), baud, flow }
    }
}

impl Open for Port {
    fn open(&mut self) -> Result<Box<dyn Link>, String> {
        let name = self.path.display().to_string();
        // serialport says only that opening failed; the node itself says why.
        if let Err(error) = std::fs::metadata(&self.path) {
            return Err(absent(&name, &error));
        }
        let flow = match self.flow {
            Flow::None => FlowControl::None,
            Flow::Software => FlowControl::Software,
            Flow::Hardware => FlowControl::Hardware,
        };
        let opened = serialport::new(&*name, self.baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(flow)
            .open_native();
        let port = opened.map_err(|error| {
            let error = match error.kind() {
                serialport::ErrorKind::NoDevice if error.description.contains("lock") => {
                    io::Error::from_raw_os_error(rustix::io::Errno::BUSY.raw_os_error())
                }
                serialport::ErrorKind::NoDevice => io::ErrorKind::NotFound.into(),
                serialport::ErrorKind::Io(kind) => io::Error::new(kind, error.description),
                _ => io::Error::other(error.description),
            };
            absent(&name, &error)
        })?;
        Ok(Box::new(Line { port, baud: self.baud, started: Instant::now() }))
    }

    fn stays_open(&self) -> bool {
        true
    }
}

struct Line {
    port: TTYPort,
    baud: u32,
    started: Instant,
}

/// The port's own waits are rounded to milliseconds, and zero would be for ever on some systems.
fn at_least_a_millisecond(wait: Duration) -> Duration {
    wait.max(Duration::from_millis(1))
}

fn nothing_in_time(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => Ok(0),
        other => other,
    }
}

impl Link for Line {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.port.set_timeout(at_least_a_millisecond(wait))?;
        nothing_in_time(self.port.write(bytes))
    }

    fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        // A look that must not wait: the port's own shortest wait would keep a paid customer's receipt for a millisecond.
        if wait.is_zero() && self.port.bytes_to_read().map_err(io::Error::from)? == 0 {
            return Ok(0);
        }
        self.port.set_timeout(at_least_a_millisecond(wait))?;
        match self.port.read(into) {
            // An unplugged port reads nothing for ever.
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            other => nothing_in_time(other),
        }
    }

    fn carry(&self, bytes: usize) -> Duration {
        // A byte is ten bits on the line.
        Duration::from_secs(10 * bytes as u64) / self.baud.max(1)
    }

    /// A port that is let go in trouble keeps nothing back for whoever opens it next.
    fn close(self: Box<Self>, wait: Duration) {
        if wait.is_zero() {
            // It may be gone; then there is nothing to clear.
            let _ = self.port.clear(ClearBuffer::All);
        }
    }
}
