//! Turns the hands of a running daemon's clocks, without a word of its own code: `clock_gettime` in the page that the kernel
//! lends to the process (vdso(7)) is replaced by the system call and an offset, which is written there from outside.
//! Time-outs that the kernel keeps go on as they are, like on a machine whose clock is set.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;

use nix::sys::ptrace;

use crate::tracer;

/// Clocks by their kernel's numbers (clock_gettime(2)); the coarse ones and the atomic one go with the wall.
const WALL: [u64; 3] = [0, 5, 11];
const BOOT: [u64; 1] = [7];
const CLOCKS: usize = 12;

/// `mov eax, 228; syscall; mov edi, edi; lea rcx, [rip + 8]; mov rcx, [rcx + 8 * rdi]; add [rsi], rcx; ret`; the offsets of
/// the clocks follow, in seconds.
const CODE: [u8; 24] = [
    0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0x89, 0xff, 0x48, 0x8d, 0x0d, 8, 0, 0, 0, 0x48, 0x8b, 0x0c, 0xf9, 0x48,
    0x01, 0x0e, 0xc3,
];

/// The clocks of one process.
pub struct Hands {
    memory: File,
    offsets: u64,
}

impl Hands {
    /// Takes them over, before the daemon has shut everybody out of its memory.
    fn of(pid: u32) -> Self {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("its memory map");
        let page = maps.lines().find(|line| line.ends_with("[vdso]")).expect("the kernel's page");
        let (from, rest) = page.split_once('-').expect("a range");
        let to = rest.split(' ').next().expect("an end");
        let address = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (address(from), address(to));
        let memory =
            OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).expect("its memory");
        let mut image = vec![0; usize::try_from(to - from).expect("small")];
        memory.read_exact_at(&mut image, from).expect("the page");
        let (at, size) = symbol(&image, "__vdso_clock_gettime");
        assert!(size >= CODE.len() + 8 * CLOCKS, "clock_gettime is {size} bytes long, and is to hold ours");
        let at = from + u64::try_from(at).expect("an address");
        let offsets = at + u64::try_from(CODE.len()).expect("small");
        memory.write_all_at(&[0; 8 * CLOCKS], offsets).expect("the offsets");
        memory.write_all_at(&CODE, at).expect("the code");
        Self { memory, offsets }
    }

    /// Sets the wall clock so many seconds before or after the true one.
    pub fn set_wall(&self, seconds: i64) {
        self.set(&WALL, seconds);
    }

    /// As after a sleep of the machine: the wall clock and the time since boot went on, monotonic time stood still.
    pub fn suspend(&self, seconds: i64) {
        self.set(&WALL, seconds);
        self.set(&BOOT, seconds);
    }

    fn set(&self, clocks: &[u64], seconds: i64) {
        for clock in clocks {
            self.memory.write_all_at(&seconds.to_le_bytes(), self.offsets + 8 * clock).expect("an offset");
        }
    }
}

/// Where a function is in the image, and how long it is, by its table of dynamic symbols (elf(5)).
fn symbol(image: &[u8], name: &str) -> (usize, usize) {
    let number = |at: usize, bytes: usize| {
        image[at..at + bytes].iter().rev().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte))
    };
    let section = |n: usize| number(0x28, 8) + n * number(0x3a, 2);
    const DYNSYM: usize = 11;
    let table = (0..number(0x3c, 2)).map(section).find(|at| number(at + 4, 4) == DYNSYM).expect("symbols");
    let (symbols, size) = (number(table + 0x18, 8), number(table + 0x20, 8));
    let names = number(section(number(table + 0x28, 4)) + 0x18, 8);
    let found = (symbols..symbols + size).step_by(24).find(|at| {
        let text = &image[names + number(*at, 4)..];
        text.starts_with(name.as_bytes()) && text[name.len()] == 0
    });
    let found = found.expect("the function");
    (number(found + 8, 8), number(found + 16, 8))
}

/// A daemon whose clocks were wrong from its first instruction on; killed with this value.
pub struct Born {
    child: Child,
    pub hands: Hands,
}

impl Born {
    /// Starts it with the wall clock so many seconds off.
    pub fn with_wall(seconds: i64, program: &Path, configuration: &Path, log: File) -> Self {
        let (child, pid) = tracer::start(program, configuration, log);
        let hands = Hands::of(child.id());
        hands.set_wall(seconds);
        ptrace::detach(pid, None).expect("it goes on");
        Self { child, hands }
    }
}

impl Drop for Born {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
