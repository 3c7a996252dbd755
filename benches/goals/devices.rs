//! Pseudo-terminals as the scanner and the printer of a bench.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Our end of a pseudo-terminal, and the path of the other one.
pub fn pseudo_terminal() -> Result<(File, PathBuf)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    Ok((File::from(master), PathBuf::from(name.to_str()?)))
}

/// The floor of a scan: a byte written to a pseudo-terminal wakes a thread that does nothing but wait for it.
pub struct Tty {
    master: File,
    woken: Receiver<Instant>,
}

impl Tty {
    pub fn start() -> Result<Self> {
        let (master, path) = pseudo_terminal()?;
        let mut slave = File::options().read(true).write(true).open(path)?;
        let mut modes = tcgetattr(&slave)?;
        modes.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        let (tell, woken) = channel();
        thread::spawn(move || {
            let mut byte = [0; 64];
            while slave.read(&mut byte).is_ok_and(|read| read > 0) && tell.send(Instant::now()).is_ok() {}
        });
        Ok(Self { master, woken })
    }

    pub fn hop(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.master.write_all(b"\r")?;
        Ok(self.woken.recv()? - began)
    }
}

/// What one receipt looked like from the printer.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// The first byte of anything: a question, if the daemon asks first.
    pub first_byte: Instant,
    /// The first byte of the receipt itself.
    pub first_of_receipt: Instant,
}

/// A printer that answers status questions as a ready one does, and whoever asks behind the cut.
pub struct Printer {
    pub path: PathBuf,
    pub sheets: Receiver<Sheet>,
}

impl Printer {
    pub fn start() -> Result<Self> {
        let (master, path) = pseudo_terminal()?;
        let (tell, sheets) = channel();
        // The other side opens and closes: reading fails with EIO until it is open.
        thread::spawn(move || {
            let mut master = master;
            let mut chunk = [0; 4096];
            let mut job = Job::default();
            loop {
                match master.read(&mut chunk) {
                    Ok(0) | Err(_) => thread::sleep(Duration::from_millis(5)),
                    Ok(read) => {
                        let (answer, sheet) = job.take(&chunk[..read], Instant::now());
                        let _ = master.write_all(&answer);
                        if sheet.is_some_and(|sheet| tell.send(sheet).is_err()) {
                            return;
                        }
                    }
                }
            }
        });
        Ok(Self { path, sheets })
    }
}

#[derive(Default)]
struct Job {
    asked: Option<Instant>,
    receipt: Option<Instant>,
    /// The last bytes of the receipt so far.
    tail: Vec<u8>,
}

impl Job {
    /// The answers to these bytes, and the receipt that they end.
    fn take(&mut self, mut bytes: &[u8], at: Instant) -> (Vec<u8>, Option<Sheet>) {
        let mut answer = Vec::new();
        if self.receipt.is_none() {
            // DLE EOT n: ready; GS a n: sets what it says by itself.
            while let [0x10, 0x04, _, rest @ ..] | [0x1D, b'a', _, rest @ ..] = bytes {
                if bytes[0] == 0x10 {
                    self.asked.get_or_insert(at);
                    answer.push(0x12);
                }
                bytes = rest;
            }
            if bytes.is_empty() {
                return (answer, None);
            }
            self.receipt = Some(at);
        }
        self.tail.extend_from_slice(bytes);
        let keep = self.tail.len().saturating_sub(64);
        self.tail.drain(..keep);
        let name = self.tail.windows(7).position(|seven| seven == [0x1D, b'(', b'H', 6, 0, 0x30, 0x30]);
        let id = name.and_then(|at| self.tail.get(at + 7..at + 11));
        match (id, self.tail.as_slice()) {
            (Some(id), _) => answer.extend([&[0x37, 0x22], id, &[0]].concat()),
            (None, [.., 0x1D, b'r', _]) => answer.push(0),
            (None, _) => return (answer, None),
        }
        let first_of_receipt = self.receipt.take().unwrap_or(at);
        // A look between two jobs is long ago: only the questions right before the receipt belong to it.
        let asked = self.asked.take().filter(|asked| first_of_receipt - *asked < Duration::from_millis(50));
        self.tail.clear();
        (answer, Some(Sheet { first_byte: asked.unwrap_or(first_of_receipt), first_of_receipt }))
    }
}
