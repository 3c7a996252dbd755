//! A lane: the real daemon in a process of its own, with a scanner, a printer and a POS around it.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::devices::{Printer, Sheet, pseudo_terminal};
use crate::gateway::{API_KEY, APP_ID, FEN, Gateway, MCH_ID, Reports, Seen};

/// From the amount to the first digit: the fastest a customer can be.
const AIMS: Duration = Duration::from_millis(20);
/// From the last digit to the end mark: two characters at 9600 baud.
const END_MARK: Duration = Duration::from_millis(2);
/// For anything that takes milliseconds when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a lane is set up.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// What stands before the program on the command line: strace.
    pub wrap: Vec<String>,
    /// An existing journal.
    pub state: Option<PathBuf>,
    /// Another way to the gateway.
    pub by_way_of: Option<SocketAddr>,
    /// The printer takes no byte.
    pub printer_blocks: bool,
}

/// One sale as it was measured.
#[derive(Clone, Copy, Debug)]
pub struct Sale {
    /// Last scanner byte to whole request.
    pub t1: Duration,
    /// Answer to first byte of the receipt; none while the printer blocks.
    pub t2: Option<Duration>,
    /// Answer to the first byte of anything at the printer.
    pub t2_question: Option<Duration>,
}

pub struct Lane {
    child: Child,
    pub pid: i32,
    scanner: File,
    printer: Printer,
    /// Kept open and never read: what fills it blocks.
    _blocked: Option<File>,
    api: TcpStream,
    pub gateway: Arc<Gateway>,
    reports: Reports,
    codes: u64,
}

impl Lane {
    pub fn start(dir: &Path, setup: &Setup) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (gateway, reports) = Gateway::start(dir)?;
        let (scanner, scanner_path) = pseudo_terminal()?;
        let printer = Printer::start()?;
        let (blocked, printer_path) = if setup.printer_blocks {
            let (master, path) = pseudo_terminal()?;
            (Some(master), path)
        } else {
            (None, printer.path.clone())
        };
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let state = setup.state.clone().unwrap_or_else(|| dir.join("state"));
        let way = setup.by_way_of.unwrap_or(gateway.addr);
        configure(dir, &state, way, &scanner_path, &printer_path, listen)?;
        let (child, pid, _) = launch(dir, &setup.wrap)?;
        let api = TcpStream::connect(listen)?;
        api.set_nodelay(true)?;
        let lane = Self { child, pid, scanner, printer, _blocked: blocked, api, gateway, reports, codes: 0 };
        // The scanner is opened after READY; what is written before it is there would be flushed.
        sleep(Duration::from_millis(300));
        Ok(lane)
    }

    /// Takes the receiver of hops; once.
    pub fn hops(&mut self) -> std::sync::mpsc::Receiver<Instant> {
        std::mem::replace(&mut self.reports.hops, std::sync::mpsc::channel().1)
    }

    /// A whole sale, until its receipt is at the printer.
    pub fn sell(&mut self) -> Result<Sale> {
        self.sell_after(AIMS)
    }

    /// The same with so much time between the amount and the scan.
    pub fn sell_after(&mut self, aims: Duration) -> Result<Sale> {
        self.open()?;
        sleep(aims);
        let began = self.scan()?;
        let (sheet, seen) = if self._blocked.is_some() {
            (None, self.seen()?)
        } else {
            // Only the printer wakes this thread: the gateway's report waits until then.
            let sheet = self.printer.sheets.recv_timeout(PATIENCE).context("no receipt came")?;
            (Some(sheet), self.seen()?)
        };
        let after = |at: fn(&Sheet) -> Instant| {
            sheet.map(|sheet| at(&sheet).saturating_duration_since(seen.answered))
        };
        Ok(Sale {
            t1: seen.arrived - began,
            t2: after(|sheet| sheet.first_of_receipt),
            t2_question: after(|sheet| sheet.first_byte),
        })
    }

    /// Enters an amount, as soon as the lane is free.
    pub fn open(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            self.codes += 1;
            let body = format!("{{\"amount\":{FEN}}}");
            let request = format!(
                "POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                 Idempotency-Key: bench-{}-{}\r\nContent-Length: {}\r\n\r\n{body}",
                self.pid,
                self.codes,
                body.len()
            );
            match self.ask(&request)? {
                201 => return Ok(()),
                409 if Instant::now() < until => sleep(Duration::from_millis(2)),
                other => bail!("the daemon answered {other} to a new sale"),
            }
        }
    }

    /// Reads a fresh code; the moment just before the last byte was written.
    pub fn scan(&mut self) -> Result<Instant> {
        self.scanner.write_all(format!("13{:016}", self.codes).as_bytes())?;
        sleep(END_MARK);
        let began = Instant::now();
        self.scanner.write_all(b"\r")?;
        Ok(began)
    }

    /// The gateway's report of the latest payment.
    pub fn seen(&self) -> Result<Seen> {
        self.reports.seen.recv_timeout(PATIENCE).context("no request came")
    }

    /// Waits for a receipt.
    pub fn sheet(&self, wait: Duration) -> Result<Sheet> {
        self.printer.sheets.recv_timeout(wait).context("no receipt came")
    }

    /// The status of one request on the kept connection.
    fn ask(&mut self, request: &str) -> Result<u16> {
        self.api.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 8192];
        loop {
            let read = self.api.read(&mut chunk)?;
            anyhow::ensure!(read > 0, "the daemon hung up");
            bytes.extend_from_slice(&chunk[..read]);
            let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&bytes[..head])?.to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.context("answer has no length")?.trim().parse()?;
            if bytes.len() >= head + 4 + length {
                return Ok(text.split(' ').nth(1).context("answer has no status")?.parse()?);
            }
        }
    }

    /// CPU that all threads of the daemon have used so far (`/proc/PID/task/*/schedstat`, nanoseconds).
    pub fn cpu(&self) -> Result<Duration> {
        let mut sum = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            sum += text.split(' ').next().context("schedstat is empty")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// A line of `/proc/PID/FILE`, KiB.
    pub fn kib(&self, file: &str, name: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid))?;
        let line = text.lines().find(|line| line.starts_with(name)).context("no such line")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    /// Ends the daemon as the service manager does.
    pub fn stop(mut self) -> Result<()> {
        stop(&mut self.child, self.pid)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let _ = stop(&mut self.child, self.pid);
    }
}

