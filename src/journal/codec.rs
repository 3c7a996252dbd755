//! How a step's state is written: a compact, versioned byte form of a sale. It must never hold a payment code, and never guess.
//!
//! The first step of a sale carries everything; later ones carry only what can change. Numbers are LEB128, signed ones
//! zigzag, times relative to the step's own time. A form that is not exactly one of these is an error, never a default.

use crate::ids::{CodeHint, SaleId};
use crate::money::Amount;
use crate::payment::{Attempt, Payment, Phase, Proof, Refusal, Reversal};
use crate::refund::Refund;
use crate::sale::{ReceiptState, Sale};
use crate::time::Timestamp;

mod refunds;
mod tags;

use tags::{
    doubt_from_tag, doubt_tag, money_seen_from_tag, money_seen_tag, reason_from_tag, reason_tag,
    why_from_tag, why_tag,
};
pub use tags::{receipt_from_tag, receipt_tag};

/// The form that is written. Older forms are read for ever.
const VERSION: u8 = 1;

const WHOLE: u8 = 1;
const JOB: u8 = 2;
const SHORT: u8 = 4;
const REFUNDS: u8 = 8;

/// What stays the same in a sale's life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constant {
    /// The sale's name.
    pub id: SaleId,
    /// What the payer sees.
    pub subject: String,
    /// The shop's reference.
    pub reference: Option<String>,
    /// Which gateway.
    pub gateway: String,
    /// When the amount was entered.
    pub created_at: Timestamp,
    /// What it costs.
    pub amount: Amount,
    /// One code and no other.
    pub single: bool,
}

/// What a step can change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// The refunds.
    pub refunds: Vec<Refund>,
    /// The latest receipt.
    pub receipt: ReceiptState,
    /// Receipts ordered.
    pub copies: u32,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Hashes of the idempotency key and of the request that a sale was opened with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Of the key.
    pub key: [u8; 16],
    /// Of the request.
    pub fingerprint: [u8; 8],
}

/// The print job that changed with a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobNote {
    /// Its name.
    pub job: u64,
    /// Its new state.
    pub state: ReceiptState,
    /// Whether the paper must be marked.
    pub marked: bool,
    /// Which receipt of the sale, from 1.
    pub number: u32,
}

/// A step's state as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// In a sale's first step.
    pub whole: Option<(Constant, Opening)>,
    /// If a print job changed.
    pub job: Option<JobNote>,
    /// Whether the event's text is abbreviated.
    pub short: bool,
    /// What the step left.
    pub state: State,
}

impl Constant {
    /// What stays the same in `sale`.
    pub fn of(sale: &Sale) -> Self {
        Self {
            id: sale.id.clone(),
            subject: sale.subject.clone(),
            reference: sale.reference.clone(),
            gateway: sale.gateway.clone(),
            created_at: sale.created_at,
            amount: sale.payment.amount,
            single: sale.payment.single,
        }
    }

    /// The sale in this state.
    pub fn with(self, state: State) -> Sale {
        Sale {
            id: self.id,
            payment: Payment { amount: self.amount, single: self.single, attempts: state.attempts },
            refunds: state.refunds,
            subject: self.subject,
            reference: self.reference,
            gateway: self.gateway,
            receipt: state.receipt,
            copies: state.copies,
            created_at: self.created_at,
            updated_at: state.updated_at,
        }
    }
}

/// Writes the state of a step taken at `at`; the whole sale if `opening` is given. `short` marks an abbreviated event.
pub fn encode(
    at: Timestamp,
    sale: &Sale,
    opening: Option<Opening>,
    job: Option<JobNote>,
    short: bool,
) -> Vec<u8> {
    let mut out = Writer { bytes: Vec::with_capacity(96), at };
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    out.byte(VERSION);
    let refunds = flag(!sale.refunds.is_empty(), REFUNDS);
    out.byte(flag(opening.is_some(), WHOLE) | flag(job.is_some(), JOB) | flag(short, SHORT) | refunds);
    if let Some(opening) = opening {
        out.text(sale.id.as_str());
        out.text(&sale.subject);
        out.maybe(sale.reference.as_deref(), |out, text| out.text(text));
        out.text(&sale.gateway);
        out.time(sale.created_at);
        out.number(sale.payment.amount.fen().into());
        out.byte(sale.payment.single.into());
        out.bytes.extend_from_slice(&opening.key);
        out.bytes.extend_from_slice(&opening.fingerprint);
    }
    if let Some(job) = job {
        out.number(job.job);
        out.byte(receipt_tag(job.state));
        out.byte(job.marked.into());
        out.number(job.number.into());
    }
    out.time(sale.updated_at);
    out.byte(receipt_tag(sale.receipt));
    out.number(sale.copies.into());
    out.number(sale.payment.attempts.len() as u64);
    for attempt in &sale.payment.attempts {
        out.attempt(attempt);
    }
    if !sale.refunds.is_empty() {
        out.number(sale.refunds.len() as u64);
        for refund in &sale.refunds {
            out.refund(refund);
        }
    }
    out.bytes
}

