//! Writes down what the kernel hands to a reader of a scanner, for the tests that replay it without a machine:
//! `tests/vm/run record`. One line an event or report: `recorded NAME HEX`.

use std::fs::{self, File};
use std::io::Read;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;

use crate::scanner::{ENTER, Key, Scanner, on_keypad, shifted, typed};

/// No customer has these.
const CODE: &str = "134500000000001234";
const LONG: &str = "134500000000001234567890";

/// `struct input_event` on 64 bits (linux/input.h).
const EVENT: usize = 24;

/// After a silence of this length nothing more comes.
const QUIET: Duration = Duration::from_millis(300);

pub fn all(keyboard: &Scanner, point_of_sale: &Scanner) -> Result<()> {
    let plain = typed(CODE, ENTER);
    let french = shifted(CODE, ENTER);
    let keypad = on_keypad(CODE, Key(0, 0x58));
    let aim = typed(&format!("]Q1{CODE}"), ENTER);
    for (name, keys) in
        [("keys", &plain), ("keys-shift", &french), ("keys-keypad", &keypad), ("keys-aim", &aim)]
    {
        let read = during(File::open(keyboard.node()?)?, || keyboard.keys(keys))?;
        write(name, read.concat().chunks(EVENT));
    }
    // Nobody reads until the scan is over.
    let mut late = File::open(keyboard.node()?)?;
    keyboard.scan(LONG)?;
    sleep(QUIET);
    let mut events = vec![0; 4096];
    let length = late.read(&mut events)?;
    write("keys-stalled", events[..length].chunks(EVENT));

    let node = point_of_sale.node()?;
    let name = node.file_name().context("a node without a name")?.to_string_lossy().into_owned();
    let descriptor = fs::read(format!("/sys/class/hidraw/{name}/device/report_descriptor"))?;
    write("reports-descriptor", std::iter::once(descriptor.as_slice()));
    let read = during(File::open(&node)?, || point_of_sale.scan(CODE))?;
    write("reports", read.iter().map(Vec::as_slice));
    let read = during(File::open(&node)?, || {
        point_of_sale.report(b"]Q1", &CODE.as_bytes()[..10], true)?;
        point_of_sale.report(b"]Q1", &CODE.as_bytes()[10..], false)
    })?;
    write("reports-two", read.iter().map(Vec::as_slice));
    Ok(())
}

/// What is read from a device while something happens to it, a read each.
fn during(mut device: File, happens: impl FnOnce() -> Result<()>) -> Result<Vec<Vec<u8>>> {
    rustix::fs::fcntl_setfl(&device, OFlags::NONBLOCK)?;
    scope(|both| {
        let reader = both.spawn(move || {
            let (mut reads, mut last) = (Vec::new(), Instant::now());
            while last.elapsed() < QUIET {
                let mut bytes = [0; 1024];
                match device.read(&mut bytes) {
                    Ok(length) => {
                        reads.push(bytes[..length].to_vec());
                        last = Instant::now();
                    }
                    Err(_) => sleep(Duration::from_millis(1)),
                }
            }
            reads
        });
        happens()?;
        let reads = reader.join().unwrap_or_default();
        ensure!(!reads.is_empty(), "nothing was read");
        Ok(reads)
    })
}

fn write<'a>(name: &str, parts: impl Iterator<Item = &'a [u8]>) {
    for part in parts {
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("recorded {name} {hex}");
    }
}
