//! A receipt printer from the inside: a buffer, paper that can run out, and answers that follow its state, as the
//! TM-T88 family describes them (Epson ESC/POS reference: DLE EOT, GS ( H function 48, GS r).

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use encoding_rs::GB18030;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::ioctl::{IntegerSetter, ioctl, opcode};

use crate::gadget::{Function, Gadget, Identity};
use crate::scanner::tty;
use crate::until;

const NODE: &str = "/dev/g_printer0";

/// What a small printer takes before it says stop.
const ROOM: usize = 4096;

/// No receipt is longer.
const RECEIPT: usize = 40_000;

/// What is inside the printer.
pub struct Inside {
    /// Whether there is paper; without it nothing is printed, and questions in the data are not reached.
    pub paper: bool,
    /// Paper for so many more bytes.
    pub paper_for: Option<usize>,
    /// Whether it answers anything at all, on its port's lines as well.
    pub answers: bool,
    /// After so many more bytes it stands still without a word, as when somebody opens it with the power on.
    pub jam_after: Option<usize>,
    /// It says by itself when something changes.
    automatic: bool,
    waiting: VecDeque<u8>,
    /// What is on the paper.
    pub printed: Vec<u8>,
    /// When the first byte arrived that is no real-time question, since this was last cleared.
    pub first: Option<Instant>,
}

/// A printer with a cable.
pub struct Printer {
    gadget: Option<Gadget>,
    /// The device side of its wire.
    node: String,
    inside: Arc<Mutex<Inside>>,
    running: Option<(Arc<AtomicBool>, JoinHandle<Result<()>>)>,
}

impl Printer {
    /// Makes a printer in the socket `socket`, switched on and plugged in.
    pub fn plugged(socket: usize) -> Result<Self> {
        let pnp = b"MFG:EPSON;MDL:TM-T88V;CMD:ESC/POS;CLS:PRINTER;".to_vec();
        let function =
            Function { name: "printer.p", settings: vec![("pnp_string", pnp), ("q_len", b"1".to_vec())] };
        let identity = Identity { vendor: 0x0416, product: 0x5011, serial: "P0" };
        let mut printer = Self::off(Some(Gadget::new(socket, &identity, &function)?), NODE.to_owned());
        printer.plug()?;
        Ok(printer)
    }

    /// A printer in the socket `socket` that shows itself as a serial port, switched on and plugged in.
    pub fn com(socket: usize) -> Result<Self> {
        let function = Function { name: "acm.paper", settings: vec![] };
        let identity = Identity { vendor: 0x0416, product: 0x5012, serial: "P1" };
        let gadget = Gadget::new(socket, &identity, &function)?;
        let node = format!("/dev/ttyGS{}", gadget.number("acm.paper", "port_num")?);
        let mut printer = Self::off(Some(gadget), node);
        printer.plug()?;
        Ok(printer)
    }

    /// The node that the kernel made for it on the near side.
    pub fn port(&self) -> Result<PathBuf> {
        let gadget = self.gadget.as_ref().context("no USB printer")?;
        until("a port", 2.0, || {
            let ports = std::fs::read_dir("/sys/class/tty")?.flatten();
            let mut mine = ports.filter(|port| port.file_name().as_encoded_bytes().starts_with(b"ttyACM"));
            let mine =
                mine.find(|port| std::fs::canonicalize(port.path()).is_ok_and(|path| gadget.has(&path)));
            Ok(mine.map(|port| Path::new("/dev").join(port.file_name())))
        })
    }

    /// A serial printer at the far end of a cable.
    pub fn on_cable(node: &str) -> Result<Self> {
        let mut printer = Self::off(None, node.to_owned());
        printer.switch_on(tty(node)?);
        Ok(printer)
    }

