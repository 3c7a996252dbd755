//! What must be true at every step, whatever the weather. Only these can say that something is wrong.

use std::fmt;

use micropayd::payment::{Effect, Event, Payment, Phase, Policy, Step};
use micropayd::time::Timestamp;

use super::world::Tried;

/// Which of the rules in `docs/testing.md` ("What must never be false") was broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    Money,
    Once,
    Rest,
    Receipt,
    Visibility,
    Intent,
    Cashier,
}

impl Rule {
    pub const ALL: [Rule; 7] =
        [Rule::Money, Rule::Once, Rule::Rest, Rule::Receipt, Rule::Visibility, Rule::Intent, Rule::Cashier];

    pub fn name(self) -> &'static str {
        match self {
            Rule::Money => "money",
            Rule::Once => "once",
            Rule::Rest => "rest",
            Rule::Receipt => "receipt",
            Rule::Visibility => "visibility",
            Rule::Intent => "intent",
            Rule::Cashier => "cashier",
        }
    }
}

/// What went wrong that must not.
#[derive(Debug)]
pub struct Broken {
    pub rule: Rule,
    what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.name(), self.what)
    }
}

/// Says that `rule` is broken.
pub fn breaks<T>(rule: Rule, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { rule, what: what.into() })
}

/// The gateway's own demand, milliseconds (reverse page: 15 s).
const REVERSE_AFTER: i64 = 15_000;

/// What a step is compared with.
#[derive(Default)]
pub struct Seen {
    attempts: Vec<(Kind, Option<Timestamp>)>,
    woken: bool,
    answered: Option<usize>,
    scanned: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Armed,
    Paying,
    TakingBack,
    Doubt,
    Paid,
    Contradicted,
    Refused,
    Over,
}

fn kind(phase: &Phase) -> Kind {
    match phase {
        Phase::Armed => Kind::Armed,
        Phase::Paying { .. } => Kind::Paying,
        Phase::Reversing(_) => Kind::TakingBack,
        Phase::InDoubt(..) => Kind::Doubt,
        Phase::Paid(_) => Kind::Paid,
        Phase::Contradicted { .. } => Kind::Contradicted,
        Phase::Refused { .. } => Kind::Refused,
        Phase::Declined(_) | Phase::Reversed(_) | Phase::Void => Kind::Over,
    }
}

impl Seen {
    /// Looks at the payment before the step.
    pub fn look(&mut self, payment: &Payment, event: &Event) {
        self.attempts.clear();
        self.attempts.extend(payment.attempts.iter().map(|attempt| (kind(&attempt.phase), attempt.wake)));
        self.answered = match event {
            Event::Answered { attempt, .. } | Event::Reversed { attempt, .. } => {
                Some(usize::from(*attempt) - 1)
            }
            Event::Code(_) | Event::Cancel | Event::Check | Event::Wake | Event::Restarted => None,
        };
        self.woken = matches!(event, Event::Wake);
        self.scanned = matches!(event, Event::Code(_));
    }

    /// Holds one step of the machine against the rules that need no gateway.
    pub fn check(&self, step: &Step, now: Timestamp, policy: &Policy) -> Result<(), Broken> {
        let attempts = &step.payment.attempts;
        let pays = |effect: &Effect| matches!(effect, Effect::Pay(_));
        if !self.scanned && step.effects.iter().any(pays) {
            return breaks(Rule::Intent, "a pay request and no code was read");
        }
        let mut paid = 0;
        let mut collecting = 0;
        for (index, attempt) in attempts.iter().enumerate() {
            let ordinal = index as u8 + 1;
            let after = kind(&attempt.phase);
            let before = self.attempts.get(index).copied();
            if attempt.phase.is_open() != attempt.wake.is_some() {
                return breaks(
                    Rule::Visibility,
                    format!("attempt {ordinal} is {after:?} and its timer is {:?}", attempt.wake),
                );
            }
            paid += u32::from(matches!(after, Kind::Paid | Kind::Contradicted));
            collecting += u32::from(matches!(after, Kind::Armed | Kind::Paying));
            let (before, wake_before) = before.unwrap_or((Kind::Armed, None));
            let printed = step.effects.contains(&Effect::Receipt(ordinal));
            let was_paid = matches!(before, Kind::Paid | Kind::Contradicted);
            if printed != (after == Kind::Paid && !was_paid) {
                return breaks(
                    Rule::Receipt,
                    format!("attempt {ordinal} went from {before:?} to {after:?}, receipt: {printed}"),
                );
            }
            if after == Kind::Paid && !was_paid && before != Kind::Paying {
                return breaks(Rule::Once, format!("attempt {ordinal} went from {before:?} to paid"));
            }
            if was_paid && matches!(after, Kind::TakingBack | Kind::Doubt) {
                return breaks(Rule::Cashier, format!("attempt {ordinal} is paid and is taken back"));
            }
            if before == Kind::Doubt && after == Kind::TakingBack {
                return breaks(
                    Rule::Visibility,
                    format!("attempt {ordinal} is no longer in doubt without an outcome"),
                );
            }
            let called = step.effects.contains(&Effect::CallManager(ordinal));
            let a_persons = |kind| matches!(kind, Kind::Doubt | Kind::Contradicted);
            if a_persons(after) && !a_persons(before) && !called {
                return breaks(
                    Rule::Visibility,
                    format!("attempt {ordinal} is in doubt and nobody was called"),
                );
            }
            // An answer may bring the next request forward, but never put it off.
            let taking_back = |kind| matches!(kind, Kind::TakingBack | Kind::Doubt);
            if self.answered == Some(index)
                && taking_back(before)
                && taking_back(after)
                && attempt.wake > wake_before
            {
                return breaks(Rule::Rest, format!("an answer put off the timer of attempt {ordinal}"));
            }
            if let Phase::Paying { sent_at, .. } = attempt.phase
                && attempt.wake > Some(sent_at + policy.give_up_after)
            {
                return breaks(
                    Rule::Rest,
                    format!("attempt {ordinal} waits for longer than the payer may take"),
                );
            }
            if after != before && !self.scanned && !step.durable {
                return breaks(
                    Rule::Money,
                    format!(
                        "attempt {ordinal} went from {before:?} to {after:?} and a power cut may undo it"
                    ),
                );
            }
        }
        if paid > 1 || collecting > 1 || (paid == 1 && collecting > 0) {
            return breaks(
                Rule::Once,
                format!("{paid} attempts are paid and {collecting} more can become paid"),
            );
        }
        if step.payment.single && attempts.len() > 1 {
            return breaks(Rule::Intent, "another attempt in a sale for one code only");
        }
        if attempts.len() > self.attempts.len() && !step.durable {
            return breaks(Rule::Money, "a new attempt's order number is not on record");
        }
        if self.woken && step.payment.wake().is_some_and(|wake| wake <= now) && step.effects.is_empty() {
            let unchanged =
                attempts.iter().map(|a| kind(&a.phase)).eq(self.attempts.iter().map(|(kind, _)| *kind));
            if unchanged {
                return breaks(Rule::Rest, "the timer rings again at once and nothing was done");
            }
        }
        Ok(())
    }
}

