//! What the demo plays on, and what tests torture: the real daemon in a process of its own, the simulated gateway over
//! HTTPS, a pseudo-terminal as the scanner, a printer without paper. Nothing of it needs an account, hardware, or a line
//! to the outside.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep};

use super::paper::Paper;
use crate::simulator::mood::Mood;
use crate::simulator::order::{Coupon, CouponKind};
use crate::simulator::weather::Rule;
use crate::simulator::world::Offer;
use crate::simulator::{self, Handshake, Simulator};

/// Log lines that a page that opens late still gets.
const LOG_KEPT: usize = 200;
/// How long the daemon may take to be ready; it needs some milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// From the plug being pulled to power being back.
const POWER_OFF: Duration = Duration::from_millis(1500);

/// The demo's world.
pub struct Stage {
    dir: PathBuf,
    program: PathBuf,
    api: SocketAddr,
    shop: reqwest::Client,
    scanner: Mutex<std::fs::File>,
    daemon: tokio::sync::Mutex<Option<Child>>,
    log: Arc<Log>,
    /// The printer.
    pub paper: Paper,
    /// The gateway.
    pub gateway: Simulator,
}

/// The daemon's log, for whoever comes late and whoever follows.
pub struct Log {
    lines: Mutex<VecDeque<String>>,
    follow: broadcast::Sender<String>,
}

impl Log {
    /// The lines so far, and those to come.
    pub fn follow(&self) -> (Vec<String>, broadcast::Receiver<String>) {
        let lines = self.lines.lock().unwrap_or_else(|broken| broken.into_inner());
        (lines.iter().cloned().collect(), self.follow.subscribe())
    }

    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(|broken| broken.into_inner());
        if lines.len() == LOG_KEPT {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        // Nobody may be following.
        let _ = self.follow.send(line);
    }
}

impl Stage {
    /// Sets everything up in `dir` and starts `program` as the daemon.
    pub async fn start(dir: PathBuf, program: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let gateway =
            Simulator::start(simulator::Settings { tls: true, ..simulator::Settings::default() }).await?;
        let paper = Paper::start().await?;
        let (scanner, scanner_path) = pseudo_terminal()?;
        let link = dir.join("scanner");
        std::os::unix::fs::symlink(&scanner_path, &link)?;
        let api = free_address()?;
        write_configuration(&dir, &gateway.handshake(), &link, paper.addr(), api)?;
        let (follow, _) = broadcast::channel(LOG_KEPT);
        let stage = Self {
            dir,
            program,
            api,
            shop: reqwest::Client::builder().no_proxy().build()?,
            scanner: Mutex::new(scanner),
            daemon: tokio::sync::Mutex::new(None),
            log: Arc::new(Log { lines: Mutex::default(), follow }),
            paper,
            gateway,
        };
        stage.power_on().await?;
        Ok(stage)
    }

    /// Where the daemon's own pages are.
    pub fn console(&self) -> String {
        format!("http://{}/", self.api)
    }

    /// The daemon's log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The daemon's process, if it runs.
    pub async fn pid(&self) -> Option<u32> {
        self.daemon.lock().await.as_ref().and_then(Child::id)
    }

    /// Kills the daemon without a word, as a power cut does, and starts it again a moment later.
    pub async fn pull_the_plug(&self) -> Result<()> {
        let child = self.daemon.lock().await.take();
        let Some(mut child) = child else { return Ok(()) };
        child.kill().await?;
        self.log.push("—— 断电 power cut (SIGKILL) ——".to_owned());
        sleep(POWER_OFF).await;
        self.power_on().await
    }

