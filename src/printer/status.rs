//! What a printer says, taken apart byte by byte: whatever comes, it is a reply or it is counted as noise.

/// A whole reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// To `DLE EOT`: one byte; which question it answers only the asker knows.
    RealTime(u8),
    /// What `GS a` makes the printer say by itself.
    Automatic([u8; 4]),
    /// To `GS r 1`: paper.
    Paper(u8),
    /// To `GS ( H`: the name that was given.
    ProcessId(Vec<u8>),
    /// To `GS I`: a text about the printer.
    Info(Vec<u8>),
}

/// Longest reply that is waited for: `GS I` answers have at most 80 bytes (Epson).
const BLOCK_MAX: usize = 80;

/// Takes replies out of the bytes of a printer. The first byte of a reply says what it is.
#[derive(Clone, Debug, Default)]
pub struct Replies {
    part: Vec<u8>,
    noise: u64,
}

impl Replies {
    /// Bytes that belonged to no reply.
    pub fn noise(&self) -> u64 {
        self.noise
    }

    /// Takes the next byte; gives the reply that it completes.
    pub fn push(&mut self, byte: u8) -> Option<Reply> {
        match self.part.first() {
            None => self.first(byte),
            Some(0x37 | 0x5F) => self.block(byte),
            Some(_) if byte & 0x90 != 0 => {
                // The rest of an automatic status does not look like this: what was begun is noise.
                self.noise += self.part.len() as u64;
                self.part.clear();
                self.first(byte)
            }
            Some(_) => {
                self.part.push(byte);
                let whole: [u8; 4] = self.part[..].try_into().ok()?;
                self.part.clear();
                Some(Reply::Automatic(whole))
            }
        }
    }

    fn first(&mut self, byte: u8) -> Option<Reply> {
        match byte {
            // XON, XOFF.
            0x11 | 0x13 => None,
            0x37 | 0x5F => {
                self.part.push(byte);
                None
            }
            _ if byte & 0x93 == 0x12 => Some(Reply::RealTime(byte)),
            _ if byte & 0x93 == 0x10 => {
                self.part.push(byte);
                None
            }
            // Bits 0–3 are near end and end, each in two bits that agree; bits 5 and 6 are not used.
            0x00 | 0x03 | 0x0C | 0x0F => Some(Reply::Paper(byte)),
            _ => {
                self.noise += 1;
                None
            }
        }
    }

    fn block(&mut self, byte: u8) -> Option<Reply> {
        if byte != 0 && self.part.len() < BLOCK_MAX {
            self.part.push(byte);
            return None;
        }
        let block = std::mem::take(&mut self.part);
        match (byte, &block[..]) {
            (0, [0x37, 0x22, id @ ..]) => Some(Reply::ProcessId(id.to_vec())),
            (0, [0x5F, text @ ..]) => Some(Reply::Info(text.to_vec())),
            _ => {
                self.noise += block.len() as u64 + 1;
                None
            }
        }
    }
}

/// How the printer is, by all that it said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Condition {
    /// It takes no data, for whatever reason.
    pub offline: bool,
    /// A cover is open.
    pub cover: bool,
    /// No paper.
    pub paper_end: bool,
    /// Little paper.
    pub paper_low: bool,
    /// The cutter is stuck.
    pub cutter: bool,
    /// Another error that a person must end.
    pub error: bool,
    /// The head is hot; it goes on by itself.
    pub hot: bool,
}

impl Condition {
    /// Adds the answer to `DLE EOT n` (Epson TM-U220, Bixolon SRP-350 and HPRT TP80K manuals agree on the bits).
    pub fn real_time(&mut self, n: u8, answer: u8) {
        match n {
            1 => self.offline |= answer & 0x08 != 0,
            2 => {
                self.cover |= answer & 0x04 != 0;
                self.paper_end |= answer & 0x20 != 0;
                self.error |= answer & 0x40 != 0;
            }
            3 => {
                self.cutter |= answer & 0x08 != 0;
                self.error |= answer & 0x20 != 0;
                self.hot |= answer & 0x40 != 0;
            }
            4 => {
                self.paper_low |= answer & 0x0C != 0;
                self.paper_end |= answer & 0x60 != 0;
            }
            _ => {}
        }
    }

    /// What an automatic status says (SNBC BTP-M300 and Epson manuals).
    pub fn automatic(status: [u8; 4]) -> Self {
        Self {
            offline: status[0] & 0x08 != 0,
            cover: status[0] & 0x20 != 0,
            cutter: status[1] & 0x08 != 0,
            error: status[1] & 0x20 != 0,
            hot: status[1] & 0x40 != 0,
            paper_low: status[2] & 0x03 != 0,
            paper_end: status[2] & 0x0C != 0,
        }
    }

    /// Adds the answer to `GS r 1`.
    pub fn paper(&mut self, answer: u8) {
        self.paper_low |= answer & 0x03 != 0;
        self.paper_end |= answer & 0x0C != 0;
    }

