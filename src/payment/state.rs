//! Where a sale's money is: phases of its attempts, and what follows for the sale.

use crate::ids::CodeHint;
use crate::money::Amount;
use crate::payment::event::{Proof, Refusal};
use crate::payment::policy::Policy;
use crate::time::Timestamp;

/// A sale's money: an amount and the attempts to collect it.
///
/// At most one attempt is being paid and at most one ends paid; a new attempt is armed only when the one before is
/// refused or declined.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Payment {
    /// What the sale costs.
    pub amount: Amount,
    /// One code and no other: the POS sent it along, so a refusal ends the sale instead of asking for another scan.
    pub single: bool,
    /// Oldest first, never empty; the ordinal of `attempts[i]` is `i + 1`.
    pub attempts: Vec<Attempt>,
}

/// One payment code with its own order number.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Attempt {
    /// Where this attempt's money is.
    pub phase: Phase,
    /// The last digits of the code, once one was read.
    pub hint: Option<CodeHint>,
    /// When the machine wants [`Event::Wake`](super::Event::Wake) for this attempt.
    pub wake: Option<Timestamp>,
}

/// Where an attempt's money is.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Phase {
    /// With the payer: the intent is durable, no code was read in this life of the process.
    Armed,
    /// With the payer or with us: the pay request may have been sent, the gateway has not said the end.
    Paying {
        /// The latest moment at which the pay request can have left; a restart sets it to the restart.
        sent_at: Timestamp,
        /// The gateway said that the payer is being asked for a password.
        payer_asked: bool,
        /// The gateway refused the pay request; one query confirms it before the attempt is declined.
        refusal: Option<Refusal>,
        /// Found armed or refused after a restart: whether anybody still pays is not known, and the customer may be gone.
        interrupted: bool,
    },
    /// On its way back if it was taken: asked to reverse until the gateway says that it is.
    Reversing(Reversal),
    /// Not known and not soon to be: a person is called, the terminal keeps trying.
    InDoubt(Reversal, Doubt),
    /// With us.
    Paid(Proof),
    /// Not known: the gateway said that it is with us, and then that the order is closed. Either somebody took it back
    /// elsewhere, or that word is older than the money. A person is called, and the gateway is asked again later.
    Contradicted {
        /// The gateway's word that it is with us.
        proof: Proof,
        /// When the latest word came that the one before contradicts; a restart sets it to the restart.
        since: Timestamp,
    },
    /// With the payer, by the gateway's own word, which a query has confirmed; so the customer may try again. But that query
    /// came at once, and "no such order" proves little before the code is dead: then it is asked once more.
    Refused {
        /// The latest moment at which the pay request can have left; a restart sets it to the restart.
        sent_at: Timestamp,
        /// Why.
        refusal: Refusal,
    },
    /// With the payer; the gateway's own word, confirmed.
    Declined(Refusal),
    /// Back with the payer, or never taken; the gateway's own word.
    Reversed(Why),
    /// With the payer: closed before any code was sent.
    Void,
}

/// A reversal under way.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Reversal {
    /// The latest moment at which the pay request can have left.
    pub sent_at: Timestamp,
    /// When the reversal began in this life of the process.
    pub since: Timestamp,
    /// Reverse requests in this life of the process.
    pub tries: u32,
    /// Why.
    pub why: Why,
    /// The gateway's last refusal to reverse.
    pub refused: Option<Refusal>,
    /// Money that an answer "closed" can be older than.
    pub money_seen: MoneySeen,
}

impl Reversal {
    /// A reversal that begins at `since`. Money that came late was seen: that is why it goes back.
    pub fn new(sent_at: Timestamp, since: Timestamp, why: Why) -> Self {
        let money_seen = if why == Why::LatePaid { MoneySeen::Yes } else { MoneySeen::No };
        Self { sent_at, since, tries: 0, why, refused: None, money_seen }
    }
}

/// Whether the gateway has said that the order holds money, and what was done since: late money comes to an order that
/// was closed before, and then an old answer looks like a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum MoneySeen {
    /// Not seen, or reversed since by the gateway's own word.
    No,
    /// Seen.
    Yes,
    /// Seen, and a reverse request was asked for since.
    AskedSince,
}

