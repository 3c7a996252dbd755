//! What a printer says: every byte is part of one reply, or counted as noise, or a flow control character; and after the
//! worst noise the next reply is found.

use micropayd::printer::status::{Condition, Replies, Reply};

/// The bytes as they come.
pub fn holds(data: &[u8]) {
    let mut replies = Replies::default();
    let mut accounted = 0;
    let mut condition = Condition::default();
    for (place, byte) in data.iter().enumerate() {
        let Some(reply) = replies.push(*byte) else { continue };
        let came = &data[..=place];
        accounted += match &reply {
            Reply::RealTime(answer) => {
                (1..=4).for_each(|n| condition.real_time(n, *answer));
                assert!(came.ends_with(&[*answer]));
                1
            }
            Reply::Paper(answer) => {
                condition.paper(*answer);
                assert!(came.ends_with(&[*answer]));
                1
            }
            Reply::Automatic(status) => {
                assert!(came.ends_with(status));
                assert!(Condition::automatic(*status).trouble().is_none_or(|why| !why.is_empty()));
                4
            }
            Reply::ProcessId(id) => {
                assert!(came.ends_with(&[&[0x37, 0x22], &id[..], &[0]].concat()), "a name that was not said");
                id.len() + 3
            }
            Reply::Info(text) => {
                assert!(came.ends_with(&[&[0x5f], &text[..], &[0]].concat()), "a text that was not said");
                text.len() + 2
            }
        };
        let told = accounted as u64 + replies.noise();
        assert!(told <= place as u64 + 1, "{told} bytes of {}", place + 1);
    }
    // Flow control between replies is neither; so much may be left out, and what a reply that goes on holds.
    let silent = data.iter().filter(|byte| matches!(byte, 0x11 | 0x13)).count();
    let told = accounted + usize::try_from(replies.noise()).expect("noise is bounded by the bytes");
    assert!(told + silent + 80 >= data.len(), "{told} of {} bytes", data.len());
    assert!(condition.trouble().is_none_or(|why| !why.is_empty()));
    for _ in 0..=80 {
        replies.push(0);
    }
    assert_eq!(replies.push(0x12), Some(Reply::RealTime(0x12)), "the next reply is not found");
}