    /// Adds the lines of a USB or parallel port (`LPGETSTATUS`, linux/lp.h): 0x20 no paper, 0x10 selected, 0x08 no error.
    pub fn port(&mut self, lines: u8) {
        self.paper_end |= lines & 0x20 != 0;
        self.offline |= lines & 0x10 == 0;
        self.error |= lines & 0x08 == 0;
    }

    /// Why it cannot print now, for the cashier; Chinese first.
    pub fn trouble(&self) -> Option<&'static str> {
        Some(match self {
            Self { cover: true, .. } => "打印机上盖未关，请关好 printer cover is open: close it",
            Self { paper_end: true, .. } => "打印机缺纸，请装纸 printer is out of paper: load a new roll",
            Self { cutter: true, .. } => {
                "打印机切刀卡住，请清理后重开打印机 printer's cutter is stuck: clear it and switch the printer off and on"
            }
            Self { error: true, .. } => {
                "打印机故障，请关闭后重开 printer reports an error: switch it off and on"
            }
            Self { hot: true, .. } => "打印头过热，请稍候 print head is hot: it goes on by itself",
            Self { offline: true, .. } => "打印机离线，请检查 printer is offline: look at its lamps",
            _ => return None,
        })
    }

    /// What the cashier should know although it can print.
    pub fn warning(&self) -> Option<&'static str> {
        self.paper_low.then_some("打印纸快用完了，请备纸 printer paper is low: have a new roll ready")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> (Vec<Reply>, u64) {
        let mut replies = Replies::default();
        let found = bytes.iter().filter_map(|byte| replies.push(*byte)).collect();
        (found, replies.noise())
    }

    #[test]
    fn replies_of_all_kinds_in_one_stream() {
        let stream = [
            0x13, 0x16, 0x14, 0x00, 0x00, 0x0F, 0x11, 0x37, 0x22, b'a', b'b', b'c', b'd', 0x00, 0x00, 0x0C,
            0x5F, b'C', b'H', 0x00, 0x12,
        ];
        let (found, noise) = all(&stream);
        assert_eq!(
            found,
            [
                Reply::RealTime(0x16),
                Reply::Automatic([0x14, 0, 0, 0x0F]),
                Reply::ProcessId(b"abcd".to_vec()),
                Reply::Paper(0),
                Reply::Paper(0x0C),
                Reply::Info(b"CH".to_vec()),
                Reply::RealTime(0x12),
            ]
        );
        assert_eq!(noise, 0);
    }

    #[test]
    fn what_breaks_off_is_noise_and_the_next_reply_is_found() {
        assert_eq!(all(&[0x10, 0x00, 0x12]), (vec![Reply::RealTime(0x12)], 2));
        assert_eq!(all(&[0xFF, 0x80, 0x41]), (vec![], 3));
        let endless = [&[0x37u8][..], &[b'x'; 100], &[0x12]].concat();
        let (found, noise) = all(&endless);
        assert_eq!(found, [Reply::RealTime(0x12)]);
        assert_eq!(noise, 101);
    }

    #[test]
    fn bits_become_sentences() {
        let said = |n, answer| {
            let mut condition = Condition::default();
            condition.real_time(n, answer);
            condition.trouble().unwrap_or("").to_owned()
        };
        for (n, fine) in [(1, 0x12), (1, 0x16), (2, 0x12), (3, 0x12), (4, 0x12)] {
            assert_eq!(said(n, fine), "", "{n}");
        }
        for (n, answer, word) in [
            (1, 0x1A, "offline"),
            (2, 0x16, "cover"),
            (2, 0x32, "paper"),
            (3, 0x1A, "cutter"),
            (3, 0x32, "error"),
            (3, 0x52, "hot"),
            (4, 0x72, "paper"),
        ] {
            assert!(said(n, answer).contains(word), "{n} {answer:02x}");
        }
        let mut low = Condition::default();
        low.real_time(4, 0x1E);
        assert!(low.trouble().is_none() && low.warning().unwrap().contains("low"));
        assert!(Condition::automatic([0x30, 0, 0, 0]).cover);
        assert!(Condition::automatic([0x18, 0, 0x0C, 0]).paper_end);
        let port = |lines| {
            let mut condition = Condition::default();
            condition.port(lines);
            condition
        };
        assert_eq!(port(0x18), Condition::default());
        assert!(port(0x38).paper_end && port(0x10).error && port(0x08).offline);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_bounded_and_ends(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut replies = Replies::default();
            let mut told = 0;
            for byte in &bytes {
                told += usize::from(replies.push(*byte).is_some());
                prop_assert!(replies.part.len() <= BLOCK_MAX);
            }
            prop_assert!(told as u64 + replies.noise() <= bytes.len() as u64);
            // It finds its way again by itself.
            for _ in 0..=BLOCK_MAX { replies.push(0); }
            prop_assert_eq!(replies.push(0x12), Some(Reply::RealTime(0x12)));
        }
    }
}
