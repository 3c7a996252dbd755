//! What the people do, and the driver of the world: a step, its record, its effects, and a power cut between any two of them.

use micropayd::payment::cashier::hand_over_goods;
use micropayd::payment::{Asked, Doubt, Effect, Event, Payment, Phase, WaitingFor, step};

use super::rules::{self, Broken, Rule, breaks};
use super::sights::sight;
use super::words::{Back, Message, Silence, Word};
use super::world::{Happening, World, slot};

/// What the line makes of a request.
enum Line {
    Up(i64),
    Down(Silence),
    Swallows,
}

impl World {
    pub fn feed(&mut self, event: Event) -> Result<(), Broken> {
        let now = self.clock();
        let payment = self.live.take().expect("a process that is up has a payment");
        self.seen.look(&payment, &event);
        if payment.waiting_for() == Some(WaitingFor::Scan) {
            self.calm_at = self.calm_at.max(self.now);
        }
        self.outcome.steps += 1;
        let told = if self.story.is_some() { format!("{event:?}") } else { String::new() };
        let scanned = matches!(event, Event::Code(_));
        // Where the power fails: before the record, after it, or after so many effects.
        let before = self.dice.fault(6).then(|| payment.clone());
        let step = step(payment, event, now, &self.policy);
        self.tell(|| {
            let phases: Vec<_> = step
                .payment
                .attempts
                .iter()
                .map(|a| (a.phase.label(), a.wake.map(|w| w.since(now))))
                .collect();
            format!("{told} -> {phases:?} {:?}{}", step.effects, if step.durable { " durable" } else { "" })
        });
        self.seen.check(&step, now, &self.policy)?;
        if step.payment.attempts.len() > self.tries.len() {
            self.new_order();
            self.customer_tries_again();
        }
        let early = scanned && step.effects.first().is_some_and(|effect| matches!(effect, Effect::Pay(_)));
        if early {
            // The intent is durable, so the request need not wait for the disk.
            self.carry_out(step.effects[0])?;
        }
        let fails_after = match before {
            None => None,
            Some(before) => match self.dice.below(step.effects.len() as u64 + 2) {
                0 => return self.crash(before),
                effects => Some(effects),
            },
        };
        if step.durable {
            self.synced.attempts.clone_from(&step.payment.attempts);
        }
        rules::money_is_on_record(&self.tries, &self.synced)?;
        for (effect, done) in step.effects.iter().skip(usize::from(early)).zip(1..) {
            if fails_after == Some(done) {
                return self.crash(step.payment);
            }
            self.carry_out(*effect)?;
        }
        if fails_after.is_some() {
            return self.crash(step.payment);
        }
        if hand_over_goods(&step.payment) {
            rules::goods_are_paid_for(&self.tries, &self.synced)?;
        }
        if step.durable {
            self.note_what_was_seen(&step.payment);
        }
        self.rested_at = if step.payment.is_open() { None } else { self.rested_at.or(Some(self.now)) };
        self.live = Some(step.payment);
        Ok(())
    }

    pub(super) fn plan_the_cashier(&mut self) {
        let first = self.dice.between(100, 20_000);
        if !self.dice.chance(20) {
            self.later(first, Happening::Scan);
        }
        if self.dice.fault(15) {
            let bounce = first + self.dice.between(1, 1_000);
            self.later(bounce, Happening::Scan);
        }
        if self.dice.fault(60) {
            let at = self.dice.between(0, 90_000);
            self.later(at, Happening::Cancel);
        }
        if self.dice.fault(40) {
            let at = self.dice.between(0, 120_000);
            self.later(at, Happening::Check);
        }
        if self.dice.fault(60) {
            let at = self.dice.between(0, 120_000);
            self.later(at, Happening::Crash);
        }
        if self.dice.fault(15) {
            let at = self.dice.between(0, 60_000);
            let length = self.dice.between(1_000, 900_000);
            self.outage_until = at + length;
            self.calm_at = self.calm_at.max(self.outage_until);
        }
    }

    fn customer_tries_again(&mut self) {
        let delay = self.dice.between(2_000, 30_000);
        if self.dice.chance(900) {
            self.later(delay, Happening::Scan);
        } else if self.dice.chance(800) {
            self.later(delay, Happening::Cancel);
        }
    }