    async fn power_on(&self) -> Result<()> {
        let mut child = Command::new(&self.program)
            .args(["run", "--config"])
            .arg(self.dir.join("micropayd.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start the daemon")?;
        let mut lines = BufReader::new(child.stderr.take().context("daemon has a log")?).lines();
        let log = Arc::clone(&self.log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.push(line);
            }
        });
        let until = Instant::now() + READY_WITHIN;
        while self.shop.get(self.url("/readyz")).send().await.map(|a| a.status().is_success()).ok()
            != Some(true)
        {
            if let Some(status) = child.try_wait()? {
                bail!("the daemon ended at once ({status})\n{}", self.log.follow().0.join("\n"));
            }
            if Instant::now() > until {
                bail!("the daemon is not ready\n{}", self.log.follow().0.join("\n"));
            }
            sleep(Duration::from_millis(20)).await;
        }
        *self.daemon.lock().await = Some(child);
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api)
    }

    /// A request of the daemon's API, to be sent.
    pub fn shop(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.shop.request(method, self.url(path))
    }

    /// Opens a sale of `fen`; its JSON, or the problem that the daemon names.
    pub async fn sell(&self, fen: u64, key: &str) -> Result<(u16, Value)> {
        let request = self.shop(reqwest::Method::POST, "/v1/payments").header("idempotency-key", key);
        json_answer(
            request.header("content-type", "application/json").body(json!({ "amount": fen }).to_string()),
        )
        .await
    }

    /// The sale as the daemon shows it.
    pub async fn payment(&self, id: &str) -> Result<Value> {
        let (_, value) = json_answer(self.shop(reqwest::Method::GET, &format!("/v1/payments/{id}"))).await?;
        Ok(value)
    }

    /// A customer of this mood shows a code and the scanner reads it. `coupon` is a customer who pays with one.
    pub fn scan(&self, mood: &str) -> Result<()> {
        let code = match mood {
            "coupon" => {
                let coupon = Coupon { kind: CouponKind::Cash, fee: 100 };
                self.gateway.new_code_with(Mood::Pay, Offer { coupons: vec![coupon], ..Offer::default() }).0
            }
            mood => {
                let mood: Mood = serde_json::from_value(mood.into()).context("no such mood")?;
                self.gateway.new_code(mood)
            }
        };
        let mut scanner = self.scanner.lock().unwrap_or_else(|broken| broken.into_inner());
        scanner.write_all(format!("{code}\r").as_bytes()).context("scan")
    }

    /// Makes this the weather; each is an API, a fault, and how often it strikes (always if not said).
    pub fn set_weather(&self, weather: &[(&str, &str, Option<u32>)]) -> Result<()> {
        let rule = |(api, fault, times): &(&str, &str, Option<u32>)| {
            let mut rule = json!({ "api": api, "fault": fault, "times": times.unwrap_or(u32::MAX) });
            if *fault == "delay" {
                rule["seconds"] = 2.into();
            }
            let rule: Rule = serde_json::from_value(rule)?;
            anyhow::ensure!(rule.complaint().is_none(), "no such weather: {fault}");
            Ok(rule)
        };
        self.gateway.set_weather(weather.iter().map(rule).collect::<Result<_>>()?);
        Ok(())
    }

    /// What all customers together are out of pocket for, fen, by the gateway's books.
    pub fn charged(&self) -> u64 {
        self.gateway.purses().iter().map(|purse| purse.out_of_pocket).sum()
    }

    /// Everything stops and is removed.
    pub async fn strike(&self) {
        if let Some(mut child) = self.daemon.lock().await.take() {
            // It is our own process; if it is gone already, so much the better.
            let _ = child.kill().await;
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

async fn json_answer(request: reqwest::RequestBuilder) -> Result<(u16, Value)> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// A pseudo-terminal: the end that the "scanner" writes to, and the path that the daemon opens.
fn pseudo_terminal() -> Result<(std::fs::File, PathBuf)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .context("make a pseudo-terminal")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    Ok((std::fs::File::from(master), PathBuf::from(name.to_str()?)))
}

/// The usual port if it is free, else any.
fn free_address() -> Result<SocketAddr> {
    let usual: SocketAddr = ([127, 0, 0, 1], 7780).into();
    let listener = TcpListener::bind(usual).or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
    Ok(listener.local_addr()?)
}

/// The waits are shorter than WeChat's documents ask for: allowed for a gateway on loopback only, so that nobody waits
/// three quarters of a minute to see a customer walk away.
fn write_configuration(
    dir: &Path,
    known: &Handshake,
    scanner: &Path,
    paper: SocketAddr,
    api: SocketAddr,
) -> Result<()> {
    let key = dir.join("api-key");
    write_private(&key, &known.api_key)?;
    let configuration = format!(
        r#"[terminal]
id = "DEMO"
store_name = "朝阳门店（演示）"
subject = "朝阳门店-演示"
state_dir = "{state}"

[wechat]
app_id = "{app_id}"
mch_id = "{mch_id}"
sign_type = "HMAC-SHA256"
api_key_file = "{key}"
client_cert_file = "{cert}"
client_key_file = "{cert_key}"
base_urls = ["{base}"]
ca_file = "{ca}"
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
kind = "network"
address = "{paper}"
profile = "epson-tm-t70ii-ch"

[api]
listen = "{api}"
"#,
        state = dir.join("state").display(),
        app_id = known.app_id,
        mch_id = known.mch_id,
        key = key.display(),
        cert = known.client_cert_file,
        cert_key = known.client_key_file,
        base = known.base_url,
        ca = known.ca_file,
        scanner = scanner.display(),
    );
    write_private(&dir.join("micropayd.toml"), &configuration)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
}
