//! Every sale that can be is read back as it was written; nothing else is read at all.

use proptest::prelude::*;

use super::super::codec::{JobNote, Opening, abbreviate, decode, encode, expand};
use super::*;
use crate::ids::REFUNDS_MAX;
use crate::payment::{Doubt, MoneySeen, Reason, Refusal, Reversal};
use crate::refund::{self, Asking, Key, Refund};

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), 1_700_000_000_000i64..1_900_000_000_000].prop_map(Timestamp)
}

fn reason() -> impl Strategy<Value = Reason> {
    use Reason::*;
    prop::sample::select(vec![
        CodeExpired,
        CodeUsed,
        CodeInvalid,
        BalanceTooLow,
        CardNotSupported,
        CancelledByPayer,
        PayerNotAllowed,
        OtherPayer,
        NumberUsed,
        Merchant,
        LineDown,
        NotSendable,
        Other,
    ])
}

fn refusal() -> impl Strategy<Value = Refusal> {
    (".{0,32}", ".{0,128}", reason()).prop_map(|(code, text, reason)| Refusal { code, text, reason })
}

fn why() -> impl Strategy<Value = Why> {
    use Why::*;
    prop::sample::select(vec![GaveUp, Cancelled, PayFailed, Interrupted, LatePaid, Elsewhere])
}

fn money_seen() -> impl Strategy<Value = MoneySeen> {
    prop::sample::select(vec![MoneySeen::No, MoneySeen::Yes, MoneySeen::AskedSince])
}

fn reversal() -> impl Strategy<Value = Reversal> {
    (time(), time(), any::<u32>(), why(), prop::option::of(refusal()), money_seen()).prop_map(
        |(sent_at, since, tries, why, refused, money_seen)| Reversal {
            sent_at,
            since,
            tries,
            why,
            refused,
            money_seen,
        },
    )
}

