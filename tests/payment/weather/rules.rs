//! What must be true at every step, whatever the weather. Only these can say that something is wrong.

use micropayd::payment::{Effect, Event, Payment, Phase, Policy, Step};
use micropayd::time::Timestamp;

use super::gateway::Order;
use super::world::Broken;

/// The gateway's own demand, milliseconds (reverse page: 15 s).
const REVERSE_AFTER: i64 = 15_000;

/// What a step is compared with.
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
    Over,
}

fn kind(phase: &Phase) -> Kind {
    match phase {
        Phase::Armed => Kind::Armed,
        Phase::Paying { .. } => Kind::Paying,
        Phase::Reversing(_) => Kind::TakingBack,
        Phase::InDoubt(..) => Kind::Doubt,
        Phase::Paid(_) => Kind::Paid,
        Phase::Declined(_) | Phase::Reversed(_) | Phase::Void => Kind::Over,
    }
}

impl Seen {
    pub fn new(payment: &Payment, event: &Event) -> Self {
        let answered = match event {
            Event::Answered { attempt, .. } | Event::Reversed { attempt, .. } => {
                Some(usize::from(*attempt) - 1)
            }
            Event::Code(_) | Event::Cancel | Event::Check | Event::Wake | Event::Restarted => None,
        };
        Self {
            attempts: payment.attempts.iter().map(|attempt| (kind(&attempt.phase), attempt.wake)).collect(),
            woken: matches!(event, Event::Wake),
            answered,
            scanned: matches!(event, Event::Code(_)),
        }
    }

    /// Holds one step of the machine against the rules that need no gateway.
    pub fn check(&self, step: &Step, now: Timestamp, policy: &Policy) -> Result<(), Broken> {
        let attempts = &step.payment.attempts;
        let mut paid = 0;
        let mut collecting = 0;
        for (index, attempt) in attempts.iter().enumerate() {
            let ordinal = index as u8 + 1;
            let after = kind(&attempt.phase);
            let before = self.attempts.get(index).copied();
            if attempt.phase.is_open() != attempt.wake.is_some() {
                return Err(format!("attempt {ordinal} is {after:?} and its timer is {:?}", attempt.wake));
            }
            paid += u32::from(after == Kind::Paid);
            collecting += u32::from(matches!(after, Kind::Armed | Kind::Paying));
            let (before, wake_before) = before.unwrap_or((Kind::Armed, None));
            let printed = step.effects.contains(&Effect::Receipt(ordinal));
            if printed != (after == Kind::Paid && before != Kind::Paid) {
                return Err(format!(
                    "attempt {ordinal} went from {before:?} to {after:?}, receipt: {printed}"
                ));
            }
            if after == Kind::Paid && !matches!(before, Kind::Paid | Kind::Paying) {
                return Err(format!("attempt {ordinal} went from {before:?} to paid"));
            }
            if before == Kind::Paid && matches!(after, Kind::TakingBack | Kind::Doubt) {
                return Err(format!("attempt {ordinal} is paid and is taken back"));
            }
            if before == Kind::Doubt && after == Kind::TakingBack {
                return Err(format!("attempt {ordinal} is no longer in doubt without an outcome"));
            }
            let called = step.effects.contains(&Effect::CallManager(ordinal));
            if after == Kind::Doubt && before != Kind::Doubt && !called {
                return Err(format!("attempt {ordinal} is in doubt and nobody was called"));
            }
            // An answer may bring the next request forward, but never put it off.
            let taking_back = |kind| matches!(kind, Kind::TakingBack | Kind::Doubt);
            if self.answered == Some(index)
                && taking_back(before)
                && taking_back(after)
                && attempt.wake > wake_before
            {
                return Err(format!("an answer put off the timer of attempt {ordinal}"));
            }
            if let Phase::Paying { sent_at, .. } = attempt.phase
                && attempt.wake > Some(sent_at + policy.give_up_after)
            {
                return Err(format!("attempt {ordinal} waits for longer than the payer may take"));
            }
            if after != before && !self.scanned && !step.durable {
                return Err(format!(
                    "attempt {ordinal} went from {before:?} to {after:?} and a power cut may undo it"
                ));
            }
        }
        if paid > 1 || collecting > 1 || (paid == 1 && collecting > 0) {
            return Err(format!("{paid} attempts are paid and {collecting} more can become paid"));
        }
        if step.payment.single && attempts.len() > 1 {
            return Err("another attempt in a sale for one code only".to_owned());
        }
        if attempts.len() > self.attempts.len() && !step.durable {
            return Err("a new attempt's order number is not on record".to_owned());
        }
        if self.woken && step.payment.wake().is_some_and(|wake| wake <= now) && step.effects.is_empty() {
            let unchanged =
                attempts.iter().map(|a| kind(&a.phase)).eq(self.attempts.iter().map(|(kind, _)| *kind));
            if unchanged {
                return Err("the timer rings again at once and nothing was done".to_owned());
            }
        }
        Ok(())
    }
}

