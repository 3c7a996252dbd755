//! The configuration: a TOML file and its fragments become settings, or a list of what is wrong with which line.
//! Each door defines its own settings; this room merely collects them. No secret appears in a message.

mod api;
mod certificate;
mod devices;
mod policy;
mod problem;
mod secret_file;
mod section;
mod tree;
mod wechat;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use api::LISTEN;
pub use problem::{Problem, Problems, Spot, Weight};
pub use wechat::{BASE_URLS, Wechat};

use crate::gateway::wechat::LONGEST_SUBJECT;
use crate::ids::TerminalId;
use crate::money::Amount;
use crate::payment::Policy;
use crate::payment::cashier::Language;
use crate::time::Timestamp;
use crate::{display, journal, printer, scanner, sounds};
use section::{Found, Section};

/// Where the configuration is when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/micropayd/micropayd.toml";

/// The state directory when neither the file nor systemd names one.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/micropayd";

/// Everything that the daemon is told.
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The terminal itself.
    pub terminal: Terminal,
    /// The gateway.
    pub wechat: Wechat,
    /// The waits.
    pub policy: Policy,
    /// What the shop allows.
    pub limits: Limits,
    /// Every scanner.
    pub scanners: Vec<scanner::Settings>,
    /// The printer.
    pub printer: printer::Settings,
    /// The customer's display.
    pub display: display::Settings,
    /// What plays sounds.
    pub sounds: sounds::Settings,
    /// Where the API listens.
    pub api: crate::api::Settings,
    /// Where the journal is.
    pub journal: journal::Settings,
    /// What does not stop the daemon: warnings, and reasons to take no new sale.
    pub remarks: Vec<Problem>,
}

/// `[terminal]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terminal {
    /// Its name in every order number.
    pub id: TerminalId,
    /// The shop's name on receipts and pages.
    pub store_name: String,
    /// What the payer sees, unless the POS says something else.
    pub subject: String,
    /// Where the journal and its companions live.
    pub state_dir: PathBuf,
    /// The language of the cashier's sentences.
    pub language: Language,
}

/// `[limits]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest payment.
    pub max_amount: Amount,
    /// The largest single refund at the till.
    pub max_refund: Amount,
}

/// What the process finds around it: systemd's directories and the time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    /// `$STATE_DIRECTORY`.
    pub state_directory: Option<PathBuf>,
    /// `$RUNTIME_DIRECTORY`.
    pub runtime_directory: Option<PathBuf>,
    /// `$CREDENTIALS_DIRECTORY`.
    pub credentials_directory: Option<PathBuf>,
    /// Now, to see whether a certificate has ended.
    pub now: Timestamp,
}

impl Surroundings {
    /// Reads the environment and the clock.
    pub fn of_process() -> Self {
        // systemd lists several directories with colons; the first is the unit's own.
        let directory = |name: &str| {
            let value = std::env::var_os(name)?;
            std::env::split_paths(&value).next().filter(|path| !path.as_os_str().is_empty())
        };
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = since_1970.map_or(0, |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
        Self {
            state_directory: directory("STATE_DIRECTORY"),
            runtime_directory: directory("RUNTIME_DIRECTORY"),
            credentials_directory: directory("CREDENTIALS_DIRECTORY"),
            now: Timestamp(now),
        }
    }
}

impl Config {
    /// Reads the file and its fragments.
    ///
    /// # Errors
    /// Everything that is wrong, at once, if anything of it keeps the daemon from starting.
    pub fn load(path: &Path, around: &Surroundings) -> Result<Config, Problems> {
        let tree = tree::read(path)?;
        let found: Found = RefCell::default();
        let top = Section::new("", &tree, Spot { file: Arc::from(path), line: None }, &found);

        let terminal = terminal(top.section("terminal"), path, around);
        let wechat = wechat::read(
            top.section("wechat"),
            around,
            terminal.as_ref().map(|terminal| terminal.id.as_str().to_owned()),
        );
        let bench = wechat.as_ref().is_some_and(|wechat| wechat.is_bench());
        let request_time = wechat.as_ref().map(|wechat| wechat.longest_call());
        let policy = policy::read(top.section("policy"), bench, request_time);
        let limits = limits(top.section("limits"));
        let scanners = top.sections("scanner").into_iter().map(devices::scanner).collect::<Vec<_>>();
        let printer = devices::printer(top.section("printer"));
        let display = devices::display(top.section("display"));
        let sounds = devices::sounds(top.section("sounds"));
        let api = api::read(top.section("api"), around);
        top.finish();

        let mut remarks = found.into_inner();
        // Files in the order in which they are read, then lines; a section that is missing as a whole comes first.
        remarks.sort_by(|a, b| {
            let place = |problem: &Problem| (problem.spot.file.as_ref() != path, problem.spot.clone());
            place(a).cmp(&place(b))
        });
        let stops = remarks.iter().any(|problem| problem.weight == Weight::Fatal);
        let devices = (scanners.into_iter().collect::<Option<Vec<_>>>(), printer, display, sounds);
        match (terminal, wechat, devices, api) {
            (
                Some(terminal),
                Some(wechat),
                (Some(scanners), Some(printer), Some(display), Some(sounds)),
                Some(api),
            ) if !stops => {
                let journal = journal::Settings { dir: terminal.state_dir.clone() };
                let path = path.to_owned();
                Ok(Config {
                    path,
                    terminal,
                    wechat,
                    policy,
                    limits,
                    scanners,
                    printer,
                    display,
                    sounds,
                    api,
                    journal,
                    remarks,
                })
            }
            _ => Err(Problems(remarks)),
        }
    }