/// Reads what [`encode`] wrote; says what is wrong otherwise.
pub fn decode(at: Timestamp, bytes: &[u8]) -> Result<Decoded, String> {
    let mut from = Reader { bytes, at };
    let version = from.byte()?;
    if version != VERSION {
        return Err(format!("state has form {version}, expected {VERSION}"));
    }
    let flags = from.byte()?;
    if flags & !(WHOLE | JOB | SHORT | REFUNDS) != 0 {
        return Err(format!("state has flags {flags:#x}, expected at most 0xf"));
    }
    let whole = match flags & WHOLE {
        0 => None,
        _ => Some(from.whole()?),
    };
    let job = match flags & JOB {
        0 => None,
        _ => Some(from.job()?),
    };
    let updated_at = from.time()?;
    let receipt = from.receipt()?;
    let copies = from.number_u32()?;
    let count = from.number()?;
    if !(1..=256).contains(&count) {
        return Err(format!("state has {count} attempts, expected 1 to 256"));
    }
    let attempts = (0..count).map(|_| from.attempt()).collect::<Result<_, _>>()?;
    let refunds = match flags & REFUNDS {
        0 => Vec::new(),
        _ => from.refunds()?,
    };
    if !from.bytes.is_empty() {
        return Err(format!("state has {} bytes too many", from.bytes.len()));
    }
    let state = State { attempts, refunds, receipt, copies, updated_at };
    Ok(Decoded { whole, job, short: flags & SHORT != 0, state })
}

/// Shortens the names that nearly every event repeats; `None` where that would not be undone exactly.
pub fn abbreviate(event: &str, sale: &Sale) -> Option<String> {
    if event.contains(['\u{1}', '\u{2}']) {
        return None;
    }
    let short = event.replace(sale.id.as_str(), "\u{1}");
    let short = match number(&sale.payment.attempts) {
        Some(number) if number.len() > 8 => short.replace(number, "\u{2}"),
        _ => short,
    };
    let undone = expand(&short, sale.id.as_str(), &sale.payment.attempts);
    (short.len() < event.len() && undone == event).then_some(short)
}

/// Undoes [`abbreviate`].
pub fn expand(short: &str, id: &str, attempts: &[Attempt]) -> String {
    short.replace('\u{2}', number(attempts).unwrap_or_default()).replace('\u{1}', id)
}

/// The gateway's number of the paid attempt.
fn number(attempts: &[Attempt]) -> Option<&str> {
    attempts.iter().find_map(|attempt| match &attempt.phase {
        Phase::Paid(proof) | Phase::Contradicted { proof, .. } => Some(proof.gateway_txn.as_str()),
        _ => None,
    })
}

