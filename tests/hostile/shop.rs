//! The built daemon in a directory of its own, with short deadlines; how it is spoken to and how it is looked at from outside.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::gateway::{APP, Gateway, KEY, MCH};

/// Far longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A whole call to the gateway: two seconds, or `HOSTILE_DEADLINE` milliseconds in a long run, where waiting is most of it.
pub fn deadline() -> Duration {
    static DEADLINE: OnceLock<Duration> = OnceLock::new();
    *DEADLINE.get_or_init(|| {
        let given = std::env::var("HOSTILE_DEADLINE");
        Duration::from_millis(given.map_or(2_000, |ms| ms.parse().expect("HOSTILE_DEADLINE is milliseconds")))
    })
}

/// From an answer that says nothing to the query, in the shops' settings.
pub fn query_after() -> Duration {
    deadline() / 20
}

/// Each shop has a loopback address of its own, and each run of these tests most likely a network, above the other tests'.
static SHOPS: AtomicU32 = AtomicU32::new(2);

/// A daemon that ends with the test.
pub struct Shop {
    dir: tempfile::TempDir,
    daemon: Child,
    pub address: SocketAddr,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Shop {
    /// Starts a daemon at this gateway and waits until it is ready.
    pub async fn open(gateway: &Gateway) -> Self {
        Self::open_with(gateway, "", None).await
    }

    /// The same with more configuration, and as another user, who then owns the shop.
    pub async fn open_with(gateway: &Gateway, more: &str, user: Option<u32>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let n = SHOPS.fetch_add(1, Ordering::Relaxed);
        let ([_, _, high, low], run) = (n.to_be_bytes(), 96 + (std::process::id() % 128) as u8);
        let address = SocketAddr::from(([127, run, high, low], 7780));
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("run")).unwrap();
        for (name, text) in [
            ("key", KEY),
            ("ca.pem", gateway.authority.as_str()),
            ("client.pem", gateway.client.0.as_str()),
            ("client-key.pem", gateway.client.1.as_str()),
        ] {
            std::fs::write(path(name), text).unwrap();
            std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o400)).unwrap();
        }
        let ms = |time: Duration| format!("{}ms", time.as_millis());
        let (connect, request) = (ms(deadline() * 19 / 20), ms(deadline()));
        let (code_life, soon) = (ms(deadline() * 3 / 4), ms(query_after()));
        let config = format!(
            "[terminal]\nid = \"T01\"\nstore_name = \"朝阳门店\"\n\
             [wechat]\napp_id = {APP:?}\nmch_id = {MCH:?}\napi_key_file = {:?}\nbase_urls = [{:?}]\nca_file = {:?}\n\
             client_cert_file = {:?}\nclient_key_file = {:?}\nconnect_timeout = {connect:?}\nrequest_timeout = {request:?}\n\
             [policy]\nquery_after = {soon:?}\nquery_every = {soon:?}\nreverse_after = {soon:?}\nreverse_every = {soon:?}\n\
             code_life = {code_life:?}\n[printer]\nkind = \"file\"\npath = {:?}\n[api]\nlisten = \"{address}\"\n{more}",
            path("key"),
            gateway.url,
            path("ca.pem"),
            path("client.pem"),
            path("client-key.pem"),
            path("paper"),
        );
        std::fs::write(path("c.toml"), config).unwrap();
        let manager = UnixDatagram::bind(path("notify")).unwrap();
        manager.set_nonblocking(true).unwrap();
        let manager = tokio::net::UnixDatagram::from_std(manager).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropayd"));
        command
            .args(["run", "--config"])
            .arg(path("c.toml"))
            .env_clear()
            .env("STATE_DIRECTORY", path("state"))
            .env("RUNTIME_DIRECTORY", path("run"))
            .env("NOTIFY_SOCKET", path("notify"))
            // A long run writes a hundred thousand sales; what trace tells of secrets the ordinary one looks at.
            .env("MICROPAYD_LOG", if std::env::var_os("HOSTILE_ROUNDS").is_some() { "info" } else { "trace" })
            .stdin(Stdio::null())
            .stderr(log);
        if let Some(user) = user {
            for entry in std::fs::read_dir(dir.path()).unwrap() {
                chown(entry.unwrap().path(), Some(user), Some(user)).unwrap();
            }
            chown(dir.path(), Some(user), Some(user)).unwrap();
            command.uid(user).gid(user);
        }
        let daemon = command.spawn().unwrap();
        let shop = Self { dir, daemon, address };
        let mut told = [0; 4096];
        let ready = async {
            while !told.starts_with(b"READY=1") {
                let length = manager.recv(&mut told).await.unwrap();
                told[length..].fill(0);
            }
        };
        if tokio::time::timeout(PATIENCE, ready).await.is_err() {
            panic!("not ready: {}", shop.log());
        }
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Ends the daemon with this signal; what it ended with.
    pub fn end(&mut self, signal: rustix::process::Signal) -> std::process::ExitStatus {
        let id = rustix::process::Pid::from_child(&self.daemon);
        rustix::process::kill_process(id, signal).unwrap();
        self.daemon.wait().unwrap()
    }

    /// A line of `/proc/PID/status`, in kB.
    fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        found.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap()
    }

    /// The most memory that it ever had, in kB.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM")
    }

    /// Over the Unix socket.
    pub async fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let stream = UnixStream::connect(self.path("run/api.sock")).await.unwrap();
        let headers =
            format!("Host: localhost\r\nIdempotency-Key: {target}{body:?}\r\n").replace(['"', '\n'], "");
        let headers = headers.replace('\r', "\r\n");
        exchange(stream, method, target, &headers, body).await
    }

    /// Over TCP, with these headers.
    pub async fn ask_tcp(&self, method: &str, target: &str, headers: &str, body: Option<&Value>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        exchange(stream, method, target, headers, body).await
    }

    /// Opens a sale with a code; its id.
    pub async fn sell(&self, key: &str, code: &str) -> String {
        let body = json!({"amount": 1250, "reference": key, "auth_code": code});
        let opened = self.ask("POST", "/v1/payments", Some(&body)).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        opened.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until a sale is final or the time is up; the sale.
    pub async fn follow(&self, id: &str, within: Duration) -> Value {
        let began = tokio::time::Instant::now();
        loop {
            let sale = self.ask("GET", &format!("/v1/payments/{id}?wait=1"), None).await.json();
            let phase = sale["phase"].as_str().unwrap();
            if matches!(phase, "paid" | "declined" | "reversed" | "cancelled") || began.elapsed() > within {
                return sale;
            }
        }
    }
}

/// One request on a connection of its own, and the whole answer.
pub async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    target: &str,
    headers: &str,
    body: Option<&Value>,
) -> Answer {
    let body = body.map(Value::to_string).unwrap_or_default();
    let media = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let request = format!(
        "{method} {target} HTTP/1.1\r\n{headers}{media}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("an answer in time")
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, text) =
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {target}: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let text = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        dechunked(text)
    } else {
        text.to_owned()
    };
    Answer { status, text }
}

fn dechunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    whole
}
