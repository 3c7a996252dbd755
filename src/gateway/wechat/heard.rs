//! Remembers the signatures of answers that name no order, so that an old "no such order" or refusal cannot be played back
//! as the answer to a question about another one. WeChat's answers carry a fresh nonce, so a genuine one never repeats.

use std::collections::{HashSet, VecDeque};

/// Signatures that are remembered: some days of refusals and look-ups of a busy lane, in less than 400 KiB.
const KEPT: usize = 4096;

/// The first 32 characters: all of an MD5, and half of an HMAC-SHA256, which is 128 bits.
type Signature = [u8; 32];

/// The signatures of this process's life; a restart forgets them.
#[derive(Default)]
pub(super) struct Heard {
    known: HashSet<Signature>,
    /// The same, oldest first.
    order: VecDeque<Signature>,
}

impl Heard {
    /// Notes a signature; false if it was heard before.
    pub fn is_new(&mut self, signature: &str) -> bool {
        let mut kept = Signature::default();
        kept.iter_mut().zip(signature.bytes()).for_each(|(kept, byte)| *kept = byte);
        if !self.known.insert(kept) {
            return false;
        }
        self.order.push_back(kept);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_new_once_and_memory_is_bounded() {
        let mut heard = Heard::default();
        assert!(heard.is_new("A"));
        assert!(!heard.is_new("A"));
        let (one, other) = ("0123456789ABCDEF".repeat(4), "0123456789ABCDEG".repeat(4));
        assert!(heard.is_new(&one) && heard.is_new(&other) && !heard.is_new(&one));
        for n in 0..KEPT {
            assert!(heard.is_new(&n.to_string()));
        }
        assert_eq!((heard.known.len(), heard.order.len()), (KEPT, KEPT));
        assert!(heard.is_new("A"), "the oldest is forgotten first");
    }
}
