//! Setting a printer up: what it says about itself, and a sheet of samples for somebody to look at. Not for selling: it
//! asks what some printers do not understand, and blocks its thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::profile::Chinese;
use super::session::Session;
use super::status::Reply;
use super::{Settings, escpos, worker};
use crate::input::PrintOutcome;
use crate::receipt::{Receipt, Template, layout};

/// What a printer says about itself; empty where it says nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Its maker.
    pub maker: String,
    /// Its model.
    pub model: String,
    /// Its font, in its own words: `CHINA GB18030`.
    pub font: String,
}

impl About {
    /// The font as profiles name it, if it is a known one (Epson TM-J2000 and TM-U230 manuals, `GS I 69`).
    pub fn chinese(&self) -> Option<Chinese> {
        let words = self.font.to_ascii_uppercase().replace([' ', '-', '_'], "");
        match words.as_str() {
            "CHINAGB18030" => Some(Chinese::Gb18030),
            "CHINAGBK" => Some(Chinese::Gbk),
            "CHINAGB2312" => Some(Chinese::Gb2312),
            _ => None,
        }
    }
}

/// A printer that is being set up.
pub struct Probe {
    session: Session,
    template: Template,
    answer: Duration,
}

impl Probe {
    /// Prepares; opens nothing yet.
    ///
    /// # Errors
    /// What is wrong with the profile or the template.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let profile = settings.load_profile()?;
        let template = settings.load_template(profile.dots)?;
        let open = worker::way(settings, &profile.usb);
        // Any number does; a random one keeps apart what two processes asked.
        let first = getrandom::u32().unwrap_or(0);
        let stop = Arc::new(AtomicBool::new(false));
        let answer = settings.waits.answer;
        Ok(Self { session: Session::new(profile, settings.waits, open, first, stop), template, answer })
    }

    /// How it is.
    ///
    /// # Errors
    /// Why it cannot print, for the cashier.
    pub fn look(&mut self) -> Result<&'static str, String> {
        self.session.look()
    }

    /// What it says about itself. A printer that does not answer the first question is not asked the others.
    pub fn about(&mut self) -> About {
        let Some(font) = self.ask(69) else { return About::default() };
        let mut other = |n| self.ask(n).unwrap_or_default();
        About { maker: other(66), model: other(67), font }
    }

    fn ask(&mut self, n: u8) -> Option<String> {
        self.session.link().ok().filter(|link| !link.is_paper())?;
        let wait = self.session.waits.stall;
        self.session.put(&escpos::about(n), wait).ok()?;
        // Others may come before it: a status that nobody asked for.
        for _ in 0..8 {
            match self.session.hear(self.answer).ok()?? {
                Reply::Info(text) => {
                    let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' };
                    return Some(text.iter().map(plain).collect::<String>().trim().to_owned());
                }
                Reply::RealTime(_) | Reply::Automatic(_) | Reply::Paper(_) | Reply::ProcessId(_) => {}
            }
        }
        None
    }

    /// Prints a receipt.
    pub fn print_receipt(&mut self, receipt: &Receipt) -> PrintOutcome {
        let lines = layout(receipt, self.session.profile.columns, &self.template);
        let outcome = self.session.print(&lines, &mut |_| {});
        self.session.rest();
        outcome
    }

    /// Prints the sheet of [`escpos::SAMPLES`].
    pub fn print_samples(&mut self) -> PrintOutcome {
        let bytes = escpos::samples(&self.session.profile);
        let outcome = self.session.print_bytes(bytes, &mut |_| {});
        self.session.rest();
        outcome
    }
}

/// The font of a printer on whose sheet the first `right` samples are right.
pub fn chinese_of(right: usize) -> Option<Chinese> {
    match right {
        0 => Some(Chinese::None),
        _ => escpos::SAMPLES.get(right - 1).map(|(_, font)| *font),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_font_is_known_by_its_words_or_by_its_samples() {
        let says = |font: &str| About { font: font.to_owned(), ..About::default() }.chinese();
        assert_eq!(says("CHINA GB18030"), Some(Chinese::Gb18030));
        assert_eq!(says("CHINA GB2312"), Some(Chinese::Gb2312));
        for other in ["", "TAIWAN BIG-5", "KOREA C-5601C", "JAPAN", "CHINA"] {
            assert_eq!(says(other), None, "{other}");
        }
        let fonts = [Chinese::None, Chinese::Gb2312, Chinese::Gbk, Chinese::Gb18030];
        assert_eq!([0, 1, 2, 3].map(chinese_of), fonts.map(Some));
        assert_eq!(chinese_of(4), None);
    }
}