/// Why a payment is taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Why {
    /// The payer did not finish in time, or nobody knows whether they did.
    GaveUp,
    /// The cashier or the POS cancelled while it was being paid.
    Cancelled,
    /// The gateway says that paying failed and wants the order reversed.
    PayFailed,
    /// The terminal was restarted between the amount and the code, and the gateway knew of no payment then.
    Interrupted,
    /// Money turned up for an attempt that was already over.
    LatePaid,
    /// Somebody else closed or refunded the order at the gateway.
    Elsewhere,
}

/// Why a person is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Doubt {
    /// The gateway has not confirmed the reversal for [`Policy::call_manager_after`].
    TooLong,
    /// The gateway refuses to reverse.
    Refused,
    /// The gateway takes no more reversals for this order; a refund is the way.
    Expired,
}

/// The sale as the outside sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum SalePhase {
    /// Scan a code.
    AwaitingCode,
    /// Being paid.
    Paying,
    /// Being taken back.
    Reversing,
    /// A person is called.
    InDoubt,
    /// Paid.
    Paid,
    /// Not paid; the gateway's word.
    Declined,
    /// Taken back, or never taken.
    Reversed,
    /// Closed before any code was sent.
    Cancelled,
}

/// What the sale waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitingFor {
    /// A payment code.
    Scan,
    /// The gateway's word.
    Gateway,
    /// The payer's password.
    PayerPassword,
}

/// Where the money is, in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Money {
    /// Nothing was taken.
    None,
    /// Something may have been taken.
    Possible,
    /// Taken, ours.
    Taken,
    /// Taken or not, it is with the payer again.
    Returned,
}

impl Payment {
    /// A new sale with its first attempt armed at `now`.
    pub fn new(amount: Amount, single: bool, now: Timestamp, policy: &Policy) -> Self {
        Self { amount, single, attempts: vec![Attempt::armed(now, policy)] }
    }

    /// The attempt that a code, a cancel or a check is about: the last one.
    pub fn current(&self) -> &Attempt {
        self.attempts.last().expect("a payment has at least one attempt")
    }

    /// The ordinal of the current attempt, from 1.
    pub fn ordinal(&self) -> u8 {
        u8::try_from(self.attempts.len()).unwrap_or(u8::MAX)
    }

    /// The earliest moment at which the machine wants [`Event::Wake`](super::Event::Wake).
    pub fn wake(&self) -> Option<Timestamp> {
        self.attempts.iter().filter_map(|attempt| attempt.wake).min()
    }

