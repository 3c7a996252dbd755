//! Remembers the signatures of answers that name no order, so that an old "no such order" or refusal cannot be played back
//! as the answer to a question about another one. WeChat's answers carry a fresh nonce, so a genuine one never repeats.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Signatures that are remembered: some days of refusals and look-ups of a busy lane, in some 600 KiB.
const KEPT: usize = 4096;

/// The signatures of this process's life; a restart forgets them.
#[derive(Default)]
pub(super) struct Heard {
    known: HashSet<Arc<str>>,
    /// The same texts, oldest first.
    order: VecDeque<Arc<str>>,
}

impl Heard {
    /// Notes a signature; false if it was heard before.
    pub fn is_new(&mut self, signature: &str) -> bool {
        let signature: Arc<str> = signature.into();
        if !self.known.insert(signature.clone()) {
            return false;
        }
        self.order.push_back(signature);
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
        for n in 0..KEPT {
            assert!(heard.is_new(&n.to_string()));
        }
        assert_eq!((heard.known.len(), heard.order.len()), (KEPT, KEPT));
        assert!(heard.is_new("A"), "the oldest is forgotten first");
    }
}