    /// Why no new sale may be taken as things are set up, if so.
    pub fn refuses_sales(&self) -> Option<String> {
        self.remarks.iter().find(|problem| problem.weight == Weight::NoSales).map(ToString::to_string)
    }
}

/// Where the API listens according to `path`, for callers that may not read its keys; `None` if the file says nothing
/// usable.
pub fn listen_of(path: &Path) -> Option<std::net::SocketAddr> {
    peek(path, |top| Some(api::listen(&top.section("api"))?.value))
}

/// Where the journal is according to `path`, whatever else is wrong with the file.
pub fn state_dir_of(path: &Path) -> Option<PathBuf> {
    peek(path, |top| Some(top.section("terminal").path("state_dir")?.value))
}

/// The terminal according to `path`, for callers that may not read its keys.
///
/// # Errors
/// What is wrong with this section.
pub fn terminal_of(path: &Path, around: &Surroundings) -> Result<Terminal, Problems> {
    let tree = tree::read(path)?;
    let found: Found = RefCell::default();
    let top = Section::new("", &tree, Spot { file: Arc::from(path), line: None }, &found);
    terminal(top.section("terminal"), path, around).ok_or_else(|| Problems(found.into_inner()))
}

/// The devices that a file names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Devices {
    /// Every scanner.
    pub scanners: Vec<scanner::Settings>,
    /// The printer.
    pub printer: printer::Settings,
    /// The customer's display.
    pub display: display::Settings,
    /// What plays sounds.
    pub sounds: sounds::Settings,
}

/// The devices according to `path`, whatever else is wrong with the file.
///
/// # Errors
/// What is wrong with these sections.
pub fn devices_of(path: &Path) -> Result<Devices, Problems> {
    let tree = tree::read(path)?;
    let found: Found = RefCell::default();
    let top = Section::new("", &tree, Spot { file: Arc::from(path), line: None }, &found);
    let scanners: Option<Vec<_>> = top.sections("scanner").into_iter().map(devices::scanner).collect();
    let printer = devices::printer(top.section("printer"));
    let display = devices::display(top.section("display"));
    let sounds = devices::sounds(top.section("sounds"));
    match (scanners, printer, display, sounds, found.into_inner()) {
        (Some(scanners), Some(printer), Some(display), Some(sounds), problems) if problems.is_empty() => {
            Ok(Devices { scanners, printer, display, sounds })
        }
        (.., problems) => Err(Problems(problems)),
    }
}

fn peek<T>(path: &Path, look: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
    let tree = tree::read(path).ok()?;
    let found: Found = RefCell::default();
    look(&Section::new("", &tree, Spot { file: Arc::from(path), line: None }, &found))
}

/// Where the journal is when `path` does not say: where the service put it, and for the file of a lane beside the default
/// one where micropayd@.service puts it, so that whoever looks at `lane3.toml` never sees another lane's journal.
pub fn default_state_dir(path: &Path, around: &Surroundings) -> PathBuf {
    if let Some(of_service) = &around.state_directory {
        return of_service.clone();
    }
    let one = Path::new(DEFAULT_PATH);
    match path.file_stem() {
        Some(lane) if path != one && path.parent() == one.parent() => Path::new(DEFAULT_STATE_DIR).join(lane),
        _ => PathBuf::from(DEFAULT_STATE_DIR),
    }
}

fn terminal(section: Section<'_>, path: &Path, around: &Surroundings) -> Option<Terminal> {
    let id = section.parsed("id", "write id = \"T01\"", |text| {
        text.parse::<TerminalId>()
            .map_err(|_| format!("{text:?} is not usable, expected 1 to 8 of A-Z a-z 0-9"))
    });
    section.missing("id", "write id = \"T01\", another one for each terminal");
    let store_name =
        section.parsed("store_name", "write store_name = \"朝阳门店\"", |text| line_of(text, 60));
    section.missing("store_name", "write store_name = \"朝阳门店\", as it stands on receipts");
    let subject = section
        .parsed("subject", "write subject = \"朝阳门店-消费\"", |text| line_of(text, LONGEST_SUBJECT));
    let language = section.choice("language", &[("zh-CN", Language::Chinese), ("en", Language::English)]);
    let state_dir = section.path("state_dir").map(|entry| entry.value);
    let state_dir = state_dir.unwrap_or_else(|| default_state_dir(path, around));
    section.finish();
    let store_name = store_name?.value;
    Some(Terminal {
        id: id?.value,
        subject: subject.map_or_else(|| store_name.clone(), |entry| entry.value),
        store_name,
        state_dir,
        language: language.map_or(Language::default(), |entry| entry.value),
    })
}

/// A text of one line with at most `most` bytes.
fn line_of(text: &str, most: usize) -> Result<String, String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err("is empty, expected a text".to_owned());
    }
    if trimmed.chars().any(char::is_control) {
        return Err("has a line break or another control character, expected one line of text".to_owned());
    }
    if trimmed.len() > most {
        return Err(format!(
            "has {} bytes, expected at most {most} (a Chinese character has 3)",
            trimmed.len()
        ));
    }
    Ok(trimmed.to_owned())
}

impl Default for Limits {
    fn default() -> Self {
        let yuan = |yuan: u32| Amount::from_fen(yuan * 100).expect("the amount is not zero");
        Self { max_amount: yuan(5000), max_refund: yuan(1000) }
    }
}

fn limits(section: Section<'_>) -> Limits {
    let default = Limits::default();
    let amount = |key, otherwise| {
        let help = format!("write {key} = \"{otherwise}\"");
        let entry =
            section.parsed(key, &help, |text| text.parse::<Amount>().map_err(|error| error.to_string()));
        entry.map_or(otherwise, |entry| entry.value)
    };
    let limits = Limits {
        max_amount: amount("max_amount", default.max_amount),
        max_refund: amount("max_refund", default.max_refund),
    };
    section.finish();
    limits
}
