//! A receipt's lines become ESC/POS bytes. Writes bytes only; sends nothing.
//!
//! Commands are those of Epson's ESC/POS reference, with the choices that work on Chinese printers too.

use super::profile::{Artist, Chinese, Cut, Drawer, Profile};
use crate::receipt::code128::{self, Symbol};
use crate::receipt::raster;
use crate::receipt::text::gb18030;
use crate::receipt::{Bitmap, Line};

const ESC: u8 = 0x1B;
const FS: u8 = 0x1C;
const GS: u8 = 0x1D;
const LF: u8 = 0x0A;

/// White under a line that is printed as a picture, so that it stands like text: 30 − 24 dots.
const GAP_DOTS: u8 = 6;

/// `DLE EOT n`: how are you (1 printer, 2 why offline, 3 which error, 4 paper), answered at once.
pub fn real_time_status(n: u8) -> [u8; 3] {
    [0x10, 0x04, n]
}

/// `GS a 255`: speak whenever something changes.
pub const AUTOMATIC_STATUS: [u8; 3] = [GS, 0x61, 0xFF];

/// `GS r 1`: paper, answered when everything before it has been processed.
pub const PAPER_STATUS: [u8; 3] = [GS, 0x72, 0x01];

/// `GS ( H` function 48: return `id` (four of 20–7E) when everything before it is printed.
pub fn process_id(id: [u8; 4]) -> Vec<u8> {
    [&[GS, 0x28, 0x48, 0x06, 0x00, 0x30, 0x30], &id[..]].concat()
}

/// `GS I n`: tell something about yourself (66 maker, 67 model, 69 font), answered with a text.
pub fn about(n: u8) -> [u8; 3] {
    [GS, 0x49, n]
}

/// `ESC p`: one pulse; always five bytes, or the printer takes the next two of the job for times.
pub fn drawer(drawer: &Drawer) -> [u8; 5] {
    // Times are in units of 2 ms.
    let unit = |ms: u16| u8::try_from(ms / 2).unwrap_or(u8::MAX);
    [ESC, 0x70, u8::from(drawer.pin == 5), unit(drawer.on_ms), unit(drawer.off_ms)]
}

/// What ends a picture or a command that broke off: white dots, or nothing.
pub fn zeros(profile: &Profile) -> Vec<u8> {
    vec![0; profile.dots.div_ceil(8) * profile.raster_band]
}

/// What ends a line that broke off.
pub const NEW_LINE: [u8; 1] = [LF];

/// The whole receipt, from initialisation to cut.
pub fn receipt(lines: &[Line], profile: &Profile) -> Vec<u8> {
    let mut job = Job::begin(profile);
    for line in lines {
        job.line(line);
    }
    job.end()
}

/// What [`samples`] prints, the easiest first: GB 2312 has all of the first line, GBK of the second, GB 18030 of the
/// third.
pub const SAMPLES: [(&str, Chinese); 3] = [
    ("合计￥12.50 微信支付", Chinese::Gb2312),
    ("镕喆堃祎珺 朱镕", Chinese::Gbk),
    ("䴀䶵 四字节", Chinese::Gb18030),
];

/// A sheet that shows which Chinese characters the printer's own font has: each sample with its number, first as text,
/// whatever the profile says, and under it as the picture that it must look like.
pub fn samples(profile: &Profile) -> Vec<u8> {
    let as_text = Profile { chinese: Chinese::Gb18030, ..profile.clone() };
    let mut job = Job::begin(&as_text);
    for (number, (sample, _)) in (1..).zip(SAMPLES) {
        job.line(&Line::Text(format!("{number} {sample}")));
        job.picture(&raster::text_line(&format!("= {sample}"), profile.columns), 0);
        job.put(&[ESC, 0x4A, GAP_DOTS]);
        job.chinese_mode(true);
        job.line(&Line::Text(String::new()));
    }
    job.end()
}

struct Job<'a> {
    bytes: Vec<u8>,
    profile: &'a Profile,
    chinese: bool,
}

