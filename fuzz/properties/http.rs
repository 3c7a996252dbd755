//! Bytes on an API connection: the listener answers with whole HTTP or hangs up, and never with an error of its own making.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use micropayd::listen::{self, Limits, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::api::{Till, whole};

struct Line {
    till: Till,
    socket: PathBuf,
    _stop: watch::Sender<bool>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

thread_local! {
    static LINE: RefCell<Option<Line>> = const { RefCell::new(None) };
}

/// The bytes as they come; then the client says that there are no more.
pub fn holds(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // An event stream, and a wait for an end that nobody brings, are honest, and long.
    if text.contains("/v1/events") || text.contains("wait") || text.contains('%') {
        return;
    }
    LINE.with_borrow_mut(|line| {
        let line = line.get_or_insert_with(Line::open);
        let socket = line.socket.clone();
        let answers = line.till.runtime.block_on(async move {
            let mut stream = UnixStream::connect(&socket).await.expect("the listener is there");
            // It may hang up before it has read everything.
            let _ = stream.write_all(data).await;
            let _ = stream.shutdown().await;
            let mut answers = Vec::new();
            let read = stream.read_to_end(&mut answers);
            let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("the connection ends");
            answers
        });
        judge(&answers, data);
    });
}

impl Line {
    fn open() -> Self {
        let till = Till::open(false);
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        let socket =
            std::env::temp_dir().join(format!("micropayd-fuzz-{}-{number}.sock", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let (stop, stopped) = watch::channel(false);
        till.runtime.block_on(async {
            let listener = UnixListener::bind(&socket).expect("a socket can be made");
            let router = till.router.clone();
            tokio::spawn(listen::serve(listener, Transport::Plain, router, Limits::default(), stopped));
        });
        Self { till, socket, _stop: stop }
    }
}

/// Takes the answers apart: heads with a status that is known, and bodies of the length that they announce.
fn judge(mut answers: &[u8], sent: &[u8]) {
    while !answers.is_empty() {
        let end = answers.windows(4).position(|four| four == b"\r\n\r\n").expect("a head is whole");
        let head = std::str::from_utf8(&answers[..end]).expect("a head is text");
        answers = &answers[end + 4..];
        let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
        let status: u16 = status.and_then(|rest| rest.get(..3)?.parse().ok()).expect("a status");
        let field = |name: &str| {
            head.lines()
                .skip(1)
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        };
        if status == 100 {
            continue;
        }
        let media = field("content-type").unwrap_or_default();
        let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
        // The answer to a HEAD has a length and no body, and what follows it could be either.
        if sent.windows(4).any(|four| four == b"HEAD") {
            return;
        }
        let length = length.filter(|length| *length <= answers.len());
        let length = length.unwrap_or_else(|| panic!("not the body that was announced: {head}"));
        whole(status, media, &answers[..length], sent);
        answers = &answers[length..];
    }
}
