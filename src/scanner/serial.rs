//! Opens a serial scanner: RS-232, a USB bridge, USB CDC-ACM or a pseudo-terminal. Must never wait for a carrier.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::termios::{
    ControlModes, InputModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, ioctl_tiocexcl,
    ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr,
};

use crate::ioctl;

/// Opens `path` for this process alone, raw, 8N1, at `baud`, without what came before; with DTR as told.
///
/// # Errors
///
/// `WouldBlock` when another program has it; `ENOTTY` when it is no serial device; whatever `open` says.
pub fn open_tty(path: &Path, baud: u32, dtr: Option<bool>) -> io::Result<OwnedFd> {
    let path = path.canonicalize()?;
    // Not blocking: else RS-232 without a carrier waits in `open` for ever.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let tty = open(&path, flags, Mode::empty())?;
    let mut modes = tcgetattr(&tty)?;
    // The lock stops a second daemon, also one of root; the exclusive flag stops programs that know no locks. On a
    // pseudo-terminal the flag would outlive this process for as long as the other side holds it, and lock us out.
    flock(&tty, FlockOperation::NonBlockingLockExclusive)?;
    if !path.starts_with("/dev/pts") {
        ioctl_tiocexcl(&tty)?;
    }
    make_raw(&mut modes);
    modes.set_speed(baud)?;
    tcsetattr(&tty, OptionalActions::Now, &modes)?;
    if let Some(raised) = dtr {
        // A pseudo-terminal has no such line, and needs none.
        let _ = ioctl::set_dtr(tty.as_fd(), raised);
    }
    // What arrived before went through the line discipline's editing and may be half a code.
    tcflush(&tty, QueueSelector::IOFlush)?;
    Ok(tty)
}

/// Gives the device back: the exclusive flag would else stay for as long as anybody else has it open.
pub fn release(tty: BorrowedFd<'_>) {
    // The device may be gone; then there is nothing to give back.
    let _ = ioctl_tiocnxcl(tty);
    let _ = tcflush(tty, QueueSelector::OFlush);
}

fn make_raw(modes: &mut Termios) {
    modes.make_raw();
    modes.control_modes &= !(ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS);
    modes.control_modes |= ControlModes::CS8 | ControlModes::CLOCAL | ControlModes::CREAD;
    modes.input_modes &= !(InputModes::IXOFF | InputModes::IGNPAR);
    // A character with a line error is marked FF 00, which is no digit; else it, or a break's NUL, passed for text.
    modes.input_modes |= InputModes::INPCK | InputModes::PARMRK;
    // With a minimum of 0 a read without data would return 0, which is how an unplugged device looks.
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
}