    fn note_what_was_seen(&mut self, payment: &Payment) {
        for attempt in &payment.attempts {
            self.outcome.sights |= 1 << sight(&attempt.phase);
            self.expired |= matches!(attempt.phase, Phase::InDoubt(_, Doubt::Expired));
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Broken> {
        match effect {
            Effect::Pay(attempt) => {
                let tried = &mut self.tries[slot(attempt)];
                if tried.left_at.replace(self.now).is_some() {
                    return breaks(Rule::Once, format!("a second pay request of attempt {attempt}"));
                }
                tried.order.scanned_at = self.now;
                self.outcome.calls += 1;
                self.pay_leaves(attempt);
            }
            Effect::Query(attempt) => {
                self.outcome.calls += 1;
                self.asked += 1;
                let number = self.asked;
                self.tries[slot(attempt)].newest_query = number;
                let silent = |word| Message::Answered { attempt, to: Asked::Query, word };
                match self.line() {
                    Line::Up(delay) => self.later(delay, Happening::QueryArrives { attempt, number }),
                    Line::Down(silence) => self.tells(1_000, number, silent(Word::NeverSent(silence))),
                    Line::Swallows => self.tells(10_000, number, silent(Word::Unknown(Silence::Timeout))),
                }
            }
            Effect::Reverse(attempt) => {
                self.outcome.calls += 1;
                self.asked += 1;
                let number = self.asked;
                self.tries[slot(attempt)].newest_reversal = number;
                rules::not_too_soon(self.tries[slot(attempt)].left_at, self.now)?;
                let silent = |word| Message::Reversed { attempt, word };
                match self.line() {
                    Line::Up(delay) => {
                        self.later(delay, Happening::ReverseArrives { attempt, number, answered: true });
                        if self.dice.fault(10) {
                            let later = delay + self.dice.between(0, 60_000);
                            self.later(later, Happening::ReverseArrives { attempt, number, answered: false });
                        }
                    }
                    Line::Down(silence) => self.tells(1_000, number, silent(Back::NeverSent(silence))),
                    Line::Swallows => self.tells(10_000, number, silent(Back::Unknown(Silence::Timeout))),
                }
            }
            Effect::Receipt(attempt) => {
                self.tries[slot(attempt)].receipts += 1;
                rules::receipt_is_due(attempt, &self.tries, &self.synced)?;
            }
            Effect::CallManager(attempt) => {
                // What is being taken back a person can refund; what may be paid nobody touches.
                let phase = &self.synced.attempts[slot(attempt)].phase;
                let goes_back = matches!(phase, Phase::Reversing(_) | Phase::InDoubt(..));
                if goes_back && self.tries[slot(attempt)].order.stubborn {
                    let delay = self.dice.between(60_000, 1_800_000);
                    self.later(delay, Happening::ManagerRefunds { attempt });
                }
            }
        }
        Ok(())
    }

    /// The one pay request sets out; it may need a minute, come twice, or never.
    fn pay_leaves(&mut self, attempt: u8) {
        let silent = |word| Message::Answered { attempt, to: Asked::Pay, word };
        match self.line() {
            Line::Down(silence) => {
                let delay = self.dice.between(10, 25_000);
                self.tells(delay, 0, silent(Word::NeverSent(silence)));
            }
            Line::Swallows => self.tells(10_000, 0, silent(Word::Unknown(Silence::Timeout))),
            Line::Up(delay) => {
                if self.dice.fault(20) {
                    // Held up on its way; the transport has long given up when it arrives.
                    let held = self.dice.between(1_000, 60_000);
                    self.later(held, Happening::PayArrives { attempt, answered: false });
                    self.tells(10_000, 0, silent(Word::Unknown(Silence::Timeout)));
                } else {
                    self.later(delay, Happening::PayArrives { attempt, answered: true });
                }
                if self.dice.fault(10) {
                    let again = delay + self.dice.between(0, 60_000);
                    self.later(again, Happening::PayArrives { attempt, answered: false });
                }
            }
        }
    }

    fn line(&mut self) -> Line {
        if self.in_outage() || self.dice.fault(30) {
            return match self.dice.below(3) {
                0 => Line::Swallows,
                1 => Line::Down(Silence::Dns),
                _ => Line::Down(Silence::Connect),
            };
        }
        Line::Up(self.dice.between(10, 200))
    }

    /// The process or the power fails. What was synced is there again; what was only written may be.
    pub fn crash(&mut self, mut written: Payment) -> Result<(), Broken> {
        self.outcome.crashes += 1;
        self.life += 1;
        let kept = self.dice.chance(600);
        self.tell(|| format!("CRASH, unsynced steps {}", if kept { "kept" } else { "lost" }));
        if kept {
            self.synced.attempts.clone_from(&written.attempts);
        } else {
            written.attempts.clone_from(&self.synced.attempts);
        }
        self.now += if self.dice.chance(800) {
            self.dice.between(100, 5_000)
        } else {
            self.dice.between(100, 600_000)
        };
        self.clock_error = match self.dice.below(4) {
            0 => 0,
            1 => self.dice.between(-700_000_000_000, 700_000_000_000),
            2 => self.dice.between(-5_000, 5_000),
            _ => -self.now,
        };
        self.calm_at = self.calm_at.max(self.now);
        self.live = Some(written);
        self.feed(Event::Restarted)
    }
}
