//! One payment: what goes wrong with the gateway, whether the terminal crashes, who the customers are, and what the cashier
//! does meanwhile. All of it is drawn; nothing here knows what should come of it.

use std::time::Duration;

use micropayd::ids::{PaymentCode, SaleId};
use micropayd::input::{Command, Input, Scan};
use micropayd::payment::SalePhase;
use micropayd::simulator::weather::{Fault, Rule, Where};
use micropayd::simulator::world::Offer;

use crate::faults::{FAULTS, MOODS, rule};
use crate::shop::Shop;

/// A query that does not know the order yet. Only here, where the weather is over before the code is dead: after that no
/// client survives it.
const TOO_EARLY: (Where, Fault) = (Where::Orderquery, Fault::NotExist);

/// How often a payment or a refund meets a journal that is lost under way.
pub const LOSS: f64 = 0.002;

impl Shop<'_> {
    /// Plays the `number`-th payment of this shop to its end, and holds it against the truth.
    pub fn payment(&mut self, number: u64) {
        self.story.clear();
        self.opened = (0, self.life);
        let fen = 1 + u32::try_from(self.dice.throw() % 90_000).unwrap();
        self.front.weather.clear();
        for _ in 0..self.dice.throw() % 3 {
            let drawn = usize::try_from(self.dice.throw()).unwrap_or(0) % (FAULTS.len() + 1);
            let (api, fault) = FAULTS.get(drawn).copied().unwrap_or(TOO_EARLY);
            let times = 1 + u32::try_from(self.dice.throw() % 3).unwrap();
            self.fault((api, fault), times, 0);
        }
        self.crash_chance = if self.dice.chance(0.15) { 0.1 } else { 0.0 };
        let Some(id) = self.open(fen, &format!("key-{number}")) else {
            // A crash between the commit and the answer: the key finds the sale again, or there never was one.
            self.crash_chance = 0.0;
            let again = self.open(fen, &format!("key-{number}"));
            assert!(again.is_some(), "the key opens or finds a sale\n{}", self.story.join("\n"));
            return self.conclude(&again.unwrap());
        };
        for _ in 0..1 + self.dice.throw() % 2 {
            let thought = Duration::from_millis(self.dice.throw() % 4_000);
            self.pass(thought);
            let mood = MOODS[usize::try_from(self.dice.throw()).unwrap_or(0) % MOODS.len()];
            let (code, _) = self.front.world.new_code(self.now, mood, Offer::default());
            self.say(|| format!("scan {mood:?}"));
            let code = PaymentCode::parse(&code).expect("a code");
            self.give(Input::Scan(Scan::Code("scanner".to_owned(), code)));
            self.check_cashier(&id);
            match self.dice.throw() % 20 {
                0 => self.ask(|reply| Command::Cancel(id.clone(), reply)),
                1 => self.ask(|reply| Command::Check(id.clone(), reply)),
                2 => self.crash(),
                // Wherever the money is just then.
                3 => self.ask_refund(&id, fen, &format!("early-{number}")),
                _ => {}
            }
            let span = Duration::from_millis(self.dice.throw() % 20_000);
            self.pass(span);
            if self.dice.chance(LOSS) {
                self.lose_journal();
            }
            self.check_cashier(&id);
        }
        self.conclude(&id);
        if self.dice.chance(0.4) {
            self.refunds(&id, number);
        }
    }

    /// Adds a fault to the weather, after so many calls that pass unharmed.
    pub fn fault(&mut self, fault: (Where, Fault), times: u32, skip: u32) {
        let rule = rule(fault, times, || (self.dice.throw() % 40_000) as f64 / 1000.0);
        let rule = Rule { skip, ..rule };
        self.say(|| format!("weather {rule:?}"));
        self.front.weather.add(self.now, rule);
    }

    /// Faults stop; everything must come to rest and agree.
    pub fn conclude(&mut self, id: &SaleId) {
        self.crash_chance = 0.0;
        self.front.weather.clear();
        if self.sale(id).payment.phase() == SalePhase::AwaitingCode {
            self.ask(|reply| Command::Cancel(id.clone(), reply));
        }
        let began = self.now;
        while !self.waits_for_a_person() && self.turn() {
            assert!(
                self.now.since(began) < Duration::from_secs(30 * 60),
                "{id} does not come to rest\n{}",
                self.story.join("\n")
            );
            self.check_list(id);
            self.check_refunds(id);
        }
        self.idle();
        self.check_rest(id);
    }
}
