//! A small interpreter of ESC/POS, written from the command reference and not from the program: bytes become what stands
//! on the paper.

/// Something on the paper.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A line of text, and whether it is of double size.
    Text(String, bool),
    /// A picture: bytes in a row, and the rows. Bands that follow each other are one.
    Raster(usize, Vec<u8>),
    /// A QR code that the printer drew.
    Qr(String),
    /// A Code 128 that the printer drew.
    Barcode(String),
    /// A cut.
    Cut,
    /// A pulse for the drawer: pin and both times.
    Pulse(u8, u8, u8),
    /// A byte that is no command and no text.
    Garbage(u8),
}

/// What a command wants to be answered, in the order of the data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// `GS r`.
    Paper,
    /// `GS ( H`.
    ProcessId([u8; 4]),
    /// `GS a`.
    Automatic(u8),
    /// `GS I`.
    About(u8),
}

/// The interpreter's state.
#[derive(Default)]
pub struct Paper {
    pub items: Vec<Item>,
    command: Vec<u8>,
    line: Vec<u8>,
    chinese: bool,
    large: bool,
    qr: Vec<u8>,
    /// The last picture was printed directly before.
    band_open: bool,
    /// What no whole job does is a mistake of the program, not of the weather.
    strict: bool,
}

impl Paper {
    /// A printer that starts in Chinese mode, as models sold in China do.
    pub fn new() -> Self {
        Self { chinese: true, ..Self::default() }
    }

    /// Reads a whole job, as a printer that has a Chinese font or not.
    pub fn read(bytes: &[u8], chinese: bool) -> Vec<Item> {
        let mut paper = Self { chinese, strict: true, ..Self::default() };
        for byte in bytes {
            paper.feed(*byte);
        }
        assert!(paper.command.is_empty(), "a command broke off: {:02X?}", paper.command);
        assert!(paper.line.is_empty(), "a line broke off");
        paper.items
    }

    /// The printer loses its place: what was begun of a command is forgotten.
    pub fn lose_place(&mut self) {
        self.command.clear();
    }

    /// Switched off and on.
    pub fn reset(&mut self) {
        self.command.clear();
        self.line.clear();
        self.chinese = true;
        self.large = false;
        self.band_open = false;
    }

    /// Takes the next byte.
    pub fn feed(&mut self, byte: u8) -> Option<Wanted> {
        self.command.push(byte);
        let command = std::mem::take(&mut self.command);
        match self.length(&command) {
            Some(length) if command.len() >= length => self.execute(&command),
            _ => {
                self.command = command;
                None
            }
        }
    }

    /// How long the command is, as far as that can be told yet.
    fn length(&self, command: &[u8]) -> Option<usize> {
        let two = |at: usize| Some(usize::from(*command.get(at)?) + 256 * usize::from(*command.get(at + 1)?));
        match command {
            [0x1B] | [0x1C] | [0x1D] => None,
            [0x1B, b'@', ..] => Some(2),
            [0x1B, b'p', ..] => Some(5),
            [0x1B, b't' | b'a' | b'd' | b'J' | b'E' | b'3', ..] => Some(3),
            [0x1C, b'&' | b'.', ..] => Some(2),
            [0x1C, b'S', ..] => Some(4),
            [0x1C, b'W', ..] => Some(3),
            [0x1D, b'!' | b'h' | b'w' | b'H' | b'r' | b'a' | b'I', ..] => Some(3),
            [0x1D, b'V', ..] => Some(if matches!(command.get(2)?, 0x41 | 0x42) { 4 } else { 3 }),
            [0x1D, b'k', 0x49, n, ..] => Some(4 + usize::from(*n)),
            [0x1D, b'k', ..] => Some(4),
            [0x1D, b'(', ..] => Some(5 + two(3)?),
            [0x1D, b'v', ..] => Some(8 + two(4)? * two(6)?),
            [lead @ 0x81..=0xFE, rest @ ..] if self.chinese => match rest {
                [] => None,
                [0x30..=0x39, ..] => Some(4),
                _ => {
                    let _ = lead;
                    Some(2)
                }
            },
            _ => Some(1),
        }
    }

