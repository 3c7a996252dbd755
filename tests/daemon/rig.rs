//! A shop in a directory: the built daemon, the simulated gateway, a service manager's socket; all end with the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_micropayd");

/// Far longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The shop.
pub struct Rig {
    dir: tempfile::TempDir,
    gateway: Value,
    manager: UnixDatagram,
    _simulator: Process,
    daemon: Option<Process>,
}

impl Rig {
    /// A shop whose daemon does not run yet.
    pub fn new() -> Self {
        let mut child = Command::new(PROGRAM).arg("simulator").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        manager.set_read_timeout(Some(PATIENCE)).unwrap();
        let gateway: Value = serde_json::from_str(&line).unwrap();
        let rig = Self { dir, gateway, manager, _simulator: Process(child), daemon: None };
        std::fs::create_dir(rig.path("run")).unwrap();
        let key = rig.path("key");
        std::fs::write(&key, rig.of_gateway("api_key")).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
        let config = format!(
            "[terminal]\nid = \"T01\"\nstore_name = \"朝阳门店\"\n\
             [wechat]\napp_id = {:?}\nmch_id = {:?}\napi_key_file = {key:?}\nbase_urls = [{:?}]\n\
             [policy]\nquery_after = \"100ms\"\nquery_every = \"100ms\"\nreverse_after = \"300ms\"\n\
             [printer]\nkind = \"file\"\npath = {:?}\n[api]\nlisten = \"127.0.0.1:0\"\n",
            rig.of_gateway("app_id"),
            rig.of_gateway("mch_id"),
            rig.of_gateway("base_url"),
            rig.path("paper"),
        );
        std::fs::write(rig.path("c.toml"), config).unwrap();
        rig
    }

    /// A file of the shop.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory of the shop.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A value of the simulator's handshake.
    pub fn of_gateway(&self, key: &str) -> String {
        self.gateway[key].as_str().unwrap().to_owned()
    }

    /// Replaces a part of the configuration; `from` must occur once.
    pub fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("c.toml")).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        std::fs::write(self.path("c.toml"), text.replace(from, to)).unwrap();
        std::fs::set_permissions(self.path("c.toml"), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Makes `cert.pem` and `key.pem` for this machine, ending in this year.
    pub fn certificate(&self, ends: i32) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(ends, 1, 1);
        std::fs::write(self.path("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(self.path("key.pem"), std::fs::Permissions::from_mode(0o400)).unwrap();
    }

    /// Starts the daemon as its service manager would, and waits until it is ready.
    pub fn start(&mut self) {
        self.daemon = Some(Process(self.command().spawn().unwrap()));
        self.told("READY=1");
    }

    /// The daemon as a service manager would start it, with everything in its log.
    pub fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(["run", "--config"])
            .arg(self.path("c.toml"))
            .env_clear()
            .env("STATE_DIRECTORY", self.path("state"))
            .env("RUNTIME_DIRECTORY", self.path("run"))
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("WATCHDOG_USEC", "400000")
            .env("MICROPAYD_LOG", "trace")
            .stdin(Stdio::null())
            .stderr(log);
        command
    }

    /// The service manager's next message that has this line in it.
    pub fn told(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.manager.recv(&mut buffer).unwrap_or_else(|_| panic!("{line}: {}", self.log()));
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.lines().any(|each| each.starts_with(line)) {
                return text;
            }
        }
    }

    /// Reads the service manager's messages until one has a line that begins so and is as `wanted` wants it.
    pub fn told_until(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        while !self.told(line).lines().any(|each| each.starts_with(line) && wanted(each)) {}
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = self.daemon.as_ref().unwrap().0.id();
        let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the daemon's end; its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        self.daemon.take().unwrap().0.wait().unwrap().code()
    }

    /// A command that speaks to the daemon over its socket.
    pub fn shell(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("RUNTIME_DIRECTORY", self.path("run")).stdin(Stdio::null());
        command
    }

    /// Runs such a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.shell(arguments).output().unwrap()
    }

    /// Runs such a command with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// A fresh payment code of a customer in this mood.
    pub fn code(&self, mood: &str, after: f64) -> String {
        let answer = self.control("POST", "codes", &format!("{{\"mood\":\"{mood}\",\"after\":{after}}}"));
        let start = answer.find('{').unwrap();
        let end = answer.rfind('}').unwrap();
        let answer: Value = serde_json::from_str(&answer[start..=end]).unwrap();
        answer["code"].as_str().unwrap().to_owned()
    }

    /// Adds these rules to the gateway's weather.
    pub fn weather(&self, rules: &str) {
        self.control("POST", "weather", rules);
    }

    /// Makes the gateway's weather fair.
    pub fn fair(&self) {
        self.control("DELETE", "weather", "");
    }

    /// Asks the simulator for something; the answer's body.
    pub fn control(&self, method: &str, path: &str, body: &str) -> String {
        let host = self.of_gateway("base_url").replace("http://", "");
        let mut line = TcpStream::connect(&host).unwrap();
        write!(
            line,
            "{method} /_simulator/{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 2"), "{path}: {answer}");
        body.to_owned()
    }

    /// Everything that the daemon logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Standard output as text.
pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