/// If the gateway holds a charge, the record says open or paid: never absent, never over. (The exception are charges
/// after the gateway's own word that there will be none, until it says otherwise.)
pub fn money_is_on_record(tries: &[Tried], synced: &Payment) -> Result<(), Broken> {
    for (index, Tried { order, .. }) in tries.iter().enumerate() {
        if order.holds_money() && !order.untold {
            match synced.attempts.get(index).map(|attempt| kind(&attempt.phase)) {
                Some(Kind::Paid | Kind::Contradicted) => {}
                Some(Kind::Armed | Kind::Paying | Kind::TakingBack | Kind::Doubt | Kind::Refused) => {}
                on_record => {
                    return breaks(
                        Rule::Money,
                        format!("attempt {} is charged and on record as {on_record:?}", index + 1),
                    );
                }
            }
        }
    }
    Ok(())
}

/// Goods only when the money is taken and that is on record.
pub fn goods_are_paid_for(tries: &[Tried], synced: &Payment) -> Result<(), Broken> {
    let paid = synced.attempts.iter().zip(tries).filter(|(attempt, _)| kind(&attempt.phase) == Kind::Paid);
    for (_, Tried { order, .. }) in paid {
        if order.holds_money() || order.elsewhere {
            return Ok(());
        }
    }
    breaks(Rule::Cashier, "goods were handed over and no charge is on record and at the gateway")
}

/// One receipt, for a sale that is charged, and on record as paid.
pub fn receipt_is_due(attempt: u8, tries: &[Tried], synced: &Payment) -> Result<(), Broken> {
    let index = usize::from(attempt) - 1;
    let on_record = synced.attempts.get(index).map(|attempt| kind(&attempt.phase));
    let Tried { order, receipts: copies, .. } = &tries[index];
    let charged = order.holds_money() || order.elsewhere;
    if *copies == 1 && charged && on_record == Some(Kind::Paid) {
        return Ok(());
    }
    breaks(
        Rule::Receipt,
        format!("receipt {copies} of attempt {attempt}, charged: {charged}, on record as {on_record:?}"),
    )
}

/// No reverse request within the time in which the gateway may still be working on the pay request.
pub fn not_too_soon(left_at: Option<i64>, now: i64) -> Result<(), Broken> {
    match left_at.map(|left_at| now - left_at) {
        Some(after) if after < REVERSE_AFTER => {
            breaks(Rule::Money, format!("reverse request {after} ms after the pay request"))
        }
        Some(_) | None => Ok(()),
    }
}

/// At rest the record and the gateway agree.
pub fn agrees_with_the_gateway(tries: &[Tried], payment: &Payment) -> Result<(), Broken> {
    let mut kept = 0;
    for (index, Tried { order, .. }) in tries.iter().enumerate() {
        let on_record = payment.attempts.get(index).map(|attempt| kind(&attempt.phase));
        let paid = on_record == Some(Kind::Paid);
        kept += u32::from(order.holds_money());
        if paid != order.holds_money() && !order.elsewhere {
            return breaks(
                Rule::Rest,
                format!("attempt {} ends as {on_record:?}, the order as {:?}", index + 1, order.state),
            );
        }
    }
    if kept > 1 {
        return breaks(Rule::Once, format!("the customer paid {kept} times"));
    }
    Ok(())
}
