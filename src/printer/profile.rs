//! A printer model as data: what is built in under `hardware/printers/`, and what a shop writes for its own.

use serde::Deserialize;

use crate::receipt::text::gb18030;
use crate::receipt::{COLUMNS_MAX, COLUMNS_MIN};

/// What a printer model can do, and what it says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name for people.
    pub name: String,
    /// Where the facts are from.
    pub source: String,
    /// Half-width characters (Font A) in a line.
    pub columns: usize,
    /// Dots in a line.
    pub dots: usize,
    /// Which Chinese characters its own font has. Lines with others are printed as pictures.
    pub chinese: Chinese,
    /// How it cuts.
    #[serde(default)]
    pub cut: Cut,
    /// Lines from the print head to the cutter or the tear bar.
    #[serde(default = "default_feed")]
    pub feed_lines: u8,
    /// Who draws QR codes.
    pub qr: Artist,
    /// Who draws bar codes.
    pub barcode: Artist,
    /// Rows of a picture that are sent in one command, 1–24: what is lost when the paper ends in the middle of one.
    #[serde(default = "default_band")]
    pub raster_band: usize,
    /// How its drawer connector is pulsed.
    #[serde(default)]
    pub drawer: Drawer,
    /// Which questions about its state it answers.
    #[serde(default)]
    pub status: Vec<Question>,
    /// Whether its answers are known to follow its state (its cover was opened and the answer changed). Without that
    /// a reply in the order of the data proves nothing: many printers answer a constant.
    #[serde(default)]
    pub proven: bool,
    /// USB ids (`"04b8:0e03"`).
    #[serde(default)]
    pub usb: Vec<UsbId>,
}

/// Which Chinese characters a printer's own font has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chinese {
    /// All of GBK, and ideographs of extension A as four bytes.
    Gb18030,
    /// The 20,902 of GBK.
    Gbk,
    /// The 6,763 of GB 2312.
    Gb2312,
    /// None: Chinese mode does not exist.
    None,
}

/// How a printer cuts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// A corner stays.
    Partial,
    /// Right through.
    Full,
    /// By hand, at the tear bar.
    #[default]
    None,
}

/// Who draws codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Artist {
    /// The printer.
    Native,
    /// We do, and send a picture.
    Raster,
}

/// The drawer connector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drawer {
    /// 2 or 5.
    pub pin: u8,
    /// How long the pulse is, ms, 2–500.
    pub on_ms: u16,
    /// The rest after it, ms, 2–510.
    pub off_ms: u16,
}

/// A way to ask a printer how it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// `GS ( H`: it returns a name of ours when everything before it is printed.
    Gsh,
    /// `GS r 1`: paper, answered in the order of the data.
    Gsr,
    /// `DLE EOT`: answered at once.
    Dle,
    /// `GS a`: it speaks by itself.
    Asb,
    /// The status lines of a USB or parallel port.
    LpGetStatus,
}

/// A USB vendor and product.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct UsbId {
    /// `idVendor`.
    pub vendor: u16,
    /// `idProduct`; any, where it is left out (`"04b8"`).
    pub product: Option<u16>,
}

impl TryFrom<String> for UsbId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let hex = |digits: &str| (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok()).flatten();
        let parts: Vec<Option<u16>> = text.split(':').map(hex).collect();
        match parts[..] {
            [Some(vendor)] => Ok(Self { vendor, product: None }),
            [Some(vendor), Some(product)] => Ok(Self { vendor, product: Some(product) }),
            _ => Err(format!("usb id {text:?} is not of its form, expected \"04b8:0e03\" or \"04b8\"")),
        }
    }
}

impl Default for Drawer {
    /// 50 ms on pin 2, then 500 ms of rest: what most drawers need (`1B 70 00 19 FA`).
    fn default() -> Self {
        Self { pin: 2, on_ms: 50, off_ms: 500 }
    }
}

fn default_feed() -> u8 {
    4
}

fn default_band() -> usize {
    24
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../hardware/printers/", $name, ".toml")))),*]
    };
}

/// The profiles that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = built_in![
    "generic-58mm",
    "generic-80mm",
    "epson-tm-t20ii",
    "epson-tm-t20iii",
    "epson-tm-t70ii-ch",
    "epson-tm-t88iv",
    "epson-tm-t88v",
    "epson-tm-m30iii",
    "citizen-ct-s651",
    "kefar-kr-306",
    "netum-nt-5890k",
    "netum-nt-80-v-ul",
    "pbm-p822d",
    "rongta-rp326",
    "rongta-rp332",
    "sunmi-v2",
    "yhdaa-yhd-8390",
    "zjiang-pos-5890",
    "zjiang-zj-5870",
];

impl Profile {
    /// The names of the built-in profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// The built-in profile of that name.
    pub fn built_in(name: &str) -> Option<Self> {
        let (_, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Self::parse(text).ok()
    }

    /// What every printer can do: ASCII text and pictures on 58 mm paper.
    pub fn plain() -> Self {
        Self {
            name: "Plain".to_owned(),
            source: "ESC/POS".to_owned(),
            columns: 32,
            dots: 384,
            chinese: Chinese::None,
            cut: Cut::None,
            feed_lines: default_feed(),
            qr: Artist::Raster,
            barcode: Artist::Raster,
            raster_band: default_band(),
            drawer: Drawer::default(),
            status: Vec::new(),
            proven: false,
            usb: Vec::new(),
        }
    }

    /// Reads a profile file and checks it.
    ///
    /// # Errors
    /// What is wrong, with the line where TOML knows it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), String> {
        let within = |what: &str, got: usize, low: usize, high: usize| {
            if (low..=high).contains(&got) {
                return Ok(());
            }
            Err(format!("{what} is {got}, expected {low} to {high}"))
        };
        within("columns", self.columns, COLUMNS_MIN, COLUMNS_MAX)?;
        within("dots", self.dots, self.columns * 12, 1024)?;
        within("raster_band", self.raster_band, 1, 24)?;
        within("feed_lines", self.feed_lines.into(), 0, 20)?;
        within("drawer.on_ms", self.drawer.on_ms.into(), 2, 500)?;
        within("drawer.off_ms", self.drawer.off_ms.into(), 2, 510)?;
        if !matches!(self.drawer.pin, 2 | 5) {
            return Err(format!("drawer.pin is {}, expected 2 or 5", self.drawer.pin));
        }
        Ok(())
    }

