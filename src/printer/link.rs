//! An open way to a printer, and what opens it. Everything here waits at most as long as it is told to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// An open way to a printer.
pub trait Link: Send {
    /// Time that only goes forward, from any start.
    fn now(&self) -> Duration;

    /// Hands over as many of `bytes` as are taken; waits at most `wait` for the first. `Ok(0)`: the printer takes none now.
    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize>;

    /// Takes what the printer said; waits at most `wait` for it. `Ok(0)`: it said nothing. A way that is closed from the
    /// other side is [`io::ErrorKind::UnexpectedEof`], one that carries nothing back [`io::ErrorKind::Unsupported`].
    fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// The status lines of the port itself, in the bits of linux/lp.h.
    fn port(&mut self) -> Option<u8> {
        None
    }

    /// Whether what was handed over is the paper itself, as with a file.
    fn is_paper(&self) -> bool {
        false
    }

    /// Makes that paper outlast a loss of power.
    fn keep(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// How long this many bytes are under way, where the way is slower than the printer.
    fn carry(&self, _bytes: usize) -> Duration {
        Duration::ZERO
    }

    /// Lets everything that was handed over arrive, waiting at most `wait`, and closes.
    fn close(self: Box<Self>, wait: Duration);
}

/// What opens the way to a printer.
pub trait Open: Send {
    /// Opens it.
    ///
    /// # Errors
    /// A sentence for the cashier, Chinese first: why there is no printer, and what to do.
    fn open(&mut self) -> Result<Box<dyn Link>, String>;

    /// Whether the way stays open between jobs. Network printers have one client at a time: theirs does not.
    fn stays_open(&self) -> bool;
}

/// The sentence for a way that cannot be opened.
pub fn absent(name: &str, error: &io::Error) -> String {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    match (errno, error.kind()) {
        (Some(Errno::BUSY), _) => format!(
            "打印机 {name} 被其他程序占用 printer is in use by another program: stop CUPS, ipp-usb or the other program"
        ),
        (_, io::ErrorKind::PermissionDenied) => format!(
            "没有权限使用打印机 {name} no permission for the printer: install the udev rules, or add the service to the group lp"
        ),
        (_, io::ErrorKind::NotFound) | (Some(Errno::NODEV | Errno::NXIO), _) => {
            format!("未找到打印机 {name}，请检查电源和连线 printer not found: check its power and cable")
        }
        (_, io::ErrorKind::ConnectionRefused) => format!(
            "打印机 {name} 拒绝连接，可能正被占用 printer refuses the connection: another computer may be using it"
        ),
        (_, io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            format!(
                "打印机 {name} 网络不通，请检查电源和网线 printer cannot be reached: check its power and network cable"
            )
        }
        _ => format!("打印机 {name} 无法打开 printer cannot be opened: {error}"),
    }
}

/// Waits until `fd` is ready for `flags` or `wait` is over; what it is ready for.
pub fn ready(fd: BorrowedFd<'_>, flags: PollFlags, wait: Duration) -> io::Result<PollFlags> {
    let end = Instant::now() + wait;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
        match poll(&mut fds, Some(&Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?)) {
            Ok(_) => return Ok(fds[0].revents()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A non-blocking file descriptor as a link: device nodes, FIFOs, sockets.
pub struct Raw<F> {
    fd: F,
    started: Instant,
}

impl<F: AsFd> Raw<F> {
    /// Takes a descriptor that is open for reading and writing, without blocking.
    pub fn new(fd: F) -> Self {
        Self { fd, started: Instant::now() }
    }

    /// The descriptor.
    pub fn fd(&self) -> &F {
        &self.fd
    }

    /// See [`Link::now`].
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// See [`Link::send`].
    pub fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        let seen = ready(self.fd.as_fd(), PollFlags::OUT, wait)?;
        if seen.is_empty() {
            return Ok(0);
        }
        match rustix::io::write(&self.fd, bytes) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            other => Ok(other?),
        }
    }

    /// See [`Link::receive`].
    pub fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        if ready(self.fd.as_fd(), PollFlags::IN, wait)?.is_empty() {
            return Ok(0);
        }
        match rustix::io::read(&self.fd, into) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
            // A descriptor without a way back: a FIFO's writing end, a one-way USB interface.
            Err(rustix::io::Errno::BADF | rustix::io::Errno::INVAL) => Err(io::ErrorKind::Unsupported.into()),
            other => Ok(other?),
        }
    }
}
