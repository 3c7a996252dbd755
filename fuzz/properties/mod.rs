//! What must be true of every parser of bytes from outside, whatever the bytes are: one function each, which panics if it
//! is not. The fuzz targets feed them with new bytes, `tests/fuzzed.rs` with the corpus. Never needs anything but the
//! library's public face.

mod api;
mod bill;
mod configuration;
mod gateway;
mod http;
mod keys;
mod log;
mod merchant;
mod paper;
mod printer;
mod reports;
mod serial;
mod simulator;

/// A parser's property.
pub type Property = fn(&[u8]);

/// Every property with the name of its target and its corpus.
pub const ALL: &[(&str, Property)] = &[
    ("api_http", http::holds),
    ("api_request", api::holds),
    ("bill", bill::holds),
    ("configuration", configuration::holds),
    ("gateway_changed", gateway::nothing_changed_is_believed),
    ("gateway_signed", gateway::nothing_foreign_is_believed),
    ("log", log::holds),
    ("paper", paper::holds),
    ("printer_status", printer::holds),
    ("scanner_keys", keys::holds),
    ("scanner_reports", reports::holds),
    ("scanner_serial", serial::holds),
    ("simulator_counter", simulator::holds),
];

/// Takes the first `N` bytes off; zeros where there are none.
fn head<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let mut head = [0; N];
    let length = N.min(data.len());
    head[..length].copy_from_slice(&data[..length]);
    *data = &data[length..];
    head
}

/// Takes a part off: two bytes of length, then so many bytes, or what is left.
fn part<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let length = usize::from(u16::from_le_bytes(head(data))).min(data.len());
    let (part, rest) = data.split_at(length);
    *data = rest;
    part
}

/// Whether a run of this many digits is in the text: a payment code, or a part of one.
fn has_digits(text: &str, count: usize) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= count)
}
