//! Remembers for a few seconds which codes were used, as salted digests in memory only, so that a scanner that reads the
//! same phone again does not start a second attempt. Never holds a code.

use std::collections::VecDeque;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ids::PaymentCode;
use crate::time::Timestamp;

/// Desktop scanners in continuous mode read the same phone again every 0.5–3 s; people lift it within ten.
const WINDOW: Duration = Duration::from_secs(10);

/// The codes of the last seconds.
pub struct RecentCodes {
    salt: [u8; 32],
    used: VecDeque<(Timestamp, [u8; 32])>,
}

impl Default for RecentCodes {
    fn default() -> Self {
        let mut salt = [0; 32];
        // Without randomness the digest could be searched for; an unsalted one is still never written anywhere.
        let _ = getrandom::fill(&mut salt);
        Self { salt, used: VecDeque::new() }
    }
}

impl RecentCodes {
    /// Whether this code was used within the window before `now`.
    pub fn used(&mut self, code: &PaymentCode, now: Timestamp) -> bool {
        while self.used.front().is_some_and(|(at, _)| now.since(*at) > WINDOW) {
            self.used.pop_front();
        }
        let digest = self.digest(code);
        self.used.iter().any(|(_, used)| *used == digest)
    }

    /// Notes that this code was used at `now`.
    pub fn remember(&mut self, code: &PaymentCode, now: Timestamp) {
        let digest = self.digest(code);
        self.used.push_back((now, digest));
    }

    fn digest(&self, code: &PaymentCode) -> [u8; 32] {
        Sha256::new().chain_update(self.salt).chain_update(code.expose()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_for_ten_seconds() {
        let mut recent = RecentCodes::default();
        let code = PaymentCode::parse("134567890123458406").unwrap();
        let other = PaymentCode::parse("134567890123458407").unwrap();
        recent.remember(&code, Timestamp(0));
        assert!(recent.used(&code, Timestamp(10_000)));
        assert!(!recent.used(&other, Timestamp(10_000)));
        assert!(!recent.used(&code, Timestamp(10_001)));
    }
}
