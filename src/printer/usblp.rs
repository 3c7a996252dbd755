//! A USB printer behind the kernel's usblp driver: found by what it is, because its number changes.
//!
//! What is said here about the driver is from `drivers/usb/class/usblp.c` (Linux 6.1).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::OFlags;

use super::link::{self, Link, Open, Raw, absent};
use super::profile::UsbId;
use crate::ioctl;

/// What finds and opens the printer.
pub struct Port {
    path: Option<PathBuf>,
    usb: Vec<UsbId>,
    /// Where the kernel lists printers: `/sys/class/usbmisc`.
    listed: PathBuf,
    /// Where their nodes are: `/dev/usb`.
    nodes: PathBuf,
}

impl Port {
    /// The printer at `path`; where that is not there or not said, the one printer with one of these ids (with any, when
    /// there are none).
    pub fn new(path: Option<&Path>, usb: &[UsbId]) -> Self {
        Self {
            path: path.map(Path::to_owned),
            usb: usb.to_owned(),
            listed: PathBuf::from("/sys/class/usbmisc"),
            nodes: PathBuf::from("/dev/usb"),
        }
    }

    fn find(&self) -> Result<PathBuf, String> {
        if let Some(path) = &self.path
            && path.exists()
        {
            return Ok(path.clone());
        }
        let mut found: Vec<String> = std::fs::read_dir(&self.listed)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("lp") && self.wanted(name))
            .collect();
        found.sort();
        match &found[..] {
            [] => {
                let name = self.path.as_deref().unwrap_or(Path::new("USB")).display().to_string();
                Err(absent(&name, &io::ErrorKind::NotFound.into()))
            }
            [one] => Ok(self.nodes.join(one)),
            several => Err(format!(
                "有多台 USB 打印机（{}），请在设置中写明 path several USB printers: name one with path",
                several.join(", ")
            )),
        }
    }

    fn wanted(&self, name: &str) -> bool {
        // The class device stands for an interface; the ids are those of the device above it.
        let device = self.listed.join(name).join("device/..");
        let id = |file: &str| {
            let text = std::fs::read_to_string(device.join(file)).ok()?;
            u16::from_str_radix(text.trim(), 16).ok()
        };
        self.usb.is_empty()
            || id("idVendor").is_some_and(|vendor| {
                self.usb.iter().any(|usb| {
                    usb.vendor == vendor && usb.product.is_none_or(|product| id("idProduct") == Some(product))
                })
            })
    }
}

impl Open for Port {
    fn open(&mut self) -> Result<Box<dyn Link>, String> {
        let path = self.find()?;
        // Never blocking: a blocking write waits for ever on a printer without paper.
        let flags = OFlags::NONBLOCK.bits() as i32;
        let opened = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path);
        let device = opened.map_err(|error| absent(&path.display().to_string(), &error))?;
        Ok(Box::new(Line(Raw::new(device))))
    }

    fn stays_open(&self) -> bool {
        true
    }
}

struct Line(Raw<File>);

/// Between two reads of a printer that always has nothing to say.
const EMPTY_REST: Duration = Duration::from_millis(20);

impl Link for Line {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.0.send(bytes, wait)
    }

    fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        match self.0.receive(into, wait) {
            // Here an empty packet is no end: an unplugged printer is ENODEV.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                std::thread::sleep(wait.min(EMPTY_REST));
                Ok(0)
            }
            other => other,
        }
    }

    /// Asked over the control pipe, so that it is answered also while the data pipe is stuck.
    fn port(&mut self) -> Option<u8> {
        ioctl::printer_port(self.0.fd().as_fd()).ok()
    }

    /// Closing ends a transfer that is under way, and the driver has called its bytes written: it must end by itself first.
    fn close(self: Box<Self>, wait: Duration) {
        // A printer that does not end it in time was reported before.
        let _ = link::ready(self.0.fd().as_fd(), PollFlags::OUT, wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sysfs as the kernel builds it: `lp1 → interface`, ids in the device above.
    fn plugged(root: &Path, printers: &[(&str, &str, &str)]) -> Port {
        for (name, vendor, product) in printers {
            let interface = root.join(format!("devices/{name}/1-1:1.0"));
            std::fs::create_dir_all(&interface).unwrap();
            std::fs::write(root.join(format!("devices/{name}/idVendor")), format!("{vendor}\n")).unwrap();
            std::fs::write(root.join(format!("devices/{name}/idProduct")), format!("{product}\n")).unwrap();
            std::fs::create_dir_all(root.join(format!("class/{name}"))).unwrap();
            std::os::unix::fs::symlink(&interface, root.join(format!("class/{name}/device"))).unwrap();
        }
        let mut port = Port::new(Some(Path::new("/nonexistent/lp0")), &[]);
        port.listed = root.join("class");
        port.nodes = PathBuf::from("/dev/usb");
        port
    }

    fn usb(text: &str) -> Vec<UsbId> {
        vec![UsbId::try_from(text.to_owned()).unwrap()]
    }

    #[test]
    fn a_printer_is_found_by_what_it_is() {
        let root = tempfile::tempdir().unwrap();
        let mut port = plugged(
            root.path(),
            &[("lp1", "0416", "5011"), ("lp4", "04b8", "0e03"), ("hiddev0", "04b8", "1")],
        );
        port.usb = usb("04b8:0e03");
        assert_eq!(port.find(), Ok(PathBuf::from("/dev/usb/lp4")));
        port.usb = usb("0416");
        assert_eq!(port.find(), Ok(PathBuf::from("/dev/usb/lp1")));
        port.usb = usb("0416:9999");
        assert!(port.find().unwrap_err().contains("not found"));
        port.usb.clear();
        assert!(port.find().unwrap_err().contains("lp1, lp4"));
        port.path = Some(root.path().to_owned());
        assert_eq!(port.find(), Ok(root.path().to_owned()), "a path that is there is taken as it is");
    }

    #[test]
    fn no_printer_at_all_is_a_sentence() {
        let root = tempfile::tempdir().unwrap();
        assert!(plugged(root.path(), &[]).find().unwrap_err().contains("未找到"));
    }
}
