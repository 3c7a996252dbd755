//! A point-of-sale scanner's descriptor and its reports: whatever the device says about itself, a code is made of bytes
//! that its reports held, in their order, and none twice.

use std::time::Duration;

use micropayd::scanner::End;
use micropayd::scanner::framing::{Framer, Pace};
use micropayd::scanner::hidpos::{Layout, Reports};
use micropayd::scanner::line::Decode;

use super::part;

/// A descriptor with its length before it, then reports with theirs.
pub fn holds(mut data: &[u8]) {
    let Some(layout) = Layout::from_descriptor(part(&mut data)) else { return };
    let pace = Pace { gap: Duration::from_millis(100), stale: Duration::from_millis(1000) };
    let mut reports = Reports::new(Framer::new(End::Report, b"", b"", pace), layout);
    let mut came = Vec::new();
    let mut at = Duration::from_secs(10);
    while !data.is_empty() {
        at += Duration::from_millis(8);
        let report = part(&mut data);
        came.extend_from_slice(report);
        let mut read = report;
        let frame = reports.take(&mut read, at);
        assert!(read.is_empty(), "one read is one report");
        if let Some(Ok(code)) = frame.map(|frame| frame.what) {
            let mut rest = came.iter();
            for digit in code.expose().bytes() {
                assert!(rest.any(|byte| *byte == digit), "a digit that no report held");
            }
            came.clear();
        }
    }
}
