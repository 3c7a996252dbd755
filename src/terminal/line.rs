//! What is known of the line to the gateway, from what came back on it; told when it changes.

use crate::input::Notice;
use crate::payment::{Answer, Cause, ReversalAnswer};
use crate::refund;
use crate::terminal::desk::{Act, Desk};
use crate::time::Timestamp;

impl Desk {
    pub(super) fn heard(&mut self, answer: &Answer, now: Timestamp) {
        match answer {
            Answer::NeverSent(cause) | Answer::Unknown(cause) => self.line(Some(cause), now),
            Answer::Paid(_)
            | Answer::AwaitingPayer
            | Answer::Refused(_)
            | Answer::NotPaid
            | Answer::NotFound
            | Answer::PayFailed
            | Answer::Closed
            | Answer::Refunded => self.line(None, now),
        }
    }

    pub(super) fn heard_reversal(&mut self, answer: &ReversalAnswer, now: Timestamp) {
        match answer {
            ReversalAnswer::NeverSent(cause) | ReversalAnswer::Unknown(cause) => self.line(Some(cause), now),
            ReversalAnswer::Done
            | ReversalAnswer::Again
            | ReversalAnswer::NotFound
            | ReversalAnswer::Refused(_) => self.line(None, now),
        }
    }

    pub(super) fn heard_refund(&mut self, answer: &refund::Answer, now: Timestamp) {
        match answer {
            refund::Answer::NeverSent(cause) | refund::Answer::Unknown(cause) => self.line(Some(cause), now),
            refund::Answer::Accepted(_)
            | refund::Answer::Returned(_)
            | refund::Answer::Stuck(_)
            | refund::Answer::Closed(_)
            | refund::Answer::NotFound
            | refund::Answer::Refused(_) => self.line(None, now),
        }
    }

    /// Keeps what is known of the line, and tells when it changes.
    fn line(&mut self, trouble: Option<&Cause>, now: Timestamp) {
        // A code of the gateway's own and our own field rules say nothing against the line.
        let up = match trouble {
            Some(Cause::NoTurn) => return,
            None | Some(Cause::Code(_) | Cause::Field(_)) => true,
            Some(_) => false,
        };
        if let Some(cause) = trouble {
            self.gateway_trouble = cause.to_string();
            if cause.is_suspicious() {
                self.suspicious += 1;
                tracing::error!("gateway answer not believed: {cause}");
            }
        }
        if self.gateway.is_none_or(|(was, _)| was != up) {
            self.gateway = Some((up, now));
            let text = if up { String::new() } else { self.gateway_trouble.clone() };
            self.acts.push(Act::Tell(Notice::Gateway(up, text)));
        }
    }
}
