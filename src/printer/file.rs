//! A file, a directory, a FIFO or any character device in the printer's place: for tests, the demo, and devices that need
//! no more than bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::link::{Link, Open, Raw, absent};

/// What opens the path.
pub struct Paths {
    path: PathBuf,
}

impl Paths {
    /// A directory gets one file a job; a regular file (made when it is not there) gets every job appended; anything
    /// else is written to as a device.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    fn try_open(&self) -> io::Result<Box<dyn Link>> {
        let kind = match std::fs::metadata(&self.path) {
            Ok(found) => Some(found.file_type()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match kind {
            Some(kind) if kind.is_dir() => {
                Ok(Box::new(Sheet::new(Place::Folder(self.path.clone()), Some(&self.path))))
            }
            Some(kind) if kind.is_fifo() => {
                // Without a reader this is ENXIO, as a printer that is switched off.
                let flags = OFlags::NONBLOCK.bits() as i32;
                let fifo = OpenOptions::new().write(true).custom_flags(flags).open(&self.path)?;
                Ok(Box::new(OneWay(Raw::new(fifo))))
            }
            Some(kind) if kind.is_char_device() => {
                let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
                let device =
                    OpenOptions::new().read(true).write(true).custom_flags(flags).open(&self.path)?;
                raw_terminal(&device)?;
                Ok(Box::new(Device(Raw::new(device))))
            }
            _ => {
                let file = OpenOptions::new().append(true).create(true).open(&self.path)?;
                let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
                // A name that was there is safe already.
                let folder = kind.is_none().then(|| parent.unwrap_or(Path::new(".")));
                Ok(Box::new(Sheet::new(Place::File(file), folder)))
            }
        }
    }
}

/// A terminal must not turn line feeds into two bytes, echo what the printer says, or keep it until a line is whole.
fn raw_terminal(device: &File) -> io::Result<()> {
    if rustix::termios::isatty(device) {
        let mut modes = rustix::termios::tcgetattr(device)?;
        modes.make_raw();
        rustix::termios::tcsetattr(device, rustix::termios::OptionalActions::Now, &modes)?;
    }
    Ok(())
}

impl Open for Paths {
    fn open(&mut self) -> Result<Box<dyn Link>, String> {
        let name = self.path.display().to_string();
        self.try_open().map_err(|error| absent(&name, &error))
    }

    /// A device stays open; of files each job opens its own.
    fn stays_open(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|found| {
            let kind = found.file_type();
            kind.is_char_device() || kind.is_fifo()
        })
    }
}

/// Where a job goes.
enum Place {
    /// Into a file of its own, made when its first byte comes.
    Folder(PathBuf),
    /// To the end of this one.
    File(File),
}

/// A file as paper.
struct Sheet {
    place: Place,
    /// The directory that a new name is in.
    folder: Option<PathBuf>,
    started: Instant,
}

impl Sheet {
    fn new(place: Place, folder: Option<&Path>) -> Self {
        Self { place, folder: folder.map(Path::to_owned), started: Instant::now() }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        if let Place::Folder(folder) = &self.place {
            self.place = Place::File(next_file(folder)?);
        }
        match &mut self.place {
            Place::File(file) => Ok(file),
            Place::Folder(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn next_file(folder: &Path) -> io::Result<File> {
    let made = std::fs::read_dir(folder)?.count();
    for number in made + 1.. {
        let path = folder.join(format!("receipt-{number:06}.bin"));
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::StorageFull.into())
}

impl Link for Sheet {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn send(&mut self, bytes: &[u8], _: Duration) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn receive(&mut self, _: &mut [u8], _: Duration) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn is_paper(&self) -> bool {
        true
    }

    /// The journal will say that it was printed, so it must be on the disk first: the bytes, and the name.
    fn keep(&mut self) -> io::Result<()> {
        self.file()?.sync_all()?;
        self.folder.as_ref().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn close(self: Box<Self>, _: Duration) {}
}

/// The writing end of a FIFO: nothing ever comes back.
struct OneWay(Raw<File>);

impl Link for OneWay {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.0.send(bytes, wait)
    }

    fn receive(&mut self, _: &mut [u8], _: Duration) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn close(self: Box<Self>, _: Duration) {}
}

/// A device node: bytes there, and bytes back if it has any.
struct Device(Raw<File>);

impl Link for Device {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.0.send(bytes, wait)
    }

    fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.0.receive(into, wait)
    }

    fn close(self: Box<Self>, _: Duration) {}
}