/// If the gateway holds a charge, the record says open or paid: never absent, never over. (The exception are charges
/// after the gateway's own word that there will be none, until it says otherwise.)
pub fn money_is_on_record(orders: &[Order], synced: &Payment) -> Result<(), Broken> {
    for (index, order) in orders.iter().enumerate() {
        if order.holds_money() && !order.untold {
            match synced.attempts.get(index).map(|attempt| kind(&attempt.phase)) {
                Some(Kind::Armed | Kind::Paying | Kind::TakingBack | Kind::Doubt | Kind::Paid) => {}
                on_record => {
                    return Err(format!("attempt {} is charged and on record as {on_record:?}", index + 1));
                }
            }
        }
    }
    Ok(())
}

/// Goods only when the money is taken and that is on record.
pub fn goods_are_paid_for(orders: &[Order], synced: &Payment) -> Result<(), Broken> {
    let paid = synced.attempts.iter().zip(orders).filter(|(attempt, _)| kind(&attempt.phase) == Kind::Paid);
    for (_, order) in paid {
        if order.holds_money() || order.elsewhere {
            return Ok(());
        }
    }
    Err("goods were handed over and no charge is on record and at the gateway".to_owned())
}

/// One receipt, for a sale that is charged, and on record as paid.
pub fn receipt_is_due(attempt: u8, copies: u32, orders: &[Order], synced: &Payment) -> Result<(), Broken> {
    let index = usize::from(attempt) - 1;
    let on_record = synced.attempts.get(index).map(|attempt| kind(&attempt.phase));
    let charged = orders[index].holds_money() || orders[index].elsewhere;
    if copies == 1 && charged && on_record == Some(Kind::Paid) {
        return Ok(());
    }
    Err(format!("receipt {copies} of attempt {attempt}, charged: {charged}, on record as {on_record:?}"))
}

/// No reverse request within the time in which the gateway may still be working on the pay request.
pub fn not_too_soon(left_at: Option<i64>, now: i64) -> Result<(), Broken> {
    match left_at.map(|left_at| now - left_at) {
        Some(after) if after < REVERSE_AFTER => {
            Err(format!("reverse request {after} ms after the pay request"))
        }
        Some(_) | None => Ok(()),
    }
}

/// At rest the record and the gateway agree.
pub fn agrees_with_the_gateway(orders: &[Order], payment: &Payment) -> Result<(), Broken> {
    let mut kept = 0;
    for (index, order) in orders.iter().enumerate() {
        let on_record = payment.attempts.get(index).map(|attempt| kind(&attempt.phase));
        let paid = on_record == Some(Kind::Paid);
        kept += u32::from(order.holds_money());
        if paid != order.holds_money() && !order.elsewhere {
            return Err(format!(
                "attempt {} ends as {on_record:?}, the order as {:?}",
                index + 1,
                order.state
            ));
        }
    }
    if kept > 1 {
        return Err(format!("the customer paid {kept} times"));
    }
    Ok(())
}
