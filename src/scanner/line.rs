//! One open scanner: what its reads return becomes frames, one after the other. Must never spin on a device that is
//! gone, and never keep bytes that it has passed on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::{Zeroize, Zeroizing};

use super::framing::{Frame, Framer};

/// Turns what a device's reads return into frames.
pub trait Decode: Send {
    /// Takes from `input` up to the end of a frame, or all.
    fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Frame>;
    /// The framer behind it, for what only time decides.
    fn framer(&mut self) -> &mut Framer;
}

impl Decode for Framer {
    fn take(&mut self, input: &mut &[u8], at: Duration) -> Option<Frame> {
        Framer::take(self, input, at)
    }

    fn framer(&mut self) -> &mut Framer {
        self
    }
}

/// An opened device that is not yet read.
pub struct Source {
    /// Not blocking.
    pub device: OwnedFd,
    /// How to read it.
    pub decoder: Box<dyn Decode>,
    /// What to do before it is closed.
    pub release: fn(BorrowedFd<'_>),
}

/// What happens on a line.
#[derive(Debug)]
pub enum News {
    /// A frame has begun, and its end is not here yet.
    Begun,
    /// A frame is over.
    Frame(Frame),
}

/// An open scanner, read on the current runtime.
pub struct Line {
    device: AsyncFd<OwnedFd>,
    decoder: Box<dyn Decode>,
    release: fn(BorrowedFd<'_>),
    /// Bytes `taken..filled` are not decoded yet; they arrived at `at`.
    buffer: Zeroizing<Vec<u8>>,
    taken: usize,
    filled: usize,
    at: Duration,
    delivered: bool,
}

impl Line {
    /// Registers an opened device with the current runtime.
    pub fn new(source: Source) -> io::Result<Self> {
        // What tokio deprecates it for (a type whose descriptor changes under it) an `OwnedFd` cannot do.
        #[expect(deprecated, reason = "the replacement is unsafe")]
        let device = AsyncFd::with_interest(source.device, Interest::READABLE)?;
        Ok(Self {
            device,
            decoder: source.decoder,
            release: source.release,
            // The kernel's terminal buffer, or one HID report, at most.
            buffer: Zeroizing::new(vec![0; 4096]),
            taken: 0,
            filled: 0,
            at: Duration::ZERO,
            delivered: false,
        })
    }

    /// Waits for the next thing to happen; may be dropped and asked again without a loss.
    ///
    /// # Errors
    ///
    /// The device is gone, or broken: it is of no use any more. `NODEV` when it was unplugged.
    pub async fn next(&mut self) -> io::Result<News> {
        loop {
            if self.taken < self.filled {
                let mut rest = &self.buffer[self.taken..self.filled];
                let frame = self.decoder.take(&mut rest, self.at);
                let taken = self.filled - rest.len();
                self.buffer[self.taken..taken].zeroize();
                self.taken = taken;
                if let Some(frame) = frame {
                    self.delivered = true;
                    return Ok(News::Frame(frame));
                }
                // Only for a frame that goes on: where its end came along, the frame itself was the news.
                if self.decoder.framer().begun() {
                    return Ok(News::Begun);
                }
                continue;
            }
            if self.delivered {
                self.delivered = false;
                // Whoever got the code goes first; the look for more bytes can wait.
                tokio::task::yield_now().await;
            }
            if let Some(frame) = self.fill().await? {
                return Ok(News::Frame(frame));
            }
        }
    }

    /// Sends a command if the device takes it at once; a beep is not worth a wait.
    pub fn tell(&self, command: &[u8]) {
        let _ = rustix::io::write(self.device.get_ref(), command);
    }

    /// Waits for bytes, or for the moment at which there being none says something.
    async fn fill(&mut self) -> io::Result<Option<Frame>> {
        let deadline = self.decoder.framer().deadline();
        let buffer = &mut self.buffer;
        let length = tokio::select! {
            biased;
            ready = self.device.readable() => {
                match ready?.try_io(|device| read(device.get_ref(), buffer)) {
                    Ok(length) => length,
                    Err(_nothing) => return Ok(None),
                }
            }
            // One more look before a silence is believed: after a stall of this process the rest may be waiting.
            () = until(deadline) => read(self.device.get_ref(), buffer),
        };
        match length {
            Ok(0) => Err(Errno::NODEV.into()),
            Ok(length) => {
                (self.taken, self.filled, self.at) = (0, length, now());
                Ok(None)
            }
            Err(none) if none.kind() == io::ErrorKind::WouldBlock => Ok(self.decoder.framer().idle(now())),
            Err(gone) => Err(gone),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        (self.release)(self.device.as_fd());
    }
}

fn read(device: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(device, &mut *buffer)).map_err(io::Error::from)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::Settings;

    #[tokio::test]
    async fn nothing_that_was_read_stays_in_memory() {
        let (device, scanner) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let decoder = Box::new(Settings::default().framer());
        let mut line = Line::new(Source { device, decoder, release: |_| {} }).unwrap();
        for sent in ["134567890123458406\r\n", "6901234567892\r\n", "13456"] {
            rustix::io::write(&scanner, sent.as_bytes()).unwrap();
            line.next().await.unwrap();
            assert!(line.buffer.iter().all(|byte| !byte.is_ascii_digit()), "{sent:?}");
        }
    }
}
