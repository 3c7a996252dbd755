//! What must hold in every state of the small world, and what must be met in some, so that the search is not empty.

use micropayd::payment::{Attempt, Payment, Phase, SalePhase, Why};
use stateright::Property;

use super::{Stands, State, World};

/// The properties of `world`.
pub fn of(world: &World) -> Vec<Property<World>> {
    let mut properties = vec![
        Property::always("no rule of a step is broken", |_, state: &State| state.broken.is_none()),
        Property::always("a charge is on record as open or paid", |_, state: &State| {
            state.orders.iter().zip(&state.synced.attempts).all(|(order, attempt)| {
                order.stands != Stands::Paid
                    || order.untold
                    || attempt.phase.is_open()
                    || is_paid(&attempt.phase)
            })
        }),
        Property::always("paid on record is a charge at the gateway", |_, state: &State| {
            let mut attempts = state.orders.iter().zip(state.synced.attempts.iter().map(|a| &a.phase));
            attempts.all(|(order, phase)| !is_paid(phase) || order.stands == Stands::Paid)
        }),
        Property::always("at most one attempt is or can become paid", |_, state: &State| {
            let can = |phase: &Phase| is_paid(phase) || matches!(phase, Phase::Armed | Phase::Paying { .. });
            state.live.as_ref().is_none_or(|live| live.attempts.iter().filter(|a| can(&a.phase)).count() <= 1)
        }),
        Property::always("what is open has a timer", |_, state: &State| {
            let timed = |live: &Payment| live.attempts.iter().all(|a| a.phase.is_open() == a.wake.is_some());
            state.live.as_ref().is_none_or(timed)
        }),
        Property::always("a receipt is for a sale that is paid and on record", |_, state: &State| {
            state.orders.iter().zip(&state.synced.attempts).all(|(order, attempt)| {
                order.receipts == 0 || (order.receipts == 1 && is_paid(&attempt.phase))
            })
        }),
        Property::always("it comes to rest", |world: &World, state: &State| {
            state.now < world.at_rest_by() || state.live.as_ref().is_some_and(|live| !live.is_open())
        }),
        // And the search is not empty.
        Property::sometimes("paid", |_, state: &State| at_rest(state, SalePhase::Paid)),
        Property::sometimes("reversed after a charge", |_, state: &State| {
            at_rest(state, SalePhase::Reversed) && state.orders[0].stands == Stands::Closed
        }),
        Property::sometimes("cancelled", |_, state: &State| at_rest(state, SalePhase::Cancelled)),
        Property::sometimes("taken back", |_, state: &State| reversing(state, Why::GaveUp)),
    ];
    if world.losses > 0 {
        properties.push(Property::sometimes(
            "a charge after a reversal of an order that was not there",
            |_, state: &State| {
                state.orders[0].reversed_before_arrival && state.orders[0].stands == Stands::Paid
            },
        ));
        properties.push(Property::sometimes("in doubt", |_, state: &State| {
            state.live.as_ref().is_some_and(|live| live.phase() == SalePhase::InDoubt)
        }));
    }
    if world.late_charges > 0 {
        properties.push(Property::sometimes("paid by a late charge", |_, state: &State| {
            at_rest(state, SalePhase::Paid) && state.late_charges == 0
        }));
        properties.push(Property::sometimes("a late charge went back", |_, state: &State| {
            let order = &state.orders[0];
            at_rest(state, SalePhase::Reversed) && order.stands == Stands::Closed && state.late_charges == 0
        }));
    }
    if world.late_charges > 0 && world.lags > 0 {
        properties.push(Property::sometimes("contradicted", |_, state: &State| {
            let contradicted = |attempt: &Attempt| matches!(attempt.phase, Phase::Contradicted { .. });
            state.live.as_ref().is_some_and(|live| live.attempts.iter().any(contradicted))
        }));
    }
    if world.crashes > 0 {
        properties.push(Property::sometimes("paid after a restart", |_, state: &State| {
            state.restarted && at_rest(state, SalePhase::Paid)
        }));
        properties
            .push(Property::sometimes("interrupted", |_, state: &State| reversing(state, Why::Interrupted)));
    }
    if world.single {
        properties
            .push(Property::sometimes("declined", |_, state: &State| at_rest(state, SalePhase::Declined)));
    } else {
        properties.push(Property::sometimes("paid with the second code", |_, state: &State| {
            at_rest(state, SalePhase::Paid) && state.synced.attempts.len() == 2
        }));
    }
    properties
}

fn is_paid(phase: &Phase) -> bool {
    matches!(phase, Phase::Paid(_) | Phase::Contradicted { .. })
}

fn at_rest(state: &State, phase: SalePhase) -> bool {
    state.live.as_ref().is_some_and(|live| !live.is_open() && live.phase() == phase)
}

fn reversing(state: &State, why: Why) -> bool {
    let is = |phase: &Phase| matches!(phase, Phase::Reversing(reversal) if reversal.why == why);
    state.live.as_ref().is_some_and(|live| live.attempts.iter().any(|attempt| is(&attempt.phase)))
}