    /// Whether it answers this question.
    pub fn answers(&self, question: Question) -> bool {
        self.status.contains(&question)
    }
}

impl Chinese {
    /// Its name in profiles and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gb18030 => "gb18030",
            Self::Gbk => "gbk",
            Self::Gb2312 => "gb2312",
            Self::None => "none",
        }
    }

    /// Whether a printer with this font can print `c` as text.
    pub fn has(self, c: char) -> bool {
        if c.is_ascii() {
            return true;
        }
        let Some((bytes, length)) = gb18030(c) else { return false };
        match (self, length) {
            (Self::None, _) => false,
            (Self::Gb18030, 4) => ('\u{3400}'..='\u{4DB5}').contains(&c),
            // Ideographs that GB 18030-2000 put behind those of GBK.
            (Self::Gb18030, 2) if bytes[0] == 0xFE && is_ideograph(c) => true,
            (Self::Gb18030 | Self::Gbk, 2) => gb2312(bytes[0], bytes[1]) || gbk(bytes[0], bytes[1]),
            (Self::Gb2312, 2) => gb2312(bytes[0], bytes[1]),
            _ => false,
        }
    }
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DB5}' | '\u{4E00}'..='\u{9FFF}')
}

/// The rows of GB 2312-80 with what they hold: 1–9 signs, 16–87 hanzi.
fn gb2312(lead: u8, trail: u8) -> bool {
    match lead {
        0xA1 | 0xA3 => trail >= 0xA1,
        0xA2 => matches!(trail, 0xB1..=0xE2 | 0xE5..=0xEE | 0xF1..=0xFC),
        0xA4 => matches!(trail, 0xA1..=0xF3),
        0xA5 => matches!(trail, 0xA1..=0xF6),
        0xA6 => matches!(trail, 0xA1..=0xB8 | 0xC1..=0xD8),
        0xA7 => matches!(trail, 0xA1..=0xC1 | 0xD1..=0xF1),
        0xA8 => matches!(trail, 0xA1..=0xBA | 0xC5..=0xE9),
        0xA9 => matches!(trail, 0xA4..=0xEF),
        0xD7 => matches!(trail, 0xA1..=0xF9),
        0xB0..=0xF7 => trail >= 0xA1,
        _ => false,
    }
}

/// What GBK adds: hanzi in GBK/3 and GBK/4, signs in GBK/5.
fn gbk(lead: u8, trail: u8) -> bool {
    match lead {
        0x81..=0xA0 => true,
        0xA8 => matches!(trail, 0x40..=0x95),
        0xA9 => matches!(trail, 0x40..=0x57 | 0x59..=0x5A | 0x5C | 0x60..=0x88 | 0x96),
        0xAA..=0xFD => trail <= 0xA0,
        0xFE => trail <= 0x4F,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_sound() {
        for (name, text) in BUILT_IN {
            let profile = Profile::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!profile.source.is_empty(), "{name} names its source");
            assert!(!profile.proven || !profile.status.is_empty(), "{name} proves nothing");
        }
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/hardware/printers")).unwrap();
        let files = files.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "toml"));
        assert_eq!(files.count(), BUILT_IN.len(), "every file is built in");
    }

    #[test]
    fn a_mistake_is_named() {
        let good = BUILT_IN[0].1;
        for (from, to, expected) in [
            ("columns = 32", "columns = 9", "columns is 9, expected 20 to 80"),
            ("columns = 32", "columns = 33", "dots is 384, expected 396"),
            ("qr = ", "qrr = ", "unknown field `qrr`"),
            ("chinese = \"gbk\"", "chinese = \"big5\"", "unknown variant `big5`"),
        ] {
            let error = Profile::parse(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let drawer = format!("{good}\n[drawer]\npin = 3\n");
        assert!(Profile::parse(&drawer).unwrap_err().contains("pin is 3"));
        let usb = good.replace("usb = [", "usb = [\"4b8\", ");
        assert!(Profile::parse(&usb).unwrap_err().contains("usb id \"4b8\""));
    }

    #[test]
    fn character_sets_hold_what_their_standards_say() {
        let all = || (0x80..=0x10FFFF).filter_map(char::from_u32);
        let hanzi =
            |set: Chinese| all().filter(|c| ('\u{4E00}'..='\u{9FFF}').contains(c) && set.has(*c)).count();
        assert_eq!(hanzi(Chinese::Gb2312), 6763);
        assert_eq!(hanzi(Chinese::Gbk), 20_902);
        assert_eq!(all().filter(|c| Chinese::None.has(*c)).count(), 0);
        // GB 2312 has 682 signs beside its hanzi.
        assert_eq!(all().filter(|c| Chinese::Gb2312.has(*c)).count(), 6763 + 682);
        for (c, set) in
            [('￥', Chinese::Gb2312), ('镕', Chinese::Gbk), ('喆', Chinese::Gbk), ('㐂', Chinese::Gb18030)]
        {
            assert!(set.has(c), "{c}");
        }
        assert!(!Chinese::Gb2312.has('镕') && !Chinese::Gbk.has('€') && !Chinese::Gb18030.has('😀'));
    }
}
