//! What the customer sees and the cashier hears of what the terminal tells, without a look at the screen. Never about
//! an older sale than the one at the till, but for the call for the manager; and nothing twice.

use std::collections::BTreeSet;

use crate::display::Scene;
use crate::ids::SaleId;
use crate::input::Notice;
use crate::payment::cashier::{Language, Next, told};
use crate::payment::{Payment, Phase, Policy, SalePhase};
use crate::sale::Sale;
use crate::sounds::Sound;

/// Follows the sale at the till.
pub struct Audience {
    policy: Policy,
    followed: Option<SaleId>,
    scene: Scene,
    manager_called: BTreeSet<SaleId>,
}

impl Audience {
    /// Nobody is at the till yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, followed: None, scene: Scene::Empty, manager_called: BTreeSet::new() }
    }

    /// What is to be shown and heard because of this.
    pub fn hear(&mut self, notice: &Notice) -> (Option<Scene>, Option<Sound>) {
        match notice {
            Notice::Sale(_, sale) => self.sale(sale),
            // A box that reads the phone of the sale in hand once more is no mistake of the cashier's.
            Notice::Remark(remark) if remark.code != "already_in_progress" => (None, Some(Sound::Refused)),
            Notice::Remark(_) | Notice::Device(_) | Notice::Gateway(..) => (None, None),
        }
    }

    fn sale(&mut self, sale: &Sale) -> (Option<Scene>, Option<Sound>) {
        let next = told(&sale.payment, sale.updated_at, &self.policy, Language::default()).next;
        let call = match next {
            Next::CallManager => self.manager_called.insert(sale.id.clone()),
            Next::Scan | Next::Wait | Next::HandOver | Next::Rescan | Next::OtherTender => {
                self.manager_called.remove(&sale.id);
                false
            }
        };
        let call = call.then_some(Sound::CallManager);
        let (scene, first) = (scene(&sale.payment), self.followed.as_ref() != Some(&sale.id));
        if first {
            // One that no longer holds the lane is of an earlier customer: a reversal that goes on, a reprint.
            if !sale.payment.holds_lane() {
                return (None, call);
            }
            self.followed = Some(sale.id.clone());
        } else if scene == self.scene {
            return (None, call);
        }
        let before = std::mem::replace(&mut self.scene, scene);
        let sound = if first { None } else { sound(before, scene, sale.payment.phase()) };
        (Some(scene), call.or(sound))
    }
}

/// What the customer sees of a payment.
fn scene(payment: &Payment) -> Scene {
    let amount = payment.amount;
    let earlier = payment.attempts.iter().rev().nth(1).map(|attempt| &attempt.phase);
    match payment.phase() {
        SalePhase::AwaitingCode => match earlier {
            Some(Phase::Refused { .. } | Phase::Declined(_)) => Scene::Again(amount),
            _ => Scene::Total(amount),
        },
        SalePhase::Paying => match payment.leading().phase {
            Phase::Paying { payer_asked: true, .. } => Scene::Password(amount),
            _ => Scene::Paying(amount),
        },
        SalePhase::Reversing => Scene::GoesBack(amount),
        SalePhase::InDoubt => Scene::Unclear(amount),
        SalePhase::Paid => Scene::Paid(amount),
        SalePhase::Declined | SalePhase::Cancelled => Scene::NotPaid(amount),
        // Also where it is not known whether anything was taken at all.
        SalePhase::Reversed => Scene::GoesBack(amount),
    }
}