struct Writer {
    bytes: Vec<u8>,
    at: Timestamp,
}

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    fn time(&mut self, time: Timestamp) {
        let after = time.0.wrapping_sub(self.at.0);
        self.number(((after << 1) ^ (after >> 63)) as u64);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn maybe<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.byte(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        self.maybe(attempt.hint.as_ref(), |out, hint| out.number(hint.digits().parse().unwrap_or(0)));
        self.maybe(attempt.wake, Self::time);
        match &attempt.phase {
            Phase::Armed => self.byte(1),
            Phase::Paying { sent_at, payer_asked, refusal, interrupted } => {
                self.byte(2);
                self.time(*sent_at);
                self.byte(u8::from(*payer_asked) | u8::from(*interrupted) << 1);
                self.maybe(refusal.as_ref(), Self::refusal);
            }
            Phase::Reversing(reversal) => {
                self.byte(3);
                self.reversal(reversal);
            }
            Phase::InDoubt(reversal, doubt) => {
                self.byte(4);
                self.reversal(reversal);
                self.byte(doubt_tag(*doubt));
            }
            Phase::Paid(proof) => {
                self.byte(5);
                self.proof(proof);
            }
            Phase::Contradicted { proof, since } => {
                self.byte(10);
                self.proof(proof);
                self.time(*since);
            }
            Phase::Declined(refusal) => {
                self.byte(6);
                self.refusal(refusal);
            }
            Phase::Refused { sent_at, refusal } => {
                self.byte(9);
                self.time(*sent_at);
                self.refusal(refusal);
            }
            Phase::Reversed(why) => {
                self.byte(7);
                self.byte(why_tag(*why));
            }
            Phase::Void => self.byte(8),
        }
    }

    fn proof(&mut self, proof: &Proof) {
        self.text(&proof.gateway_txn);
        self.time(proof.paid_at);
        self.number(proof.payer_paid.into());
        self.number(proof.coupon.into());
    }

    fn refusal(&mut self, refusal: &Refusal) {
        self.text(&refusal.code);
        self.text(&refusal.text);
        self.byte(reason_tag(refusal.reason));
    }

    fn reversal(&mut self, reversal: &Reversal) {
        self.time(reversal.sent_at);
        self.time(reversal.since);
        self.number(reversal.tries.into());
        self.byte(why_tag(reversal.why));
        self.byte(u8::from(reversal.refused.is_some()) | money_seen_tag(reversal.money_seen) << 1);
        if let Some(refusal) = &reversal.refused {
            self.refusal(refusal);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: Timestamp,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or("state ends early")?;
        self.bytes = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn flag(&mut self) -> Result<bool, String> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("flag is {other}, expected 0 or 1")),
        }
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (shift > 0 && byte == 0) {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("number is not in its shortest form".to_owned())
    }

    fn number_u32(&mut self) -> Result<u32, String> {
        let number = self.number()?;
        u32::try_from(number).map_err(|_| format!("number is {number}, expected at most {}", u32::MAX))
    }

    fn time(&mut self) -> Result<Timestamp, String> {
        let zigzag = self.number()?;
        let after = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Ok(Timestamp(self.at.0.wrapping_add(after)))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = usize::try_from(self.number()?).map_err(|_| "state ends early")?;
        String::from_utf8(self.take(length)?.to_vec()).map_err(|_| "text is not UTF-8".to_owned())
    }

    fn maybe<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<Option<T>, String> {
        Ok(if self.flag()? { Some(read(self)?) } else { None })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn receipt(&mut self) -> Result<ReceiptState, String> {
        let tag = self.byte()?;
        receipt_from_tag(tag.into()).ok_or_else(|| format!("receipt state {tag} is not known"))
    }

    fn whole(&mut self) -> Result<(Constant, Opening), String> {
        let constant = Constant {
            id: self.text()?.parse()?,
            subject: self.text()?,
            reference: self.maybe(Self::text)?,
            gateway: self.text()?,
            created_at: self.time()?,
            amount: Amount::from_fen(self.number_u32()?).map_err(|error| error.to_string())?,
            single: self.flag()?,
        };
        Ok((constant, Opening { key: self.array()?, fingerprint: self.array()? }))
    }

    fn job(&mut self) -> Result<JobNote, String> {
        Ok(JobNote {
            job: self.number()?,
            state: self.receipt()?,
            marked: self.flag()?,
            number: self.number_u32()?,
        })
    }

    fn attempt(&mut self) -> Result<Attempt, String> {
        let hint = self.maybe(|from| {
            let digits = from.number()?;
            CodeHint::from_digits(&format!("{digits:04}")).ok_or_else(|| format!("code hint is {digits}"))
        })?;
        let wake = self.maybe(Self::time)?;
        let phase = match self.byte()? {
            1 => Phase::Armed,
            2 => {
                let sent_at = self.time()?;
                let bits = self.byte()?;
                if bits > 3 {
                    return Err(format!("paying has flags {bits}, expected at most 3"));
                }
                let refusal = self.maybe(Self::refusal)?;
                Phase::Paying { sent_at, payer_asked: bits & 1 != 0, refusal, interrupted: bits & 2 != 0 }
            }
            3 => Phase::Reversing(self.reversal()?),
            4 => Phase::InDoubt(self.reversal()?, doubt_from_tag(self.byte()?)?),
            5 => Phase::Paid(self.proof()?),
            6 => Phase::Declined(self.refusal()?),
            7 => Phase::Reversed(why_from_tag(self.byte()?)?),
            8 => Phase::Void,
            9 => Phase::Refused { sent_at: self.time()?, refusal: self.refusal()? },
            10 => Phase::Contradicted { proof: self.proof()?, since: self.time()? },
            other => return Err(format!("phase {other} is not known")),
        };
        Ok(Attempt { phase, hint, wake })
    }

    fn proof(&mut self) -> Result<Proof, String> {
        Ok(Proof {
            gateway_txn: self.text()?,
            paid_at: self.time()?,
            payer_paid: self.number_u32()?,
            coupon: self.number_u32()?,
        })
    }

    fn refusal(&mut self) -> Result<Refusal, String> {
        Ok(Refusal { code: self.text()?, text: self.text()?, reason: reason_from_tag(self.byte()?)? })
    }

    fn reversal(&mut self) -> Result<Reversal, String> {
        let (sent_at, since, tries) = (self.time()?, self.time()?, self.number_u32()?);
        let why = why_from_tag(self.byte()?)?;
        let heard = self.byte()?;
        let money_seen = money_seen_from_tag(heard >> 1)?;
        let refused = if heard & 1 == 1 { Some(self.refusal()?) } else { None };
        Ok(Reversal { sent_at, since, tries, why, refused, money_seen })
    }
}