impl<'a> Job<'a> {
    /// Known settings, whatever was printed before.
    fn begin(profile: &'a Profile) -> Self {
        let mut job = Self { bytes: Vec::new(), profile, chinese: false };
        job.put(&[ESC, 0x40]);
        job.chinese_mode(true);
        // Code page 0, and no dots between hanzi: some printers start with others.
        job.put(&[ESC, 0x74, 0x00]);
        if profile.chinese != Chinese::None {
            job.put(&[FS, 0x53, 0x00, 0x00]);
        }
        job
    }

    /// Out to the tear bar, and cut.
    fn end(mut self) -> Vec<u8> {
        self.put(&[ESC, 0x64, self.profile.feed_lines]);
        match self.profile.cut {
            Cut::Partial => self.put(&[GS, 0x56, 0x42, 0x00]),
            Cut::Full => self.put(&[GS, 0x56, 0x41, 0x00]),
            Cut::None => {}
        }
        self.bytes
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `FS &` and `FS .`; a printer without a Chinese font would print them.
    fn chinese_mode(&mut self, on: bool) {
        if self.profile.chinese != Chinese::None && self.chinese != on {
            self.put(&[FS, if on { 0x26 } else { 0x2E }]);
            self.chinese = on;
        }
    }

    fn line(&mut self, line: &Line) {
        match line {
            Line::Text(text) | Line::Large(text) if text.chars().all(|c| self.profile.chinese.has(c)) => {
                let large = matches!(line, Line::Large(_));
                self.chinese_mode(true);
                if large {
                    self.size(true);
                }
                for c in text.chars() {
                    if let Some((bytes, length)) = gb18030(c) {
                        self.put(&bytes[..length]);
                    }
                }
                self.put(&[LF]);
                if large {
                    self.size(false);
                }
            }
            Line::Text(_) | Line::Large(_) => {
                if let Some(picture) = raster::line(line, self.profile.columns) {
                    self.picture(&picture, 0);
                    self.put(&[ESC, 0x4A, GAP_DOTS]);
                }
            }
            Line::Picture(picture) => self.picture(picture, 1),
            Line::Barcode(code) => match code128_data(code) {
                Some(data) if self.profile.barcode == Artist::Native => {
                    self.chinese_mode(false);
                    self.align(1);
                    self.put(&[GS, 0x68, raster::BARCODE_ROWS as u8, GS, 0x77, 0x02, GS, 0x48, 0x00]);
                    self.put(&[GS, 0x6B, 0x49, data.len() as u8]);
                    self.put(&data);
                    self.align(0);
                }
                _ => self.optional_picture(raster::barcode(code)),
            },
            Line::Qr(code) => match self.profile.qr {
                Artist::Native => {
                    self.chinese_mode(false);
                    self.align(1);
                    self.put(&qr(code, raster::QR_MODULE as u8, b'1'));
                    self.align(0);
                }
                Artist::Raster => self.optional_picture(raster::qr(code)),
            },
        }
    }

    fn optional_picture(&mut self, picture: Option<Bitmap>) {
        if let Some(picture) = picture {
            self.picture(&picture, 1);
        }
    }

    fn align(&mut self, to: u8) {
        self.put(&[ESC, 0x61, to]);
    }

    /// `GS !` doubles ASCII and, on some printers, nothing else; `FS W` doubles the hanzi of the others.
    fn size(&mut self, large: bool) {
        self.put(&[GS, 0x21, if large { 0x11 } else { 0x00 }]);
        if self.profile.chinese != Chinese::None {
            self.put(&[FS, 0x57, u8::from(large)]);
        }
    }

    /// `GS v 0` in bands: a printer that runs out of paper in one loses its place by no more than that.
    fn picture(&mut self, picture: &Bitmap, align: u8) {
        self.chinese_mode(false);
        if align != 0 {
            self.align(align);
        }
        let rows: Vec<&[u8]> = picture.rows().collect();
        for band in rows.chunks(self.profile.raster_band) {
            let (width, height) = (picture.row_bytes(), band.len());
            self.put(&[GS, 0x76, 0x30, 0x00]);
            self.put(&(width as u16).to_le_bytes());
            self.put(&(height as u16).to_le_bytes());
            let mut dots = band.concat();
            defuse(&mut dots);
            self.put(&dots);
        }
        if align != 0 {
            self.align(0);
        }
    }
}

/// Printers obey `DLE EOT`, `DLE ENQ` and `DLE DC4` even inside pictures: where dots look like one, a dot is added.
fn defuse(dots: &mut [u8]) {
    for place in 1..dots.len() {
        if dots[place - 1] == 0x10 && is_real_time(dots[place]) {
            dots[place - 1] |= 0x08;
        }
    }
}

fn is_real_time(second: u8) -> bool {
    matches!(second, 0x04 | 0x05 | 0x14)
}

/// `GS ( k`: Model 2, `module` dots, error correction `level` (`0`–`3` for L, M, Q, H), store, print.
fn qr(code: &str, module: u8, level: u8) -> Vec<u8> {
    let mut bytes = vec![GS, 0x28, 0x6B, 0x04, 0x00, 0x31, 0x41, 0x32, 0x00];
    bytes.extend([GS, 0x28, 0x6B, 0x03, 0x00, 0x31, 0x43, module]);
    bytes.extend([GS, 0x28, 0x6B, 0x03, 0x00, 0x31, 0x45, level]);
    bytes.extend([GS, 0x28, 0x6B]);
    bytes.extend(((code.len() + 3) as u16).to_le_bytes());
    bytes.extend([0x31, 0x50, 0x30]);
    bytes.extend(code.as_bytes());
    bytes.extend([GS, 0x28, 0x6B, 0x03, 0x00, 0x31, 0x51, 0x30]);
    bytes
}

/// The data of `GS k 73`: `{B` and `{C` as the sets change. `None` when it cannot be said, or when a pair of digits
/// would look like a real-time command (`16` then `04`).
fn code128_data(code: &str) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for symbol in code128::symbols(code)? {
        match symbol {
            Symbol::SetB => data.extend(b"{B"),
            Symbol::SetC => data.extend(b"{C"),
            // In the data of GS k a brace is written twice.
            Symbol::Char(b'{') => data.extend(b"{{"),
            Symbol::Char(c) => data.push(c),
            Symbol::Pair(pair) => data.push(pair),
        }
    }
    let obeyed = data.windows(2).any(|two| two[0] == 0x10 && is_real_time(two[1]));
    (!obeyed && data.len() <= 255).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str) -> Profile {
        Profile::built_in(name).unwrap()
    }

    fn body(line: Line, profile: &Profile) -> Vec<u8> {
        let mut job = Job { bytes: Vec::new(), profile, chinese: true };
        job.line(&line);
        job.bytes
    }

    #[test]
    fn a_line_of_chinese_is_gb18030() {
        // Made with Python's gb18030 codec.
        let expected = [0xBA, 0xCF, 0xBC, 0xC6, 0xA3, 0xA4, 0x31, 0x32, 0x2E, 0x35, 0x30, LF];
        assert_eq!(body(Line::Text("合计￥12.50".to_owned()), &profile("generic-58mm")), expected);
    }

    #[test]
    fn a_qr_code_is_model_2_in_five_commands() {
        // Made with python-escpos 3.1, but for the level.
        let expected = b"\x1D\x28\x6B\x04\x00\x31\x41\x32\x00\x1D\x28\x6B\x03\x00\x31\x43\x06\x1D\x28\x6B\x03\x00\x31\x45\x30\
\x1D\x28\x6B\x19\x00\x31\x50\x30https://example.cn/r/1\x1D\x28\x6B\x03\x00\x31\x51\x30";
        assert_eq!(qr("https://example.cn/r/1", 6, b'0'), expected);
    }

    #[test]
    fn each_sample_needs_the_font_that_it_stands_for() {
        let poorer = [Chinese::None, Chinese::Gb2312, Chinese::Gbk, Chinese::Gb18030];
        for (at, (sample, font)) in SAMPLES.into_iter().enumerate() {
            assert_eq!(font, poorer[at + 1]);
            assert!(sample.chars().all(|c| font.has(c)), "{sample}");
            assert!(!sample.chars().all(|c| poorer[at].has(c)), "{sample}");
            assert!(sample.chars().filter(|c| *c != ' ').all(raster::has_glyph), "{sample}");
        }
    }

    #[test]
    fn the_drawer_pulse_has_its_two_times() {
        assert_eq!(drawer(&Drawer::default()), [0x1B, 0x70, 0x00, 0x19, 0xFA]);
        assert_eq!(drawer(&Drawer { pin: 5, on_ms: 120, off_ms: 480 }), [0x1B, 0x70, 0x01, 0x3C, 0xF0]);
        assert_eq!(drawer(&Drawer { pin: 2, on_ms: u16::MAX, off_ms: 510 })[3..], [0xFF, 0xFF]);
    }

    #[test]
    fn size_is_told_to_both_fonts_and_chinese_mode_is_left_before_codes() {
        let profile = profile("rongta-rp326");
        let large = body(Line::Large("元1".to_owned()), &profile);
        assert_eq!(large, [GS, 0x21, 0x11, FS, 0x57, 1, 0xD4, 0xAA, b'1', LF, GS, 0x21, 0, FS, 0x57, 0]);
        for line in
            [Line::Qr("A".to_owned()), Line::Barcode("A".to_owned()), Line::Picture(Bitmap::new(8, 1))]
        {
            assert_eq!(body(line, &profile)[..2], [FS, 0x2E]);
        }
    }

    #[test]
    fn a_bar_code_names_its_sets() {
        assert_eq!(code128_data("T0126").unwrap(), b"{BT{C\x01\x1A");
        assert_eq!(code128_data("123456").unwrap(), b"{C\x0C\x22\x38");
        // 16 then 04, 05, 20 would be DLE EOT, DLE ENQ, DLE DC4.
        for obeyed in ["160401", "160502", "162001"] {
            assert_eq!(code128_data(obeyed), None);
        }
    }

    #[test]
    fn no_picture_holds_a_real_time_command() {
        for second in [0x04, 0x05, 0x14] {
            let mut dots = vec![0xFF, 0x10, second, 0x01, 0x10, 0x10, second];
            defuse(&mut dots);
            assert_eq!(dots, [0xFF, 0x18, second, 0x01, 0x10, 0x18, second]);
        }
    }

    #[test]
    fn what_the_font_lacks_is_a_picture_of_the_whole_line() {
        let rare = Line::Text("豆浆😀￥3".to_owned());
        let bytes = body(rare.clone(), &profile("generic-58mm"));
        assert_eq!(bytes[..10], [FS, 0x2E, GS, 0x76, 0x30, 0, 48, 0, 24, 0]);
        assert_eq!(bytes.len(), 2 + 8 + 48 * 24 + 3);
        // Without a Chinese font there is no Chinese mode, and ASCII is text.
        let plain = profile("epson-tm-t88v");
        assert_eq!(body(Line::Text("￥3".to_owned()), &plain)[..4], [GS, 0x76, 0x30, 0]);
        assert_eq!(body(Line::Text("3.00".to_owned()), &plain), b"3.00\n");
        let job = receipt(&[Line::Text("中".to_owned()), Line::Large("A".to_owned())], &plain);
        assert!(!job.contains(&FS));
    }

    #[test]
    fn bands_are_never_higher_than_the_profile_says() {
        let mut profile = profile("generic-58mm");
        profile.raster_band = 10;
        let bytes = body(Line::Picture(Bitmap::new(16, 25)), &profile);
        let heads: Vec<u8> =
            bytes.windows(8).filter(|head| head[..4] == [GS, 0x76, 0x30, 0]).map(|head| head[6]).collect();
        assert_eq!(heads, [10, 10, 5]);
    }
}
