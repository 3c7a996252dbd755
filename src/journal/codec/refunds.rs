//! How the refunds of a sale are written, behind its attempts; a sale without any has no byte of this.

use super::{Reader, Writer};
use crate::ids::REFUNDS_MAX;
use crate::money::Amount;
use crate::refund::{Asking, Key, Phase, Refund};

const UNDER_WAY: u8 = 1;
const ASKED_LATE: u8 = 2;
const CALLED: u8 = 4;

impl Writer {
    pub(super) fn refund(&mut self, refund: &Refund) {
        self.text(refund.number.as_str());
        self.byte(refund.attempt);
        self.number(refund.amount.fen().into());
        self.maybe(refund.reason.as_deref(), |out, text| out.text(text));
        self.bytes.extend_from_slice(&refund.key.key);
        self.bytes.extend_from_slice(&refund.key.request);
        self.time(refund.asked_at);
        self.maybe(refund.wake, Self::time);
        match &refund.phase {
            Phase::Asking(Asking { since, under_way, left_at, refused, asked_late, called }) => {
                self.byte(1);
                self.time(*since);
                let flag = |on: bool, bit: u8| if on { bit } else { 0 };
                self.byte(
                    flag(*under_way, UNDER_WAY) | flag(*asked_late, ASKED_LATE) | flag(*called, CALLED),
                );
                self.maybe(*left_at, Self::time);
                self.maybe(refused.as_ref(), Self::refusal);
            }
            Phase::Accepted { gateway_number, accepted_at, since, called } => {
                self.byte(2);
                self.text(gateway_number);
                self.time(*accepted_at);
                self.time(*since);
                self.byte((*called).into());
            }
            Phase::Stuck { gateway_number, accepted_at, since } => {
                self.byte(3);
                self.text(gateway_number);
                self.time(*accepted_at);
                self.time(*since);
            }
            Phase::Returned { gateway_number, accepted_at } => {
                self.byte(4);
                self.text(gateway_number);
                self.time(*accepted_at);
            }
            Phase::Refused(refusal) => {
                self.byte(5);
                self.refusal(refusal);
            }
            Phase::Closed { gateway_number } => {
                self.byte(6);
                self.text(gateway_number);
            }
        }
    }
}

impl Reader<'_> {
    pub(super) fn refunds(&mut self) -> Result<Vec<Refund>, String> {
        let count = self.number()?;
        if !(1..=REFUNDS_MAX.into()).contains(&count) {
            return Err(format!("state has {count} refunds, expected 1 to {REFUNDS_MAX}"));
        }
        (0..count).map(|_| self.refund()).collect()
    }

    fn refund(&mut self) -> Result<Refund, String> {
        Ok(Refund {
            number: self.text()?.parse()?,
            attempt: self.byte()?,
            amount: Amount::from_fen(self.number_u32()?).map_err(|error| error.to_string())?,
            reason: self.maybe(Self::text)?,
            key: Key { key: self.array()?, request: self.array()? },
            asked_at: self.time()?,
            wake: self.maybe(Self::time)?,
            phase: match self.byte()? {
                1 => Phase::Asking(self.asking()?),
                2 => Phase::Accepted {
                    gateway_number: self.text()?,
                    accepted_at: self.time()?,
                    since: self.time()?,
                    called: self.flag()?,
                },
                3 => Phase::Stuck {
                    gateway_number: self.text()?,
                    accepted_at: self.time()?,
                    since: self.time()?,
                },
                4 => Phase::Returned { gateway_number: self.text()?, accepted_at: self.time()? },
                5 => Phase::Refused(self.refusal()?),
                6 => Phase::Closed { gateway_number: self.text()? },
                other => return Err(format!("refund phase {other} is not known")),
            },
        })
    }

    fn asking(&mut self) -> Result<Asking, String> {
        let since = self.time()?;
        let flags = self.byte()?;
        if flags & !(UNDER_WAY | ASKED_LATE | CALLED) != 0 {
            return Err(format!("asking has flags {flags}, expected at most 7"));
        }
        Ok(Asking {
            since,
            under_way: flags & UNDER_WAY != 0,
            asked_late: flags & ASKED_LATE != 0,
            called: flags & CALLED != 0,
            left_at: self.maybe(Self::time)?,
            refused: self.maybe(Self::refusal)?,
        })
    }
}
