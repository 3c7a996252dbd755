//! A USB device made of software: the far end of a cable that can be pulled. The kernel's dummy_hcd is both the socket
//! and the plug, so the near end is an ordinary device of an ordinary driver.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::until;

const GADGETS: &str = "/sys/kernel/config/usb_gadget";

/// A plugged or unplugged device.
pub struct Gadget {
    folder: PathBuf,
    /// The socket it is plugged into (dummy_hcd's number): each gadget has its own.
    socket: usize,
}

/// Who a device says that it is.
pub struct Identity {
    pub vendor: u16,
    pub product: u16,
    pub serial: &'static str,
}

/// What a device can do: the name of a gadget function and its settings (Documentation/usb/gadget-testing.rst).
pub struct Function {
    pub name: &'static str,
    pub settings: Vec<(&'static str, Vec<u8>)>,
}

impl Gadget {
    /// Makes a device for the socket `socket`; it is not plugged in yet.
    pub fn new(socket: usize, identity: &Identity, function: &Function) -> Result<Self> {
        let folder = Path::new(GADGETS).join(format!("g{socket}"));
        let write = |file: &str, bytes: &[u8]| {
            let file = folder.join(file);
            fs::write(&file, bytes).with_context(|| format!("write {}", file.display()))
        };
        fs::create_dir(&folder)?;
        write("idVendor", format!("{:#06x}", identity.vendor).as_bytes())?;
        write("idProduct", format!("{:#06x}", identity.product).as_bytes())?;
        fs::create_dir(folder.join("strings/0x409"))?;
        write("strings/0x409/manufacturer", b"micropayd")?;
        write("strings/0x409/product", function.name.as_bytes())?;
        write("strings/0x409/serialnumber", identity.serial.as_bytes())?;
        fs::create_dir(folder.join("configs/c.1"))?;
        let place = folder.join("functions").join(function.name);
        fs::create_dir(&place).with_context(|| format!("function {}", function.name))?;
        for (file, value) in &function.settings {
            write(&format!("functions/{}/{file}", function.name), value)?;
        }
        symlink(&place, folder.join("configs/c.1").join(function.name))?;
        Ok(Self { folder, socket })
    }

    /// Plugs it in, and waits until the kernel has found it.
    pub fn plug(&self) -> Result<()> {
        if fs::read_to_string(self.folder.join("UDC"))?.trim().is_empty() {
            fs::write(self.folder.join("UDC"), format!("dummy_udc.{}", self.socket))?;
        } else {
            self.power(true)?;
        }
        until("the near side has found it", 5.0, || Ok(self.is_seen()?.then_some(())))
    }

    /// Pulls the plug.
    pub fn pull(&self) -> Result<()> {
        self.power(false)?;
        until("the near side has noticed", 5.0, || Ok((!self.is_seen()?).then_some(())))
    }

    /// Switches the socket on or off. The function stays bound: Linux 6.1 crashes when it is taken away under a transfer.
    fn power(&self, on: bool) -> Result<()> {
        let bus = self.bus()?;
        let number =
            bus.file_name().and_then(|name| name.to_str()).unwrap_or_default().trim_start_matches("usb");
        let port = bus.join(format!("{number}-0:1.0/usb{number}-port1/disable"));
        fs::write(&port, if on { "0" } else { "1" }).with_context(|| port.display().to_string())
    }

    /// The near side's bus, which has this one socket.
    fn bus(&self) -> Result<PathBuf> {
        let controller = format!("/sys/devices/platform/dummy_hcd.{}", self.socket);
        let mut inside = fs::read_dir(&controller)?.flatten().map(|entry| entry.path());
        let bus = inside
            .find(|entry| entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"usb")));
        bus.with_context(|| format!("no bus in {controller}"))
    }

    /// Whether the near side has this device and a driver for it.
    fn is_seen(&self) -> Result<bool> {
        let bus = self.bus()?;
        let configured = |device: &fs::DirEntry| device.path().join("bConfigurationValue");
        let mut devices = fs::read_dir(&bus)?.flatten();
        Ok(devices.any(|device| {
            device.path().join("serial").exists()
                && fs::read_to_string(configured(&device)).is_ok_and(|value| value.trim() == "1")
        }))
    }

    /// Whether something on the near side, by its place in /sys, belongs to this device.
    pub fn has(&self, place: &Path) -> bool {
        self.bus().is_ok_and(|bus| place.starts_with(bus))
    }

    /// A file of the function that tells which node its device side has.
    pub fn number(&self, function: &str, file: &str) -> Result<u32> {
        let text = fs::read_to_string(self.folder.join("functions").join(function).join(file))?;
        // `dev` is major:minor, `port_num` one number.
        text.trim().rsplit(':').next().unwrap_or_default().parse().with_context(|| format!("{file}: {text}"))
    }
}
