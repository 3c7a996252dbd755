//! How long the machine waits, and where each number comes from.

use std::time::Duration;

/// The waits. Values below a gateway's documented minimum are refused by the configuration, not here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// From a pay answer that left the outcome open to the first query: 5 s (WeChat Pay APIv2 micropay page, 2025-08-14).
    pub query_after: Duration,
    /// Between queries: 5 s (the same page; other pages say 3 s and 10 s).
    pub query_every: Duration,
    /// From the pay request to giving up on the payer: 45 s (the same page; WeChat revokes unpaid orders by itself then).
    pub give_up_after: Duration,
    /// From the pay request to the earliest reverse request: 15 s (the reverse page).
    pub reverse_after: Duration,
    /// The first pause between reverse requests; doubles up to [`reverse_every_max`](Self::reverse_every_max).
    pub reverse_every: Duration,
    /// The longest pause between reverse requests: 5 min, so that a line that comes back is used soon.
    pub reverse_every_max: Duration,
    /// How long the gateway takes reversals: 7 days (`REVERSE_EXPIRE`). Then only refunds and people help.
    pub reverse_for: Duration,
    /// From the start of a reversal to calling a person: 10 min, longer than ordinary outages of a minute or two.
    pub call_manager_after: Duration,
    /// From the pay request to the moment at which a payment code that had not arrived can no longer pay:
    /// a code lives about 60 s (payment code page); 5 s of margin.
    pub code_life: Duration,
    /// From the gateway's word that a paid order is closed to the query that decides: 70 s. No page says how old an answer
    /// can be; this is longer than any delay that was reported, and than a payment code can go on to move money.
    pub decide_after: Duration,
    /// The longest that any one request can be under way, all hosts and time-outs together; asks again after that even
    /// if the answer event was lost.
    pub answer_within: Duration,
    /// How long an amount waits for a code before the sale closes by itself.
    pub scan_within: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            query_after: seconds(5),
            query_every: seconds(5),
            give_up_after: seconds(45),
            reverse_after: seconds(15),
            reverse_every: seconds(5),
            reverse_every_max: seconds(5 * 60),
            reverse_for: seconds(7 * 24 * 60 * 60),
            call_manager_after: seconds(10 * 60),
            code_life: seconds(65),
            decide_after: seconds(70),
            answer_within: seconds(30),
            scan_within: seconds(10 * 60),
        }
    }
}

impl Policy {
    /// The pause after the `tries`-th reverse request (from 1): doubling from `reverse_every`, capped.
    pub fn reverse_pause(&self, tries: u32) -> Duration {
        let factor = 1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        self.reverse_every.saturating_mul(factor.max(1)).min(self.reverse_every_max)
    }
}