    fn off(gadget: Option<Gadget>, node: String) -> Self {
        let inside = Inside {
            paper: true,
            paper_for: None,
            answers: true,
            jam_after: None,
            automatic: false,
            waiting: VecDeque::new(),
            printed: Vec::new(),
            first: None,
        };
        Self { gadget, node, inside: Arc::new(Mutex::new(inside)), running: None }
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts paper in; when that was.
    pub fn load(&self) -> Instant {
        self.inside().paper = true;
        Instant::now()
    }

    /// How many receipts are on the paper, whole or not.
    pub fn receipts(&self) -> usize {
        let head = GB18030.encode("朝阳门店").0;
        self.inside().printed.windows(head.len()).filter(|bytes| *bytes == head.as_ref()).count()
    }

    /// How often the drawer was opened: ESC p and its three bytes, the pulse times among them.
    pub fn pulses(&self) -> usize {
        self.inside().printed.windows(5).filter(|bytes| *bytes == [0x1b, 0x70, 0, 0x19, 0xfa]).count()
    }

    /// Whether a text is on the last receipt.
    pub fn has(&self, text: &str) -> bool {
        let text = GB18030.encode(text).0;
        let inside = self.inside();
        let last = inside.printed.len().saturating_sub(RECEIPT);
        inside.printed[last..].windows(text.len()).any(|bytes| bytes == text.as_ref())
    }

    /// How long after `since` the first byte came.
    pub fn first(&self, since: Instant) -> Result<Duration> {
        until("a first byte", 10.0, || {
            Ok(self.inside().first.map(|first| first.saturating_duration_since(since)))
        })
    }

    /// Waits until it stands still.
    pub fn stuck(&self) -> Result<()> {
        until("the printer stands still", 5.0, || Ok((self.inside().jam_after == Some(0)).then_some(())))
    }

    pub fn plug(&mut self) -> Result<()> {
        self.gadget.as_ref().context("no USB printer")?.plug()?;
        let mut wire = until(&self.node, 2.0, || Ok(self.wire().ok()))?;
        // What its port still holds from before is forgotten as well. Before the plug it cannot be read.
        while self.node == NODE && wire.read(&mut [0; ROOM]).is_ok_and(|got| got > 0) {}
        self.switch_on(wire);
        Ok(())
    }

    fn wire(&self) -> Result<File> {
        if self.node != NODE {
            return tty(&self.node);
        }
        let modes = OFlags::NONBLOCK.bits() as i32;
        Ok(OpenOptions::new().read(true).write(true).custom_flags(modes).open(&self.node)?)
    }

    fn switch_on(&mut self, wire: File) {
        let stop = Arc::new(AtomicBool::new(false));
        let (inside, stopped) = (Arc::clone(&self.inside), Arc::clone(&stop));
        let thread = std::thread::spawn(move || run(wire, &inside, &stopped));
        self.running = Some((stop, thread));
    }

    /// Pulls the plug: what is in the buffer is lost.
    pub fn pull(&mut self) -> Result<()> {
        self.gadget.as_ref().context("no USB printer")?.pull()?;
        self.switch_off();
        Ok(())
    }

    fn switch_off(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
        let mut inside = self.inside();
        inside.waiting.clear();
        inside.automatic = false;
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        self.switch_off();
    }
}

/// Works until it is told to stop.
fn run(mut wire: File, inside: &Mutex<Inside>, stop: &AtomicBool) -> Result<()> {
    const NAP: Duration = Duration::from_millis(10);
    let mut lines = 0;
    let mut bytes = [0; ROOM];
    let mut heard = [0; 2];
    while !stop.load(Ordering::Relaxed) {
        let mut ready = [PollFd::new(&wire, PollFlags::IN)];
        poll(&mut ready, Some(&Timespec::try_from(NAP)?))?;
        let readable = ready[0].revents().contains(PollFlags::IN);
        let mut inside = inside.lock().unwrap_or_else(PoisonError::into_inner);
        let room = ROOM - inside.waiting.len();
        let got = if readable && room > 0 { wire.read(&mut bytes[..room]).unwrap_or(0) } else { 0 };
        let mut answers = Vec::new();
        for byte in &bytes[..got] {
            inside.waiting.push_back(*byte);
            // Real-time questions are answered as they arrive, whatever waits before them.
            if heard == [0x10, 0x04] && (1..=4).contains(byte) {
                let question = inside.waiting.len().saturating_sub(3);
                inside.waiting.truncate(question);
                answers.push(inside.status(*byte));
            }
            heard = [heard[1], *byte];
        }
        if inside.first.is_none() && !inside.waiting.is_empty() {
            inside.first = Some(Instant::now());
        }
        answers.extend(inside.print());
        let now = inside.lines();
        if now != lines {
            lines = now;
            // A serial printer has none.
            let _ = set_lines(&wire, now);
            if inside.automatic {
                answers.extend(inside.automatic_status());
            }
        }
        if inside.answers {
            // Nobody may be listening.
            let _ = wire.write(&answers);
        }
        drop(inside);
        // It is full, or the plug is out.
        if readable && got == 0 {
            std::thread::sleep(NAP);
        }
    }
    Ok(())
}

impl Inside {
    /// The answer to DLE EOT n.
    fn status(&self, n: u8) -> u8 {
        match (self.paper, n) {
            (true, _) => 0x12,
            (false, 1) => 0x1a,
            (false, 2) => 0x32,
            (false, 3) => 0x12,
            (false, _) => 0x7e,
        }
    }

    /// What it says by itself: offline, and paper end.
    fn automatic_status(&self) -> [u8; 4] {
        if self.paper { [0x10, 0, 0, 0] } else { [0x18, 0, 0x0c, 0] }
    }

    /// The port's status lines: no error, selected, and whether the paper is out (linux/lp.h).
    fn lines(&self) -> u8 {
        if self.paper || !self.answers { 0x18 } else { 0x38 }
    }

    /// Prints what waits, as far as there is paper; what is to be said after it.
    fn print(&mut self) -> Vec<u8> {
        let mut answers = Vec::new();
        while self.paper
            && self.jam_after != Some(0)
            && let Some(byte) = self.waiting.pop_front()
        {
            self.printed.push(byte);
            if let Some(left) = &mut self.jam_after {
                *left -= 1;
            }
            if let Some(left) = &mut self.paper_for {
                *left -= 1;
                if *left == 0 {
                    self.paper_for = None;
                    self.paper = false;
                }
            }
            match self.printed.as_slice() {
                [.., 0x1d, 0x28, 0x48, 6, 0, 0x30, 0x30, a, b, c, d] => {
                    answers.extend([0x37, 0x22, *a, *b, *c, *d, 0]);
                }
                [.., 0x1d, 0x72, 1 | 0x31] => answers.push(0),
                [.., 0x1d, 0x61, which] => {
                    self.automatic = *which != 0;
                    if self.automatic {
                        answers.extend(self.automatic_status());
                    }
                }
                _ => {}
            }
        }
        answers
    }
}

/// Sets what LPGETSTATUS reads (`GADGET_SET_PRINTER_STATUS`, linux/usb/g_printer.h).
fn set_lines(wire: &File, lines: u8) -> Result<()> {
    const SET: rustix::ioctl::Opcode = opcode::read_write::<u8>(b'g', 0x22);
    // SAFETY: the kernel takes the argument as a number; any other file refuses the call.
    #[allow(unsafe_code)]
    let done = unsafe { ioctl(wire, IntegerSetter::<SET>::new_usize(lines.into())) };
    Ok(done?)
}