    fn execute(&mut self, command: &[u8]) -> Option<Wanted> {
        let band = matches!(command, [0x1D, b'v', ..]);
        match command {
            [0x0A] => {
                let text = encoding_rs::GB18030.decode_without_bom_handling(&self.line).0.into_owned();
                self.line.clear();
                self.items.push(Item::Text(text, self.large));
            }
            [0x00] | [0x1D, b'h' | b'w' | b'H', _] | [0x1B, b't' | b'a' | b'd' | b'J' | b'3', _] => {}
            [0x1C, b'S', 0, 0] => {}
            [0x1B, b'@'] => {
                self.line.clear();
                self.large = false;
            }
            [0x1C, b'&'] => self.chinese = true,
            [0x1C, b'.'] => self.chinese = false,
            // Both sizes must agree, or hanzi and ASCII of one line would differ.
            [0x1D, b'!', n] => self.large = *n == 0x11,
            [0x1C, b'W', n] => {
                assert!(!self.strict || self.large == (*n == 1), "FS W and GS ! disagree");
            }
            [0x1D, b'V', ..] => self.items.push(Item::Cut),
            [0x1B, b'p', pin, on, off] => self.items.push(Item::Pulse(*pin, *on, *off)),
            [0x1D, b'k', 0x49, _, data @ ..] => {
                assert!(!self.strict || !self.chinese, "a bar code in Chinese mode");
                self.items.push(code128_text(data).map_or(Item::Garbage(b'k'), Item::Barcode));
            }
            [0x1D, b'(', b'k', _, _, 0x31, 0x50, 0x30, data @ ..] => self.qr = data.to_vec(),
            [0x1D, b'(', b'k', _, _, 0x31, 0x51, 0x30] => {
                assert!(!self.strict || !self.chinese, "a QR code in Chinese mode");
                let code = String::from_utf8_lossy(&std::mem::take(&mut self.qr)).into_owned();
                self.items.push(Item::Qr(code));
            }
            [0x1D, b'(', b'k', _, _, 0x31, 0x41, 0x32, 0x00] => {}
            [0x1D, b'(', b'k', _, _, 0x31, 0x43 | 0x45, _] => {}
            [0x1D, b'(', b'H', _, _, 0x30, 0x30, a, b, c, d] => {
                return Some(Wanted::ProcessId([*a, *b, *c, *d]));
            }
            [0x1D, b'r', 1] => return Some(Wanted::Paper),
            [0x1D, b'I', n] => return Some(Wanted::About(*n)),
            [0x1D, b'a', n] => return Some(Wanted::Automatic(*n)),
            [0x1D, b'v', 0x30, 0, x_low, x_high, _, _, dots @ ..] => {
                let width = usize::from(*x_low) + 256 * usize::from(*x_high);
                match self.items.last_mut() {
                    Some(Item::Raster(before, rows)) if self.band_open && *before == width => {
                        rows.extend_from_slice(dots);
                    }
                    _ => self.items.push(Item::Raster(width, dots.to_vec())),
                }
            }
            [0x81..=0xFE, _, ..] if self.chinese => self.line.extend_from_slice(command),
            [byte @ 0x20..=0x7E] => self.line.push(*byte),
            other => self.items.extend(other.iter().map(|byte| Item::Garbage(*byte))),
        }
        self.band_open = band;
        None
    }
}

/// The text of `GS k 73` data: `{B`, `{C` and `{{`.
fn code128_text(data: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut pairs = false;
    let mut bytes = data.iter();
    while let Some(byte) = bytes.next() {
        match (byte, pairs) {
            (b'{', _) => match bytes.next()? {
                b'B' => pairs = false,
                b'C' => pairs = true,
                b'{' => text.push('{'),
                _ => return None,
            },
            (pair, true) => text.push_str(&format!("{pair:02}")),
            (byte, false) => text.push(char::from(*byte)),
        }
    }
    Some(text)
}

/// The QR code of a picture.
pub fn decode_qr(row_bytes: usize, dots: &[u8]) -> Option<String> {
    let (width, height) = (row_bytes * 8, dots.len() / row_bytes);
    let grey = |x: usize, y: usize| {
        if dots[y * row_bytes + x / 8] & (0x80 >> (x % 8)) == 0 { 255 } else { 0 }
    };
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
    let grids = picture.detect_grids();
    Some(grids.first()?.decode().ok()?.1)
}