    /// Whether the machine still has something to do or to wait for. What is not open is at rest, but still listens.
    pub fn is_open(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.phase.is_open())
    }

    /// Whether the cashier's lane is taken: a code is awaited or a customer is paying.
    pub fn holds_lane(&self) -> bool {
        matches!(self.phase(), SalePhase::AwaitingCode | SalePhase::Paying)
    }

    /// The attempt that is on record as paid, with its ordinal; it stays so while a contradiction is looked into.
    pub fn paid(&self) -> Option<(u8, &Proof)> {
        self.attempts.iter().zip(1..).find_map(|(attempt, ordinal)| match &attempt.phase {
            Phase::Paid(proof) | Phase::Contradicted { proof, .. } => Some((ordinal, proof)),
            _ => None,
        })
    }

    /// The attempt that speaks for the sale: the paid one; else the last that is still open; else the last.
    pub fn leading(&self) -> &Attempt {
        let paid = |attempt: &&Attempt| matches!(attempt.phase, Phase::Paid(_));
        let open = |attempt: &&Attempt| attempt.phase.may_hold_money();
        let latest_first = || self.attempts.iter().rev();
        latest_first().find(paid).or_else(|| latest_first().find(open)).unwrap_or_else(|| self.current())
    }

    /// The sale as the outside sees it: what its leading attempt is.
    pub fn phase(&self) -> SalePhase {
        self.leading().phase.sale()
    }

    /// What the sale waits for, if for anything.
    pub fn waiting_for(&self) -> Option<WaitingFor> {
        match self.phase() {
            SalePhase::AwaitingCode => Some(WaitingFor::Scan),
            SalePhase::Paying => match self.leading().phase {
                Phase::Paying { payer_asked: true, .. } => Some(WaitingFor::PayerPassword),
                _ => Some(WaitingFor::Gateway),
            },
            SalePhase::Reversing | SalePhase::InDoubt => Some(WaitingFor::Gateway),
            SalePhase::Paid | SalePhase::Declined | SalePhase::Reversed | SalePhase::Cancelled => None,
        }
    }

    /// Where the sale's money is.
    pub fn money(&self) -> Money {
        let of = |phase: &Phase| match phase {
            Phase::Armed | Phase::Refused { .. } | Phase::Declined(_) | Phase::Void => Money::None,
            Phase::Paying { .. } | Phase::Reversing(_) | Phase::InDoubt(..) | Phase::Contradicted { .. } => {
                Money::Possible
            }
            Phase::Paid(_) => Money::Taken,
            Phase::Reversed(_) => Money::Returned,
        };
        let all = || self.attempts.iter().map(|attempt| of(&attempt.phase));
        [Money::Taken, Money::Possible, Money::Returned]
            .into_iter()
            .find(|money| all().any(|each| each == *money))
            .unwrap_or(Money::None)
    }
}

impl Attempt {
    /// A fresh attempt that waits for a code.
    pub fn armed(now: Timestamp, policy: &Policy) -> Self {
        Self { phase: Phase::Armed, hint: None, wake: Some(now + policy.scan_within) }
    }
}

impl Phase {
    /// The name that the log and the transition table use.
    pub fn label(&self) -> &'static str {
        match self {
            Phase::Armed => "armed",
            Phase::Paying { .. } => "paying",
            Phase::Reversing(_) => "reversing",
            Phase::InDoubt(..) => "in_doubt",
            Phase::Paid(_) => "paid",
            Phase::Contradicted { .. } => "contradicted",
            Phase::Refused { .. } => "refused",
            Phase::Declined(_) => "declined",
            Phase::Reversed(_) => "reversed",
            Phase::Void => "void",
        }
    }

    /// Whether the machine still has something to do or to wait for here.
    pub fn is_open(&self) -> bool {
        match self {
            Phase::Armed
            | Phase::Paying { .. }
            | Phase::Reversing(_)
            | Phase::InDoubt(..)
            | Phase::Contradicted { .. }
            | Phase::Refused { .. } => true,
            Phase::Paid(_) | Phase::Declined(_) | Phase::Reversed(_) | Phase::Void => false,
        }
    }

    /// Whether it is open, and more than a last look.
    pub fn may_hold_money(&self) -> bool {
        self.is_open() && !matches!(self, Phase::Refused { .. })
    }

    /// What a sale with only this attempt is called.
    pub fn sale(&self) -> SalePhase {
        match self {
            Phase::Armed => SalePhase::AwaitingCode,
            Phase::Paying { .. } => SalePhase::Paying,
            Phase::Reversing(_) => SalePhase::Reversing,
            Phase::InDoubt(..) | Phase::Contradicted { .. } => SalePhase::InDoubt,
            Phase::Paid(_) => SalePhase::Paid,
            Phase::Refused { .. } | Phase::Declined(_) => SalePhase::Declined,
            Phase::Reversed(_) => SalePhase::Reversed,
            Phase::Void => SalePhase::Cancelled,
        }
    }
}

impl SalePhase {
    /// Every phase, in the order in which a sale can meet them.
    pub const ALL: [SalePhase; 8] = [
        SalePhase::AwaitingCode,
        SalePhase::Paying,
        SalePhase::Reversing,
        SalePhase::InDoubt,
        SalePhase::Paid,
        SalePhase::Declined,
        SalePhase::Reversed,
        SalePhase::Cancelled,
    ];

