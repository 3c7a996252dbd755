//! The shop around the devices: the program itself as gateway simulator and as daemon, and a process that reads
//! scanners and does nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::until;

const PROGRAM: &str = "/bin/micropayd";
const API: &str = "127.0.0.1:7780";

/// A process that does not outlive the row that needs it.
pub struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[&str], log: &str) -> Result<(Self, std::process::ChildStdout)> {
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| program.to_owned())?;
        let stdout = child.stdout.take().context("no stdout")?;
        Ok((Self(child), stdout))
    }

    /// How much time of a processor it has used.
    pub fn worked(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // After the name: fields 14 and 15 of proc(5), in hundredths of a second.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    pub fn id(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.id(), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The simulated gateway.
pub struct Gateway {
    /// It runs here, or outside.
    _process: Option<Process>,
    facts: Value,
    address: String,
}

impl Gateway {
    pub fn start() -> Result<Self> {
        let (process, stdout) = Process::start(PROGRAM, &["simulator"], "/tmp/simulator.log")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let facts = serde_json::from_str(&line).with_context(|| format!("simulator said {line:?}"))?;
        Ok(Self { _process: Some(process), ..Self::outside(facts)? })
    }

    /// One that runs elsewhere and has said this about itself.
    pub fn outside(facts: Value) -> Result<Self> {
        let address = text(&facts["base_url"]).trim_start_matches("http://").to_owned();
        let mut key =
            fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open("/tmp/key")?;
        key.write_all(text(&facts["api_key"]).as_bytes())?;
        Ok(Self { _process: None, facts, address })
    }

    /// A fresh payment code of a new customer.
    pub fn code(&self, mood: &str) -> Result<String> {
        let fresh = http(&self.address, "POST", "/_simulator/codes", Some(&json!({"mood": mood})))?;
        Ok(text(&fresh["code"]).to_owned())
    }

    /// How often the customer who showed `code` was charged, and the fen that are gone.
    pub fn charged(&self, code: &str) -> Result<(u64, u64)> {
        let purses = http(&self.address, "GET", "/_simulator/purses", None)?;
        let purses = purses["purses"].as_array().context("no purses")?;
        let mine = purses
            .iter()
            .find(|purse| purse["codes"].as_array().is_some_and(|codes| codes.contains(&json!(code))));
        Ok(mine.map_or((0, 0), |purse| {
            (purse["charges"].as_u64().unwrap_or(0), purse["out_of_pocket"].as_u64().unwrap_or(0))
        }))
    }

    /// Every order that it has ever seen.
    pub fn orders(&self) -> Result<Vec<Value>> {
        let mut orders = http(&self.address, "GET", "/_simulator/orders", None)?;
        Ok(orders["orders"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// The configuration of a shop with these `[[scanner]]` and `[printer]` sections.
    pub fn shop(&self, devices: &str) -> Result<String> {
        static SHOPS: AtomicU32 = AtomicU32::new(0);
        let shop = format!("/tmp/shop{}", SHOPS.fetch_add(1, Ordering::Relaxed));
        fs::create_dir(&shop)?;
        self.shop_in(&shop, devices)
    }

    /// The configuration of a shop that keeps everything in the folder `shop`.
    pub fn shop_in(&self, shop: &str, devices: &str) -> Result<String> {
        let (app, merchant, url) = (&self.facts["app_id"], &self.facts["mch_id"], &self.facts["base_url"]);
        let path = format!("{shop}/micropayd.toml");
        fs::write(
            &path,
            format!(
                "[terminal]\nid = \"T01\"\nstore_name = \"朝阳门店\"\nsubject = \"消费\"\nstate_dir = \"{shop}\"\n\
                 [wechat]\napp_id = {app}\nmch_id = {merchant}\napi_key_file = \"/tmp/key\"\nbase_urls = [{url}]\n\
                 [api]\nlisten = \"{API}\"\n{devices}"
            ),
        )?;
        Ok(path)
    }
}

/// The daemon.
pub struct Daemon {
    pub process: Process,
}

impl Daemon {
    pub fn start(config: &str) -> Result<Self> {
        let (process, _) = Process::start(PROGRAM, &["--config", config, "run"], "/tmp/daemon.log")?;
        let daemon = Self { process };
        let mut said = String::new();
        let ready = until("the daemon is ready", 60.0, || {
            Ok(http(API, "GET", "/readyz", None).map_err(|error| said = format!("{error:#}")).ok())
        });
        ready.with_context(|| {
            let log = fs::read_to_string("/tmp/daemon.log").unwrap_or_default();
            let told: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO ")).collect();
            format!("{said}; its log:\n{}", told.join("\n"))
        })?;
        Ok(daemon)
    }

    /// Starts it in a new shop with these devices, and waits for the scanner.
    pub fn with(gateway: &Gateway, devices: &str) -> Result<Self> {
        let daemon = Self::start(&gateway.shop(devices)?)?;
        daemon.device("scanner", true, 3.0)?;
        Ok(daemon)
    }

    /// Opens a payment; its id.
    pub fn open(&self, fen: u32) -> Result<String> {
        let payment = http(API, "POST", "/v1/payments", Some(&json!({"amount": fen})))?;
        ensure!(payment["phase"] == "awaiting_code", "opened as {payment}");
        Ok(text(&payment["id"]).to_owned())
    }

    pub fn payment(&self, id: &str) -> Result<Value> {
        http(API, "GET", &format!("/v1/payments/{id}"), None)
    }

    /// Waits until a payment is in `phase`.
    pub fn phase(&self, id: &str, phase: &str) -> Result<Value> {
        let mut last = Value::Null;
        until("phase", 5.0, || {
            last = self.payment(id)?;
            Ok((last["phase"] == phase).then(|| last.clone()))
        })
        .map_err(|_| anyhow!("expected phase {phase}, got {last}"))
    }

    /// Waits until a payment's receipt is in `state`.
    pub fn receipt(&self, id: &str, state: &str, seconds: f64) -> Result<Value> {
        let mut last = Value::Null;
        until("receipt", seconds, || {
            last = self.payment(id)?["receipt"].clone();
            Ok((last["state"] == state).then(|| last.clone()))
        })
        .map_err(|_| anyhow!("expected receipt {state}, got {last}"))
    }

    /// What the first unfinished piece of work is said to need.
    pub fn owed(&self) -> Result<String> {
        Ok(text(&http(API, "GET", "/v1/status", None)?["open"][0]["text"]).to_owned())
    }

    /// A code that comes over the network.
    pub fn scan(&self, code: &str) -> Result<Value> {
        http(API, "POST", "/v1/scan", Some(&json!({"code": code})))
    }

    pub fn cancel(&self, id: &str) -> Result<Value> {
        http(API, "POST", &format!("/v1/payments/{id}/cancel"), None)
    }

    /// Every payment there ever was.
    pub fn payments(&self) -> Result<Vec<Value>> {
        let (mut payments, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = http(API, "GET", &format!("/v1/payments?limit=200{cursor}"), None)?;
            payments.append(page["payments"].as_array_mut().context("no payments")?);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(payments),
            }
        }
    }

    /// Opens the drawer by hand.
    pub fn drawer(&self) -> Result<Value> {
        http(API, "POST", "/v1/drawer", None)
    }

    pub fn reprint(&self, id: &str) -> Result<Value> {
        http(API, "POST", &format!("/v1/payments/{id}/receipts"), None)
    }

    /// Waits until all devices of this kind are ready, or none is; the first one's trouble.
    pub fn device(&self, kind: &str, ready: bool, seconds: f64) -> Result<String> {
        self.devices(|device| device["kind"] == kind, ready, seconds)
    }

    /// Waits until a device is ready or not; its trouble.
    pub fn device_named(&self, name: &str, ready: bool, seconds: f64) -> Result<String> {
        self.devices(|device| device["name"] == name, ready, seconds)
    }

    fn devices(&self, which: impl Fn(&Value) -> bool, ready: bool, seconds: f64) -> Result<String> {
        let mut last = Value::Null;
        until("device", seconds, || {
            last = http(API, "GET", "/v1/status", None)?["devices"].take();
            let devices = last.as_array().map(Vec::as_slice).unwrap_or_default();
            let mine: Vec<_> = devices.iter().filter(|device| which(device)).collect();
            let all = !mine.is_empty() && mine.iter().all(|device| device["ready"] == ready);
            Ok(all.then(|| text(&mine[0]["trouble"]).to_owned()))
        })
        .map_err(|_| anyhow!("expected a device with ready={ready}, got {last}"))
    }
}

/// This program as a reader of scanners: see [`crate::reader`].
pub struct Reader {
    pub process: Process,
    events: Receiver<Value>,
}

/// What a scanner was read as.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub event: String,
    pub text: String,
}

impl Reader {
    /// Starts it and waits until every scanner is ready.
    pub fn start(config: &str, scanners: usize) -> Result<Self> {
        let reader = Self::begin(config)?;
        for _ in 0..scanners {
            let first = reader.next(5.0)?;
            ensure!(first.event == "ready", "expected ready, got {first:?}");
        }
        Ok(reader)
    }

    pub fn begin(config: &str) -> Result<Self> {
        let (process, stdout) = Process::start("/bin/vm", &["read", config], "/tmp/reader.log")?;
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Ok(Self { process, events })
    }

    /// The next event.
    pub fn next(&self, seconds: f64) -> Result<Seen> {
        let event = self.events.recv_timeout(Duration::from_secs_f64(seconds));
        let event = event.map_err(|_| anyhow!("no event within {seconds} s"))?;
        Ok(Seen { event: text(&event["event"]).to_owned(), text: text(&event["text"]).to_owned() })
    }

    /// Expects this code, and nothing before it.
    pub fn code(&self, code: &str) -> Result<()> {
        let read = self.next(3.0)?;
        ensure!(
            read.event == "code" && read.text.ends_with(&code[code.len() - 4..]),
            "expected a code, got {read:?}"
        );
        Ok(())
    }

    /// Expects a refusal with these words in it.
    pub fn refused(&self, words: &str) -> Result<()> {
        let read = self.next(3.0)?;
        ensure!(read.event == "refused" && read.text.contains(words), "expected a refusal, got {read:?}");
        Ok(())
    }

    /// Expects nothing for a while.
    pub fn nothing(&self, seconds: f64) -> Result<()> {
        match self.next(seconds) {
            Err(_) => Ok(()),
            Ok(read) => bail!("expected nothing, got {read:?}"),
        }
    }
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// One request on one connection; an answer that is not of the 200s is an error.
fn http(address: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
    static KEYS: AtomicU32 = AtomicU32::new(0);
    let body = body.map(Value::to_string).unwrap_or_default();
    let key = KEYS.fetch_add(1, Ordering::Relaxed);
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nIdempotency-Key: k{key}\r\n{kind}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(
        head.starts_with("HTTP/1.1 2"),
        "{method} {path}: {} {body}",
        head.lines().next().unwrap_or_default()
    );
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(body).with_context(|| format!("{method} {path}: {body}"))
}