fn proof() -> impl Strategy<Value = Proof> {
    let proof = ("[0-9a-zA-Z]{0,32}", time(), any::<u32>(), any::<u32>());
    proof.prop_map(|(gateway_txn, paid_at, payer_paid, coupon)| Proof {
        gateway_txn,
        paid_at,
        payer_paid,
        coupon,
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    let doubt = prop::sample::select(vec![Doubt::TooLong, Doubt::Refused, Doubt::Expired]);
    let paying = (time(), any::<bool>(), prop::option::of(refusal()), any::<bool>());
    prop_oneof![
        Just(Phase::Armed),
        paying.prop_map(|(sent_at, payer_asked, refusal, interrupted)| Phase::Paying {
            sent_at,
            payer_asked,
            refusal,
            interrupted
        }),
        reversal().prop_map(Phase::Reversing),
        (reversal(), doubt).prop_map(|(reversal, doubt)| Phase::InDoubt(reversal, doubt)),
        proof().prop_map(Phase::Paid),
        (proof(), time()).prop_map(|(proof, since)| Phase::Contradicted { proof, since }),
        (time(), refusal()).prop_map(|(sent_at, refusal)| Phase::Refused { sent_at, refusal }),
        refusal().prop_map(Phase::Declined),
        why().prop_map(Phase::Reversed),
        Just(Phase::Void),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let hint = prop::option::of("[0-9]{4}");
    (phase(), hint, prop::option::of(time())).prop_map(|(phase, hint, wake)| Attempt {
        phase,
        hint: hint.and_then(|digits| CodeHint::from_digits(&digits)),
        wake,
    })
}

fn receipt() -> impl Strategy<Value = ReceiptState> {
    prop::sample::select(ReceiptState::ALL.to_vec())
}

fn refund() -> impl Strategy<Value = Refund> {
    let number = ("[0-9A-Za-z]{16,30}", 1..=REFUNDS_MAX, any::<u32>())
        .prop_map(|(id, ordinal, random)| id.parse::<SaleId>().unwrap().refund(ordinal, random));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let asking = (time(), flags, prop::option::of(time()), prop::option::of(refusal())).prop_map(
        |(since, (under_way, asked_late, called), left_at, refused)| Asking {
            since,
            under_way,
            left_at,
            refused,
            asked_late,
            called,
        },
    );
    let taken_on = || ("[!-~]{1,32}", time());
    let phase = prop_oneof![
        asking.prop_map(refund::Phase::Asking),
        (taken_on(), time(), any::<bool>()).prop_map(|((gateway_number, accepted_at), since, called)| {
            refund::Phase::Accepted { gateway_number, accepted_at, since, called }
        }),
        (taken_on(), time()).prop_map(|((gateway_number, accepted_at), since)| {
            refund::Phase::Stuck { gateway_number, accepted_at, since }
        }),
        taken_on().prop_map(|(gateway_number, accepted_at)| refund::Phase::Returned {
            gateway_number,
            accepted_at
        }),
        refusal().prop_map(refund::Phase::Refused),
        "[!-~]{1,32}".prop_map(|gateway_number| refund::Phase::Closed { gateway_number }),
    ];
    let key = any::<([u8; 16], [u8; 8])>().prop_map(|(key, request)| Key { key, request });
    let asked = (number, any::<u8>(), 1..=u32::MAX, prop::option::of(".{0,40}"), key);
    (asked, time(), phase, prop::option::of(time())).prop_map(
        |((number, attempt, fen, reason, key), asked_at, phase, wake)| Refund {
            number,
            attempt,
            amount: Amount::from_fen(fen).unwrap(),
            reason,
            key,
            asked_at,
            phase,
            wake,
        },
    )
}

fn sale() -> impl Strategy<Value = Sale> {
    let attempts = prop_oneof![prop::collection::vec(attempt(), 1..4), prop::collection::vec(attempt(), 99)];
    let payment = (1..=u32::MAX, any::<bool>(), attempts).prop_map(|(fen, single, attempts)| Payment {
        amount: Amount::from_fen(fen).unwrap(),
        single,
        attempts,
    });
    let texts = ("[0-9A-Za-z]{16,30}", ".{0,64}", prop::option::of(".{0,64}"), "[a-z]{0,10}");
    let refunds = prop_oneof![prop::collection::vec(refund(), 0..3), prop::collection::vec(refund(), 50)];
    (texts, payment, refunds, receipt(), any::<u32>(), time(), time()).prop_map(
        |((id, subject, reference, gateway), payment, refunds, receipt, copies, created_at, updated_at)| {
            Sale {
                refunds,
                id: id.parse().unwrap(),
                payment,
                subject,
                reference,
                gateway,
                receipt,
                copies,
                created_at,
                updated_at,
            }
        },
    )
}

fn opening() -> impl Strategy<Value = Opening> {
    any::<([u8; 16], [u8; 8])>().prop_map(|(key, fingerprint)| Opening { key, fingerprint })
}

fn job() -> impl Strategy<Value = JobNote> {
    (any::<u64>(), receipt(), any::<bool>(), any::<u32>()).prop_map(|(job, state, marked, number)| JobNote {
        job,
        state,
        marked,
        number,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_sale_is_read_back_as_it_was_written(
        sale in sale(), at in time(), opening in prop::option::of(opening()), job in prop::option::of(job()),
        short in any::<bool>(),
    ) {
        let decoded = decode(at, &encode(at, &sale, opening, job, short)).unwrap();
        prop_assert_eq!((decoded.job, decoded.short), (job, short));
        match (decoded.whole, opening) {
            (Some((constant, kept)), Some(opening)) => {
                prop_assert_eq!(kept, opening);
                prop_assert_eq!(constant.with(decoded.state), sale);
            }
            (None, None) => prop_assert_eq!(super::super::codec::Constant::of(&sale).with(decoded.state), sale),
            (whole, _) => prop_assert!(false, "got {whole:?}"),
        }
    }

    #[test]
    fn a_state_has_one_form_and_others_are_refused(
        sale in sale(), at in time(), cut in any::<prop::sample::Index>(), other in any::<u8>(),
    ) {
        let bytes = encode(at, &sale, None, None, false);
        let cut = cut.index(bytes.len());
        prop_assert!(decode(at, &bytes[..cut]).is_err(), "cut short at {cut}");
        let mut changed = bytes.clone();
        changed[cut] ^= other;
        if let Ok(decoded) = decode(at, &changed) {
            let read = super::super::codec::Constant::of(&sale).with(decoded.state);
            if decoded.whole.is_none() && decoded.job.is_none() {
                prop_assert_eq!(encode(at, &read, None, None, decoded.short), changed);
            }
        }
    }

    #[test]
    fn an_abbreviated_event_is_read_in_full(sale in sale(), words in "[a-z \u{1}\u{2}]{0,20}", twice in any::<bool>()) {
        let number = sale.payment.paid().map_or("", |(_, proof)| &proof.gateway_txn);
        let event = format!("{words}{} {number}{}", sale.id, if twice { sale.id.as_str() } else { "" });
        match abbreviate(&event, &sale) {
            Some(short) => {
                prop_assert_eq!(expand(&short, sale.id.as_str(), &sale.payment.attempts), event);
            }
            None => prop_assert!(words.contains(['\u{1}', '\u{2}']), "not shortened"),
        }
    }
}

/// 2026-11-21 12:00 in Beijing.
const AT: Timestamp = Timestamp(1_795_233_600_000);

/// A sale that was just entered, with nothing that may differ between two.
fn entered() -> Sale {
    Sale {
        refunds: Vec::new(),
        id: "T01261121000042ABCDEF".parse().unwrap(),
        payment: Payment::new(Amount::from_fen(1250).unwrap(), true, AT, &Policy::default()),
        subject: "朝阳".to_owned(),
        reference: None,
        gateway: "wechat".to_owned(),
        receipt: ReceiptState::None,
        copies: 0,
        created_at: AT,
        updated_at: AT,
    }
}

/// It is paid under this number of the gateway.
fn paid_under(number: &str) -> Sale {
    let mut sale = entered();
    let proof = Proof { gateway_txn: number.to_owned(), paid_at: AT, payer_paid: 1250, coupon: 0 };
    sale.payment.attempts = vec![Attempt { phase: Phase::Paid(proof), hint: None, wake: None }];
    sale
}

#[test]
fn only_names_are_abbreviated_and_only_where_that_saves_something() {
    let short = |number: &str, event: &str| abbreviate(event, &paid_under(number));
    let number = "4200002671202611210123456789";
    let event = format!("T01261121000042ABCDEF pay: paid {number} -> paid");
    assert_eq!(short(number, &event).as_deref(), Some("\u{1} pay: paid \u{2} -> paid"));
    assert_eq!(short("123456789", "paid 123456789").as_deref(), Some("paid \u{2}"));
    // So short a number may be a part of anything.
    assert_eq!(short("12345678", "paid 12345678"), None);
    assert_eq!(short(number, "cancelled"), None);
}

#[test]
fn a_number_has_one_form() {
    let at = AT;
    let mut bytes = encode(at, &paid_under("4200002671202611210123456789"), None, None, false);
    assert!(decode(at, &bytes).is_ok());
    // The copies, 0, in two bytes instead of one: form, flags, time, receipt, copies.
    assert_eq!(bytes[2..5], [0, 0, 0]);
    bytes.splice(4..5, [0x80, 0x00]);
    let refused = decode(at, &bytes).err().unwrap();
    assert!(refused.contains("number"), "{refused}");
}

/// What a released program wrote must be read for ever: a change of these bytes needs a new form beside the old one.
#[test]
fn the_first_form_stays_as_it_is() {
    let at = AT;
    let mut sale = Sale {
        refunds: Vec::new(),
        reference: Some("P7".to_owned()),
        receipt: ReceiptState::Queued,
        copies: 1,
        created_at: at - Duration::from_millis(3),
        ..entered()
    };
    let refusal = || Refusal { code: "X".to_owned(), text: "y".to_owned(), reason: Reason::Other };
    let reversal = Reversal {
        sent_at: at,
        since: at,
        tries: 300,
        why: Why::Elsewhere,
        refused: Some(refusal()),
        money_seen: MoneySeen::No,
    };
    let proof = Proof { gateway_txn: "42".to_owned(), paid_at: at, payer_paid: 1150, coupon: 100 };
    let phases = [
        Phase::Paying { sent_at: at, payer_asked: true, refusal: Some(refusal()), interrupted: true },
        Phase::Reversing(reversal.clone()),
        Phase::InDoubt(reversal, Doubt::Expired),
        Phase::Paid(proof.clone()),
        Phase::Declined(refusal()),
        Phase::Reversed(Why::GaveUp),
        Phase::Void,
        Phase::Refused { sent_at: at, refusal: refusal() },
        Phase::Contradicted { proof, since: at },
    ];
    let hint = CodeHint::from_digits("0406");
    sale.payment.attempts.extend(phases.map(|phase| Attempt { phase, hint: hint.clone(), wake: None }));
    let opening = Opening { key: [0xAA; 16], fingerprint: [0xBB; 8] };
    let job = JobNote { job: 5, state: ReceiptState::Queued, marked: true, number: 1 };
    let bytes = encode(at, &sale, Some(opening), Some(job), true);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let first = concat!(
        "01071554303132363131323130303030343241424344454606e69c9de998b3010250370677656368617405e20901aaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb050101010001010a0001809f4901019603000200030101580179",
        "0d01960300030000ac020601015801790d01960300040000ac020601015801790d03019603000502343200fe08640196",
        "030006015801790d0196030007010196030008019603000900015801790d019603000a02343200fe086400",
    );
    assert_eq!(hex, first);
    assert_eq!(decode(at, &bytes).unwrap().whole.unwrap().0.with(decode(at, &bytes).unwrap().state), sale);
}
