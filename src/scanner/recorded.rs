//! What Linux 6.1 handed to readers of a scanner, written down by `tests/vm/run record`: an event or report a line, in hex.

/// The bytes of each line of a recording.
pub fn lines(recording: &str) -> Vec<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    recording.lines().map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}
