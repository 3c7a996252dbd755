//! The display's serial port. Nothing here waits longer than it is told to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr,
};

/// An open port.
pub struct Port(OwnedFd);

impl Port {
    /// Opens `path` for this process alone, raw, 8N1, at `baud`.
    ///
    /// # Errors
    /// `WouldBlock` when another program has it; whatever the kernel says.
    pub fn open(path: &Path, baud: u32) -> io::Result<Self> {
        // Not blocking: else RS-232 without a carrier waits in `open` for ever.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let tty = open(path, flags, Mode::empty())?;
        let mut modes = tcgetattr(&tty)?;
        flock(&tty, FlockOperation::NonBlockingLockExclusive)?;
        modes.make_raw();
        modes.control_modes &= !(ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS);
        modes.control_modes |= ControlModes::CS8 | ControlModes::CLOCAL;
        // Displays say nothing: a byte that comes all the same must not stop the output.
        modes.input_modes &= !(InputModes::IXON | InputModes::IXOFF);
        modes.set_speed(baud)?;
        tcsetattr(&tty, OptionalActions::Now, &modes)?;
        Ok(Self(tty))
    }

    /// Writes all of `bytes`, waiting at most `wait`.
    ///
    /// # Errors
    /// `TimedOut` when the port does not take them; `NODEV` or `IO` when it is gone.
    pub fn write(&self, mut bytes: &[u8], wait: Duration) -> io::Result<()> {
        let end = Instant::now() + wait;
        while !bytes.is_empty() {
            match rustix::io::write(&self.0, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN | Errno::INTR) => {
                    if Instant::now() >= end {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    self.ready(PollFlags::OUT, end.saturating_duration_since(Instant::now()))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether the device is gone: a port that was unplugged says so without being written to.
    pub fn is_gone(&self) -> bool {
        // Without an event that is asked for, only hang-up and error are told.
        let seen = self.ready(PollFlags::empty(), Duration::ZERO);
        seen.is_ok_and(|seen| seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
    }

    fn ready(&self, flags: PollFlags, wait: Duration) -> io::Result<PollFlags> {
        let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), flags)];
        let wait = Timespec::try_from(wait).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => Ok(fds[0].revents()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the port go without what it has not sent: closing would wait for that, up to 30 s.
    pub fn give_up(self) {
        // It may be gone; then there is nothing to clear.
        let _ = tcflush(&self.0, QueueSelector::OFlush);
    }
}