/// What is heard when the scene changes.
fn sound(before: Scene, after: Scene, phase: SalePhase) -> Option<Sound> {
    let said_no = |scene| matches!(scene, Scene::NotPaid(_) | Scene::GoesBack(_) | Scene::Unclear(_));
    match after {
        // A doubt that ends well was heard as paid before; twice would sound like two payments.
        Scene::Paid(_) if matches!(before, Scene::Unclear(_)) => None,
        Scene::Paid(amount) => Some(Sound::Paid(amount)),
        Scene::Paying(_) | Scene::Password(_) => {
            matches!(before, Scene::Total(_) | Scene::Again(_)).then_some(Sound::Scanned)
        }
        // The cashier closed it; nothing happened that must be heard.
        Scene::NotPaid(_) if phase == SalePhase::Cancelled => None,
        Scene::Again(_) | Scene::NotPaid(_) | Scene::GoesBack(_) => {
            (!said_no(before)).then_some(Sound::NotPaid)
        }
        // The call for the manager is made where the cashier's sentence says so.
        Scene::Unclear(_) | Scene::Total(_) | Scene::Empty => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CodeHint;
    use crate::input::Remark;
    use crate::money::Amount;
    use crate::payment::{Attempt, Doubt, Proof, Reason, Refusal, Reversal, Why};
    use crate::sale::ReceiptState;
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp(1_795_233_600_000);

    fn sum() -> Amount {
        "12.50".parse().unwrap()
    }

    fn refusal() -> Refusal {
        Refusal { code: String::new(), text: String::new(), reason: Reason::BalanceTooLow }
    }

    fn paying(payer_asked: bool) -> Phase {
        Phase::Paying { sent_at: NOW, payer_asked, refusal: None, interrupted: false }
    }

    fn paid() -> Phase {
        Phase::Paid(Proof { gateway_txn: String::new(), paid_at: NOW, payer_paid: 1250, coupon: 0 })
    }

    fn reversal() -> Reversal {
        Reversal::new(NOW, NOW, Why::GaveUp)
    }

    /// A sale with attempts in these phases, named by its sequence.
    fn sale(number: u32, phases: Vec<Phase>) -> Notice {
        let attempts = phases.into_iter().map(|phase| Attempt {
            hint: CodeHint::from_digits("8406"),
            wake: phase.is_open().then_some(NOW),
            phase,
        });
        let payment = Payment { amount: sum(), single: false, attempts: attempts.collect() };
        Notice::Sale(
            Some(1),
            Box::new(Sale {
                refunds: Vec::new(),
                id: format!("T01261121{number:06}000001").parse().unwrap(),
                payment,
                subject: String::new(),
                reference: None,
                gateway: "wechat".to_owned(),
                receipt: ReceiptState::None,
                copies: 0,
                created_at: NOW,
                updated_at: NOW,
            }),
        )
    }

    fn audience() -> Audience {
        Audience::new(Policy::default())
    }

    fn hear(audience: &mut Audience, notices: Vec<Notice>) -> Vec<(Option<Scene>, Option<Sound>)> {
        notices.iter().map(|notice| audience.hear(notice)).collect()
    }

    /// The same sale, of whose money so much goes back.
    fn refunding(mut notice: Notice, amount: &str) -> Notice {
        use crate::refund::{Key, Refund};
        let Notice::Sale(_, sale) = &mut notice else { panic!("it is a sale") };
        let (number, key) = (sale.id.refund(1, 7), Key { key: [0; 16], request: [0; 8] });
        let amount = amount.parse().unwrap();
        sale.refunds.push(Refund::new(number, 1, amount, None, key, NOW, &Policy::default()));
        notice
    }

    #[test]
    fn a_refund_is_neither_seen_nor_heard_as_a_payment() {
        let mut audience = audience();
        hear(&mut audience, vec![sale(2, vec![Phase::Armed]), sale(2, vec![paid()])]);
        let heard = hear(
            &mut audience,
            vec![
                // Of the sale at the till, all of it and a part; and of one of another day.
                refunding(sale(2, vec![paid()]), "12.50"),
                refunding(sale(2, vec![paid()]), "5.00"),
                refunding(sale(1, vec![paid()]), "5.00"),
                refunding(sale(3, vec![paid()]), "12.50"),
            ],
        );
        assert_eq!(heard, [(None, None); 4]);
        // The next customer's payment is.
        let next = hear(&mut audience, vec![sale(4, vec![Phase::Armed]), sale(4, vec![paid()])]);
        assert_eq!(next[1], (Some(Scene::Paid(sum())), Some(Sound::Paid(sum()))));
    }

    #[test]
    fn a_paid_sale_is_seen_and_heard_once_a_step() {
        let heard = hear(
            &mut audience(),
            vec![
                sale(1, vec![Phase::Armed]),
                sale(1, vec![Phase::Armed]),
                sale(1, vec![paying(false)]),
                sale(1, vec![paying(true)]),
                sale(1, vec![paid()]),
                // Its receipt: queued, sent, printed; and a copy later.
                sale(1, vec![paid()]),
                sale(1, vec![paid()]),
            ],
        );
        let expected = [
            (Some(Scene::Total(sum())), None),
            (None, None),
            (Some(Scene::Paying(sum())), Some(Sound::Scanned)),
            (Some(Scene::Password(sum())), None),
            (Some(Scene::Paid(sum())), Some(Sound::Paid(sum()))),
            (None, None),
            (None, None),
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_code_that_does_not_pay_sounds_and_the_next_one_is_a_scan() {
        let declined = || Phase::Declined(refusal());
        let heard = hear(
            &mut audience(),
            vec![
                sale(1, vec![Phase::Armed]),
                sale(1, vec![paying(false)]),
                sale(1, vec![declined(), Phase::Armed]),
                sale(1, vec![declined(), paying(false)]),
                sale(1, vec![declined(), paid()]),
            ],
        );
        let scenes: Vec<_> = heard.iter().map(|(scene, _)| scene.unwrap()).collect();
        assert_eq!(scenes[2..], [Scene::Again(sum()), Scene::Paying(sum()), Scene::Paid(sum())]);
        let sounds: Vec<_> = heard.iter().map(|(_, sound)| *sound).collect();
        let scanned = Some(Sound::Scanned);
        assert_eq!(sounds, [None, scanned, Some(Sound::NotPaid), scanned, Some(Sound::Paid(sum()))]);
    }

    #[test]
    fn a_reversal_is_not_paid_once_and_a_doubt_calls_the_manager_once() {
        let back = || sale(1, vec![Phase::Reversing(reversal())]);
        let doubt = || sale(1, vec![Phase::InDoubt(reversal(), Doubt::TooLong)]);
        let heard = hear(
            &mut audience(),
            vec![
                sale(1, vec![paying(false)]),
                back(),
                back(),
                doubt(),
                doubt(),
                sale(1, vec![Phase::Reversed(Why::GaveUp)]),
            ],
        );
        let expected = [
            (Some(Scene::Paying(sum())), None),
            (Some(Scene::GoesBack(sum())), Some(Sound::NotPaid)),
            (None, None),
            (Some(Scene::Unclear(sum())), Some(Sound::CallManager)),
            (None, None),
            (Some(Scene::GoesBack(sum())), None),
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn a_paid_sale_that_was_doubted_is_heard_as_paid_once() {
        let proof = Proof { gateway_txn: String::new(), paid_at: NOW, payer_paid: 1250, coupon: 0 };
        let doubted = sale(1, vec![Phase::Contradicted { proof, since: NOW }]);
        let paid = || sale(1, vec![paid()]);
        let heard = hear(&mut audience(), vec![sale(1, vec![paying(false)]), paid(), doubted, paid()]);
        let expected = [
            (Some(Scene::Paid(sum())), Some(Sound::Paid(sum()))),
            (Some(Scene::Unclear(sum())), Some(Sound::CallManager)),
            (Some(Scene::Paid(sum())), None),
        ];
        assert_eq!(heard[1..], expected);
    }

    #[test]
    fn an_earlier_sale_is_never_shown_over_the_one_at_the_till() {
        let heard = hear(
            &mut audience(),
            vec![
                // After a restart: an old receipt, an old reversal.
                sale(1, vec![paid()]),
                sale(2, vec![Phase::Reversing(reversal())]),
                sale(3, vec![Phase::Armed]),
                sale(2, vec![Phase::Reversed(Why::GaveUp)]),
                sale(2, vec![Phase::InDoubt(reversal(), Doubt::Refused)]),
                sale(3, vec![paying(false)]),
            ],
        );
        assert_eq!(heard[..2], [(None, None), (None, None)]);
        assert_eq!(heard[2], (Some(Scene::Total(sum())), None));
        assert_eq!(heard[3..5], [(None, None), (None, Some(Sound::CallManager))]);
        assert_eq!(heard[5], (Some(Scene::Paying(sum())), Some(Sound::Scanned)));
    }

    #[test]
    fn a_sale_that_the_cashier_closes_is_cleared_without_a_sound() {
        let heard = hear(&mut audience(), vec![sale(1, vec![Phase::Armed]), sale(1, vec![Phase::Void])]);
        assert_eq!(heard[1], (Some(Scene::NotPaid(sum())), None));
    }

    #[test]
    fn a_refused_scan_is_heard_and_the_same_phone_again_is_not() {
        let remark = |code| Notice::Remark(Remark { code, text: String::new() });
        let heard = hear(&mut audience(), vec![remark("nothing_to_pay"), remark("already_in_progress")]);
        assert_eq!(heard, [(None, Some(Sound::Refused)), (None, None)]);
    }
}
