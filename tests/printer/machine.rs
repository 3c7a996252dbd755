//! A printer without paper: a buffer, sensors, a temper. It answers as its temper is, and keeps what it printed.

use std::collections::VecDeque;

use crate::paper::{Paper, Wanted};

/// How a printer behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Temper {
    /// Answers everything, keeps its buffer when the paper ends.
    Epson,
    /// Answers `DLE EOT` and `GS r` truly; a picture in which the paper ends makes it lose its place.
    Clone,
    /// Answers nothing.
    Blind,
    /// Answers everything at once, always the same, whatever its state.
    Liar,
    /// As a clone, and talks garbage all the time.
    Babbler,
}

/// The printer.
pub struct Machine {
    pub temper: Temper,
    pub paper: Paper,
    pub paper_out: bool,
    pub cover: bool,
    /// What it has received and not yet printed.
    queue: VecDeque<u8>,
    pub capacity: usize,
    /// What it says of its font; others say nothing of themselves.
    pub font: Option<&'static str>,
    replies: VecDeque<u8>,
    real_time: Vec<u8>,
    automatic: bool,
    said: [u8; 4],
    babble: u32,
    /// Bytes printed since it was made.
    pub printed: u64,
    /// The last bytes that arrived, for a liar.
    tail: VecDeque<u8>,
}

impl Machine {
    pub fn new(temper: Temper) -> Self {
        Self {
            temper,
            paper: Paper::new(),
            paper_out: false,
            cover: false,
            queue: VecDeque::new(),
            capacity: 4096,
            font: None,
            replies: VecDeque::new(),
            real_time: Vec::new(),
            automatic: false,
            said: [0; 4],
            babble: 1,
            printed: 0,
            tail: VecDeque::new(),
        }
    }

    /// How many bytes it takes now.
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queue.len())
    }

    /// Whether it prints.
    pub fn online(&self) -> bool {
        !self.paper_out && !self.cover
    }

    /// Whether all that it received is printed.
    pub fn idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Switched off and on: the buffer is lost.
    pub fn power_cycle(&mut self) {
        self.queue.clear();
        self.replies.clear();
        self.real_time.clear();
        self.automatic = false;
        self.paper.reset();
    }

    /// A byte arrives.
    pub fn receive(&mut self, byte: u8) {
        self.real_time.push(byte);
        match self.real_time[..] {
            [0x10] | [0x10, 0x04] => return,
            // One that broke off, and the next one right behind it.
            [.., 0x10] => {
                self.real_time.pop();
                let broken = std::mem::replace(&mut self.real_time, vec![0x10]);
                self.queue.extend(broken);
                return;
            }
            [0x10, 0x04, n @ 1..=4] => {
                self.real_time.clear();
                self.answer_real_time(n);
                return;
            }
            _ => {}
        }
        let bytes = std::mem::take(&mut self.real_time);
        if self.temper == Temper::Liar {
            self.lie(&bytes);
        }
        self.queue.extend(bytes);
    }

    /// A liar answers what looks like a question as soon as it arrives.
    fn lie(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.tail.push_back(*byte);
            if self.tail.len() > 11 {
                self.tail.pop_front();
            }
            let tail = self.tail.make_contiguous();
            if tail.ends_with(&[0x1D, 0x72, 0x01]) {
                self.replies.push_back(0x00);
            }
            if tail.len() == 11 && tail.starts_with(&[0x1D, 0x28, 0x48, 0x06, 0x00, 0x30, 0x30]) {
                self.replies.extend(b"\x37\x221234\x00");
            }
        }
    }

    fn answer_real_time(&mut self, n: u8) {
        let state = match n {
            1 => 0x12 | if self.online() { 0x04 } else { 0x08 },
            2 => 0x12 | if self.cover { 0x04 } else { 0 } | if self.paper_out { 0x20 } else { 0 },
            4 => 0x12 | if self.paper_out { 0x6C } else { 0 },
            _ => 0x12,
        };
        match self.temper {
            Temper::Blind => {}
            Temper::Liar => self.replies.push_back(if n == 1 { 0x16 } else { 0x12 }),
            _ => self.replies.push_back(state),
        }
    }

    /// Prints at most `bytes` of what it received.
    pub fn work(&mut self, bytes: usize) {
        for _ in 0..bytes {
            if !self.online() {
                break;
            }
            let Some(byte) = self.queue.pop_front() else { break };
            self.printed += 1;
            match (self.paper.feed(byte), self.temper) {
                (None, _) | (_, Temper::Blind | Temper::Liar) => {}
                (Some(Wanted::Paper), _) => self.replies.push_back(0x00),
                (Some(Wanted::ProcessId(id)), Temper::Epson) => {
                    self.replies.extend([0x37, 0x22]);
                    self.replies.extend(id);
                    self.replies.push_back(0x00);
                }
                (Some(Wanted::About(n)), Temper::Epson) => {
                    if let Some(font) = self.font {
                        self.replies.push_back(0x5F);
                        self.replies.extend(match n {
                            66 => b"EPSON".as_slice(),
                            67 => b"TM-T70II",
                            _ => font.as_bytes(),
                        });
                        self.replies.push_back(0x00);
                    }
                }
                (Some(Wanted::Automatic(n)), Temper::Epson) => {
                    self.automatic = n != 0;
                    self.said = [0xFF; 4];
                }
                (Some(_), _) => {}
            }
        }
        if self.automatic {
            let said = [
                0x10 | if self.online() { 0 } else { 0x08 } | if self.cover { 0x20 } else { 0 },
                0,
                if self.paper_out { 0x0C } else { 0 },
                0x0F,
            ];
            if said != self.said {
                self.said = said;
                self.replies.extend(said);
            }
        }
        if self.temper == Temper::Babbler && self.replies.len() < 512 {
            for _ in 0..64 {
                // xorshift: the same garbage each time.
                self.babble ^= self.babble << 13;
                self.babble ^= self.babble >> 17;
                self.babble ^= self.babble << 5;
                self.replies.push_back(self.babble as u8);
            }
        }
    }

    /// The paper ends, now.
    pub fn end_paper(&mut self) {
        self.paper_out = true;
        if matches!(self.temper, Temper::Clone | Temper::Babbler) {
            self.paper.lose_place();
        }
    }

    /// What it says, at most `most` bytes.
    pub fn say(&mut self, most: usize) -> Vec<u8> {
        let most = most.min(self.replies.len());
        self.replies.drain(..most).collect()
    }
}
