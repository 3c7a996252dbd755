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
    /// The socket it is plugged into: each gadget has its own.
    controller: String,
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
        Ok(Self { folder, controller: format!("dummy_udc.{socket}") })
    }

    /// Plugs it in, and waits until the kernel has found it.
    pub fn plug(&self) -> Result<()> {
        fs::write(self.folder.join("UDC"), &self.controller)?;
        let state = Path::new("/sys/class/udc").join(&self.controller).join("state");
        until("the device is configured", 5.0, || {
            Ok((fs::read_to_string(&state)?.trim() == "configured").then_some(()))
        })
    }

    /// Pulls the plug.
    pub fn pull(&self) -> Result<()> {
        fs::write(self.folder.join("UDC"), "\n").context("pull the plug")
    }

    /// A file of the function that tells which node its device side has.
    pub fn number(&self, function: &str, file: &str) -> Result<u32> {
        let text = fs::read_to_string(self.folder.join("functions").join(function).join(file))?;
        // `dev` is major:minor, `port_num` one number.
        text.trim().rsplit(':').next().unwrap_or_default().parse().with_context(|| format!("{file}: {text}"))
    }
}
