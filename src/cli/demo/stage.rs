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

use super::line::Line;
use super::paper::Paper;
use crate::simulator::mood::Mood;
use crate::simulator::order::{Coupon, CouponKind};
use crate::simulator::weather::Rule;
use crate::simulator::world::{Offer, Rules};
use crate::simulator::{self, Handshake, Simulator};

/// Log lines that a page that opens late still gets.
const LOG_KEPT: usize = 200;
/// How long the daemon may take to be ready; it needs some milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at whether it is.
const READY_EVERY: Duration = Duration::from_millis(5);
/// From the plug being pulled to power being back.
const POWER_OFF: Duration = Duration::from_millis(1500);

/// What a stage is made of.
pub struct Settings {
    /// Where everything of it is kept; removed by [`Stage::strike`].
    pub dir: PathBuf,
    /// The daemon.
    pub program: PathBuf,
    /// Where the daemon's API listens: a loopback address.
    pub api: SocketAddr,
    /// `connect_timeout`, `request_timeout` and the `[policy]` section, as the configuration has them.
    pub waits: Waits,
    /// The simulated gateway's seed.
    pub seed: u64,
    /// The simulated gateway's own numbers.
    pub rules: Rules,
}

/// How long the daemon waits, in the configuration's words.
#[derive(Clone, Copy)]
pub struct Waits {
    /// `connect_timeout`
    pub connect: &'static str,
    /// `request_timeout`
    pub request: &'static str,
    /// The lines of `[policy]`.
    pub policy: &'static str,
}

impl Waits {
    /// Shorter than WeChat's documents ask for: allowed for a gateway on loopback only, so that nobody waits three
    /// quarters of a minute to see a customer walk away.
    pub const DEMO: Self = Self {
        connect: "1s",
        request: "3s",
        policy: "query_after = \"1s\"\nquery_every = \"1s\"\ngive_up_after = \"12s\"\nreverse_after = \"3s\"\n\
                 reverse_every = \"1s\"\ncode_life = \"20s\"\n",
    };
}

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
    /// The line from the daemon to the gateway.
    pub line: Line,
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
    /// The demo's: sets everything up in `dir` and starts `program` as the daemon.
    pub async fn start(dir: PathBuf, program: PathBuf) -> Result<Self> {
        let (api, waits) = (free_address()?, Waits::DEMO);
        let stage =
            Self::set(Settings { dir, program, api, waits, seed: 1, rules: Rules::default() }).await?;
        stage.power_on().await?;
        Ok(stage)
    }

    /// Sets everything up; the daemon is not started yet.
    pub async fn set(settings: Settings) -> Result<Self> {
        let Settings { dir, program, api, waits, seed, rules } = settings;
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let gateway = simulator::Settings { tls: true, seed, rules, ..simulator::Settings::default() };
        let gateway = Simulator::start(gateway).await?;
        let line = Line::to(gateway.addr()).await?;
        let paper = Paper::start().await?;
        let (scanner, scanner_path) = pseudo_terminal()?;
        let link = dir.join("scanner");
        std::os::unix::fs::symlink(&scanner_path, &link)?;
        let known = Handshake { base_url: format!("https://{}", line.addr()), ..gateway.handshake() };
        write_configuration(&dir, &known, &link, paper.addr(), api, waits)?;
        let (follow, _) = broadcast::channel(LOG_KEPT);
        Ok(Self {
            dir,
            program,
            api,
            shop: reqwest::Client::builder().no_proxy().build()?,
            scanner: Mutex::new(scanner),
            daemon: tokio::sync::Mutex::new(None),
            log: Arc::new(Log { lines: Mutex::default(), follow }),
            paper,
            line,
            gateway,
        })
    }

    /// The daemon's configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.dir.join("micropayd.toml")
    }

    /// Where the daemon keeps its journal.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
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
        if !self.kill().await? {
            return Ok(());
        }
        sleep(POWER_OFF).await;
        self.power_on().await
    }

    /// Kills the daemon without a word; false if none runs.
    pub async fn kill(&self) -> Result<bool> {
        let Some(mut child) = self.daemon.lock().await.take() else { return Ok(false) };
        child.kill().await?;
        self.log.push("—— 断电 power cut (SIGKILL) ——".to_owned());
        Ok(true)
    }

    /// Waits for the daemon's own end, and says how it ended; `None` if none runs.
    pub async fn ended(&self) -> Result<Option<std::process::ExitStatus>> {
        let Some(mut child) = self.daemon.lock().await.take() else { return Ok(None) };
        Ok(Some(child.wait().await?))
    }

    async fn power_on(&self) -> Result<()> {
        self.launch().await?;
        self.ready().await
    }

    /// Starts the daemon's process and does not wait for it.
    pub async fn launch(&self) -> Result<()> {
        let mut child = Command::new(&self.program)
            .args(["run", "--config"])
            .arg(self.configuration())
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
        *self.daemon.lock().await = Some(child);
        Ok(())
    }

    /// Waits until the daemon takes requests; an error if it ends instead.
    pub async fn ready(&self) -> Result<()> {
        let until = Instant::now() + READY_WITHIN;
        while self.shop.get(self.url("/readyz")).send().await.map(|a| a.status().is_success()).ok()
            != Some(true)
        {
            if let Some(child) = self.daemon.lock().await.as_mut()
                && let Some(status) = child.try_wait()?
            {
                bail!("the daemon ended at once ({status})\n{}", self.log.follow().0.join("\n"));
            }
            if Instant::now() > until {
                bail!("the daemon is not ready\n{}", self.log.follow().0.join("\n"));
            }
            sleep(READY_EVERY).await;
        }
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

    /// Gives `fen` of a sale back; its JSON, or the problem that the daemon names.
    pub async fn refund(&self, id: &str, fen: u64, key: &str) -> Result<(u16, Value)> {
        let path = format!("/v1/payments/{id}/refunds");
        let request = self.shop(reqwest::Method::POST, &path).header("idempotency-key", key);
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
        self.read_code(&code)
    }

    /// The scanner reads this code.
    pub fn read_code(&self, code: &str) -> Result<()> {
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

fn write_configuration(
    dir: &Path,
    known: &Handshake,
    scanner: &Path,
    paper: SocketAddr,
    api: SocketAddr,
    waits: Waits,
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
connect_timeout = "{connect}"
request_timeout = "{request}"

[policy]
{policy}
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
        connect = waits.connect,
        request = waits.request,
        policy = waits.policy,
    );
    write_private(&dir.join("micropayd.toml"), &configuration)
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))
}