    /// The name that the API, the journal and the log use.
    pub fn label(self) -> &'static str {
        match self {
            SalePhase::AwaitingCode => "awaiting_code",
            SalePhase::Paying => "paying",
            SalePhase::Reversing => "reversing",
            SalePhase::InDoubt => "in_doubt",
            SalePhase::Paid => "paid",
            SalePhase::Declined => "declined",
            SalePhase::Reversed => "reversed",
            SalePhase::Cancelled => "cancelled",
        }
    }

    /// The phase with this [`label`](Self::label).
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.label() == label)
    }

    /// Whether nothing more will happen by itself.
    pub fn is_final(self) -> bool {
        match self {
            SalePhase::AwaitingCode | SalePhase::Paying | SalePhase::Reversing | SalePhase::InDoubt => false,
            SalePhase::Paid | SalePhase::Declined | SalePhase::Reversed | SalePhase::Cancelled => true,
        }
    }
}

impl Money {
    /// The name that the API uses.
    pub fn label(self) -> &'static str {
        match self {
            Money::None => "none",
            Money::Possible => "possible",
            Money::Taken => "taken",
            Money::Returned => "returned",
        }
    }
}

impl WaitingFor {
    /// The name that the API uses.
    pub fn label(self) -> &'static str {
        match self {
            WaitingFor::Scan => "scan",
            WaitingFor::Gateway => "gateway",
            WaitingFor::PayerPassword => "payer_password",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::event::Reason;

    const NOW: Timestamp = Timestamp(1_795_233_600_000);

    /// What a sale with one attempt in this phase is to the outside: its phase, its money, what it waits for.
    fn seen(phase: &Phase) -> (&'static str, &'static str, Option<&'static str>) {
        let attempt = Attempt { phase: phase.clone(), hint: None, wake: None };
        let payment =
            Payment { amount: Amount::from_fen(1).unwrap(), single: false, attempts: vec![attempt] };
        assert_eq!(payment.is_open(), !payment.phase().is_final());
        let proven = matches!(phase, Phase::Paid(_) | Phase::Contradicted { .. });
        assert_eq!(payment.paid().map(|(ordinal, _)| ordinal), proven.then_some(1), "{phase:?}");
        let at_the_till = matches!(payment.phase().label(), "awaiting_code" | "paying");
        assert_eq!(payment.holds_lane(), at_the_till, "{phase:?}");
        (payment.phase().label(), payment.money().label(), payment.waiting_for().map(WaitingFor::label))
    }

    #[test]
    fn the_outside_is_told_in_the_words_that_it_relies_on() {
        let paying =
            |payer_asked| Phase::Paying { sent_at: NOW, payer_asked, refusal: None, interrupted: false };
        let reversal = || Reversal::new(NOW, NOW, Why::GaveUp);
        let proof = Proof { gateway_txn: String::new(), paid_at: NOW, payer_paid: 1, coupon: 0 };
        let refusal = Refusal { code: String::new(), text: String::new(), reason: Reason::Other };
        let words = [
            (Phase::Armed, ("awaiting_code", "none", Some("scan"))),
            (paying(false), ("paying", "possible", Some("gateway"))),
            (paying(true), ("paying", "possible", Some("payer_password"))),
            (Phase::Reversing(reversal()), ("reversing", "possible", Some("gateway"))),
            (Phase::InDoubt(reversal(), Doubt::TooLong), ("in_doubt", "possible", Some("gateway"))),
            (Phase::Paid(proof.clone()), ("paid", "taken", None)),
            (Phase::Contradicted { proof, since: NOW }, ("in_doubt", "possible", Some("gateway"))),
            (Phase::Declined(refusal), ("declined", "none", None)),
            (Phase::Reversed(Why::GaveUp), ("reversed", "returned", None)),
            (Phase::Void, ("cancelled", "none", None)),
        ];
        for (phase, words) in &words {
            assert_eq!(seen(phase), *words);
        }
        for phase in SalePhase::ALL {
            assert_eq!(SalePhase::from_label(phase.label()), Some(phase));
        }
        assert_eq!(SalePhase::from_label("void"), None);
    }
}