pub fn stop(child: &mut Child, pid: i32) -> Result<()> {
    if child.try_wait()?.is_none() {
        kill_process(Pid::from_raw(pid).context("a process has a number")?, Signal::TERM)?;
        child.wait()?;
    }
    Ok(())
}

/// Writes the settings of a lane. The waits are short, which is allowed on loopback only.
pub fn configure(
    dir: &Path,
    state: &Path,
    gateway: SocketAddr,
    scanner: &Path,
    printer: &Path,
    listen: SocketAddr,
) -> Result<()> {
    let key = dir.join("api-key");
    private_file(&key, API_KEY)?;
    let text = format!(
        r#"[terminal]
id = "T01"
store_name = "朝阳门店"
subject = "朝阳门店-消费"
state_dir = "{state}"
[wechat]
app_id = "{APP_ID}"
mch_id = "{MCH_ID}"
sign_type = "HMAC-SHA256"
api_key_file = "{key}"
client_cert_file = "{papers}/apiclient_cert.pem"
client_key_file = "{papers}/apiclient_key.pem"
base_urls = ["https://{gateway}"]
ca_file = "{papers}/ca.pem"
connect_timeout = "1s"
request_timeout = "3s"
[policy]
query_after = "1s"
query_every = "1s"
give_up_after = "12s"
reverse_after = "3s"
reverse_every = "1s"
code_life = "20s"
[[scanner]]
kind = "serial"
path = "{scanner}"
[printer]
kind = "serial"
path = "{printer}"
baud = 115200
profile = "epson-tm-t70ii-ch"
[api]
listen = "{listen}"
"#,
        state = state.display(),
        key = key.display(),
        papers = dir.display(),
        scanner = scanner.display(),
        printer = printer.display(),
    );
    private_file(&dir.join("micropayd.toml"), &text)
}

/// Starts the program and waits until it is ready: the process, the daemon's own number, and how long it took.
pub fn launch(dir: &Path, wrap: &[String]) -> Result<(Child, i32, Duration)> {
    let notify = dir.join("notify");
    let _ = std::fs::remove_file(&notify);
    let socket = UnixDatagram::bind(&notify)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let program = env!("CARGO_BIN_EXE_micropayd").to_owned();
    let words: Vec<&String> = wrap.iter().chain([&program]).collect();
    let log = File::create(dir.join("log"))?;
    let began = Instant::now();
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .args(["run", "--config"])
        .arg(dir.join("micropayd.toml"))
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {}", words[0]))?;
    let mut message = [0; 4096];
    let length = match socket.recv(&mut message) {
        Ok(length) => length,
        Err(error) => {
            let _ = child.kill();
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            bail!("the daemon is not ready ({error})\n{log}");
        }
    };
    let after = began.elapsed();
    anyhow::ensure!(message[..length].starts_with(b"READY=1"), "the first message is READY");
    let pid = i32::try_from(child.id())?;
    if wrap.is_empty() {
        return Ok((child, pid, after));
    }
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let pid = children.split_whitespace().next().context("strace has a child")?.parse()?;
    Ok((child, pid, after))
}

/// Writes a file that only its owner may read.
pub fn private_file(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
