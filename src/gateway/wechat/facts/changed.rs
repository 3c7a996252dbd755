//! A genuine answer with anything changed, cut or put in is never believed; one with more fields that is signed is.

use proptest::prelude::*;

use super::*;

/// Answers that would change something if they were believed.
fn believable() -> Vec<Message> {
    vec![
        paid(),
        found("SUCCESS"),
        found("CLOSED"),
        found("REFUND"),
        found("PAYERROR"),
        found("NOTPAY"),
        failed("NOTENOUGH", "余额不足"),
        failed("ORDERNOTEXIST", "此交易订单号不存在"),
        failed("USERPAYING", "需要用户输入支付密码"),
        failed("REVERSE_EXPIRE", "订单无法撤销"),
        reversed("N"),
        reversed("Y"),
    ]
}

fn changes_nothing(answer: &(Answer, Answer, ReversalAnswer)) -> bool {
    matches!(answer, (Answer::Unknown(_), Answer::Unknown(_), ReversalAnswer::Unknown(_)))
}

/// A changed text that says the same: a blank where XML allows one.
fn says_the_same(original: &[u8], changed: &[u8]) -> bool {
    each(original) == each(changed)
}

#[test]
fn no_single_changed_byte_is_believed() {
    // Exhaustive for one bit of every byte of every answer; proptest below tries the other values.
    for message in believable() {
        let original = signed(&message);
        for place in 0..original.len() {
            for bit in [0x01, 0x20] {
                let mut changed = original.clone();
                changed[place] ^= bit;
                let read = each(&changed);
                assert!(
                    changes_nothing(&read) || says_the_same(&original, &changed),
                    "{read:?} from {}",
                    String::from_utf8_lossy(&changed)
                );
            }
        }
    }
}

#[test]
fn no_answer_that_lost_its_end_is_believed() {
    for message in believable() {
        let original = signed(&message);
        for end in 0..original.len() {
            assert!(changes_nothing(&each(&original[..end])));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_changed_inserted_or_removed_byte_is_believed(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        how in 0..3,
    ) {
        let messages = believable();
        let original = signed(&messages[which.index(messages.len())]);
        let mut changed = original.clone();
        let place = place.index(original.len());
        match how {
            0 => changed[place] = byte,
            1 => changed.insert(place, byte),
            _ => {
                changed.remove(place);
            }
        }
        let read = each(&changed);
        prop_assert!(
            changes_nothing(&read) || says_the_same(&original, &changed),
            "{:?} from {}", read, String::from_utf8_lossy(&changed)
        );
    }

    #[test]
    fn a_genuine_answer_with_any_further_fields_is_believed(
        more in proptest::collection::btree_map("[A-Z_]{1,12}", "[^\\x00-\\x1f&\u{7f}\u{fffe}\u{ffff}]{0,30}", 0..8),
    ) {
        let more = more.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let read = pay(&signed(&[paid(), more].concat()));
        prop_assert!(matches!(read, Answer::Paid(_)), "{:?}", read);
    }
}
