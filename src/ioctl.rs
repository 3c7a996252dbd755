//! The kernel calls that rustix has no safe form for. Each is from the kernel's own
//! headers (Linux 6.1, `include/uapi`), which also give the sizes.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::BorrowedFd;

use rustix::ioctl::{Direction, Getter, IntegerSetter, Ioctl, IoctlOutput, Opcode, Setter, ioctl, opcode};

/// Takes a key device for this process alone (`EVIOCGRAB`, linux/input.h).
///
/// # Errors
///
/// `BUSY` when another process has it.
pub fn grab(device: BorrowedFd<'_>) -> io::Result<()> {
    const GRAB: Opcode = opcode::write::<c_int>(b'E', 0x90);
    // SAFETY: the argument is a number, not an address; any other file refuses the call.
    unsafe { ioctl(device, IntegerSetter::<GRAB>::new_usize(1)) }.map_err(io::Error::from)
}

/// Asks a key device to leave out all events of one type (`EVIOCSMASK`, linux/input.h).
pub fn leave_out(device: BorrowedFd<'_>, event_type: u16) -> io::Result<()> {
    #[repr(C)]
    struct Mask {
        event_type: u32,
        codes_size: u32,
        codes: u64,
    }
    const SET_MASK: Opcode = opcode::write::<Mask>(b'E', 0x93);
    // No bytes of mask: the kernel takes what is missing for zeros, and zero leaves out.
    let mask = Mask { event_type: event_type.into(), codes_size: 0, codes: 0 };
    // SAFETY: `Mask` is `struct input_mask`; with a size of 0 the kernel reads nothing at its address.
    unsafe { ioctl(device, Setter::<SET_MASK, Mask>::new(mask)) }.map_err(io::Error::from)
}

/// Lets a key device stamp its events with the monotonic clock (`EVIOCSCLOCKID`, linux/input.h).
pub fn stamp_monotonic(device: BorrowedFd<'_>) -> io::Result<()> {
    const SET_CLOCK: Opcode = opcode::write::<c_int>(b'E', 0xa0);
    const CLOCK_MONOTONIC: c_int = 1;
    // SAFETY: the kernel reads one `int` at the address.
    unsafe { ioctl(device, Setter::<SET_CLOCK, c_int>::new(CLOCK_MONOTONIC)) }.map_err(io::Error::from)
}

/// Sends a feature report to a raw HID device; its first byte is the report's number (`HIDIOCSFEATURE`, linux/hidraw.h).
pub fn send_feature(device: BorrowedFd<'_>, report: &mut [u8]) -> io::Result<()> {
    struct Feature<'a>(&'a mut [u8]);
    // SAFETY: the opcode carries the slice's own length, and the kernel stays within it.
    unsafe impl Ioctl for Feature<'_> {
        type Output = ();
        const IS_MUTATING: bool = true;
        fn opcode(&self) -> Opcode {
            opcode::from_components(Direction::ReadWrite, b'H', 0x06, self.0.len())
        }
        fn as_ptr(&mut self) -> *mut c_void {
            self.0.as_mut_ptr().cast()
        }
        unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
            Ok(())
        }
    }
    // A length is 14 bits in the opcode.
    if report.is_empty() || report.len() > 4096 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: see `Feature`.
    unsafe { ioctl(device, Feature(report)) }.map_err(io::Error::from)
}

/// Raises or lowers a serial line's DTR (`TIOCMBIS`, `TIOCMBIC`, asm-generic/ioctls.h: x86, ARM, RISC-V).
pub fn set_dtr(tty: BorrowedFd<'_>, raised: bool) -> io::Result<()> {
    const RAISE: Opcode = 0x5416;
    const LOWER: Opcode = 0x5417;
    const DTR: c_int = 0x002;
    // SAFETY: the kernel reads one `int` at the address.
    let done = unsafe {
        if raised {
            ioctl(tty, Setter::<RAISE, c_int>::new(DTR))
        } else {
            ioctl(tty, Setter::<LOWER, c_int>::new(DTR))
        }
    };
    done.map_err(io::Error::from)
}

/// The status lines of a printer port, in the bits of linux/lp.h (`LPGETSTATUS`, drivers/usb/class/usblp.c).
pub fn printer_port(printer: BorrowedFd<'_>) -> io::Result<u8> {
    const GET_STATUS: Opcode = 0x060b;
    // SAFETY: the kernel writes one `int` at the address.
    let lines = unsafe { ioctl(printer, Getter::<GET_STATUS, c_int>::new()) }?;
    Ok(lines as u8)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_kernels_headers() {
        // As printed by a C program with linux/input.h and linux/hidraw.h on x86-64.
        assert_eq!(opcode::write::<c_int>(b'E', 0x90), 0x4004_4590);
        assert_eq!(opcode::write::<[u8; 16]>(b'E', 0x93), 0x4010_4593);
        assert_eq!(opcode::write::<c_int>(b'E', 0xa0), 0x4004_45a0);
        assert_eq!(opcode::from_components(Direction::ReadWrite, b'H', 0x06, 2), 0xc002_4806);
    }

    #[test]
    fn a_file_of_another_kind_refuses() {
        let (device, _other) = io::pipe().unwrap();
        let device = device.as_fd();
        assert!(grab(device).is_err());
        assert!(leave_out(device, 4).is_err());
        assert!(stamp_monotonic(device).is_err());
        assert!(send_feature(device, &mut [254, 1]).is_err());
        assert!(send_feature(device, &mut []).is_err());
        assert!(printer_port(device).is_err());
        assert!(set_dtr(device, true).is_err() && set_dtr(device, false).is_err());
    }
}
