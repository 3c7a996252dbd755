//! The demo's printer: a network printer without paper that answers like an honest one, and shows what it printed as text.
//!
//! It understands just what a receipt is made of. Its paper can run out.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The last line of a receipt that did not come out whole.
pub const TORN: &str = "\n[torn]";

/// Stand in a sheet before and after what is printed in double size (ESC/POS knows them as SO and DC4).
const LARGE: [char; 2] = ['\u{e}', '\u{14}'];

/// A printer on a loopback port.
#[derive(Clone)]
pub struct Paper {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    grown: watch::Sender<usize>,
}

#[derive(Default)]
struct Shared {
    receipts: Vec<String>,
    empty: bool,
    slow: bool,
}

/// How much a slow printer takes at a time, and how long it prints it.
const SLOW: (usize, Duration) = (64, Duration::from_millis(8));

impl Paper {
    /// Starts it on the current runtime.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (grown, _) = watch::channel(0);
        let paper = Self { addr: listener.local_addr()?, shared: Arc::default(), grown };
        let printer = paper.clone();
        tokio::spawn(async move {
            // One client at a time, as the real ones do it.
            while let Ok((client, _)) = listener.accept().await {
                printer.serve(client).await;
            }
        });
        Ok(paper)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes the paper out, or puts it in.
    pub fn set_empty(&self, empty: bool) {
        self.with(|shared| shared.empty = empty);
    }

    /// Makes it print as slowly as the cheap ones, or at once.
    pub fn set_slow(&self, slow: bool) {
        self.with(|shared| shared.slow = slow);
    }

    /// Whether the paper is out.
    pub fn is_empty(&self) -> bool {
        self.with(|shared| shared.empty)
    }

    /// Every receipt so far, as text.
    pub fn receipts(&self) -> Vec<String> {
        self.sheets().iter().map(|sheet| sheet.replace(LARGE, "")).collect()
    }

    /// Every receipt so far, as text in which what is large stands between two marks.
    pub fn sheets(&self) -> Vec<String> {
        self.with(|shared| shared.receipts.clone())
    }

    /// Changes with every receipt.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.grown.subscribe()
    }

    fn with<T>(&self, f: impl FnOnce(&mut Shared) -> T) -> T {
        f(&mut self.shared.lock().unwrap_or_else(|broken| broken.into_inner()))
    }

    async fn serve(&self, mut client: TcpStream) {
        let mut bytes = Vec::new();
        let mut read_to = 0;
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            // A reset ends the job as a close does.
            let most = if self.with(|shared| shared.slow) {
                tokio::time::sleep(SLOW.1).await;
                SLOW.0
            } else {
                chunk.len()
            };
            let read = client.read(&mut chunk[..most]).await.unwrap_or(0);
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(&chunk[..read]);
            while let Some(piece) = Piece::next(&bytes[read_to..]) {
                read_to += piece.length;
                match piece.what {
                    What::Text => text.extend_from_slice(&bytes[read_to - piece.length..read_to]),
                    What::Picture(name) => text.extend_from_slice(format!("[{name}]\n").as_bytes()),
                    What::Large(large) => text.push(LARGE[usize::from(!large)] as u8),
                    What::Nothing => {}
                    What::Cut => self.cut(&mut text),
                    What::Ask(reply) => drop(client.write_all(&self.answer(reply)).await),
                }
            }
        }
        // The client is gone in the middle of a receipt: what came out is torn off.
        if text.iter().any(u8::is_ascii_graphic) || !text.is_ascii() {
            text.extend_from_slice(TORN.as_bytes());
            self.cut(&mut text);
        }
    }

    fn answer(&self, reply: Reply) -> Vec<u8> {
        let empty = self.is_empty();
        match reply {
            Reply::Status(1) => vec![if empty { 0x1A } else { 0x12 }],
            Reply::Status(2) => vec![if empty { 0x32 } else { 0x12 }],
            Reply::Status(4) => vec![if empty { 0x72 } else { 0x12 }],
            Reply::Status(_) => vec![0x12],
            Reply::Process(id) => [&[0x37, 0x22], &id[..], &[0]].concat(),
            Reply::Queued => vec![0],
        }
    }

    fn cut(&self, text: &mut Vec<u8>) {
        let (decoded, _, _) = encoding_rs::GB18030.decode(text);
        let receipt = decoded.trim_matches('\n').to_owned();
        text.clear();
        if !receipt.replace(LARGE, "").trim().is_empty() {
            let count = self.with(|shared| {
                shared.receipts.push(receipt);
                shared.receipts.len()
            });
            self.grown.send_replace(count);
        }
    }
}

/// The next whole thing in a print job.
struct Piece {
    length: usize,
    what: What,
}

enum What {
    Text,
    Nothing,
    Picture(&'static str),
    Large(bool),
    Cut,
    Ask(Reply),
}

enum Reply {
    Status(u8),
    Process([u8; 4]),
    Queued,
}

impl Piece {
    /// Reads one command or one byte of text; `None` when more bytes are needed.
    fn next(bytes: &[u8]) -> Option<Self> {
        let piece = |length: usize, what| (bytes.len() >= length).then_some(Piece { length, what });
        match bytes {
            [] => None,
            [0x1B, rest @ ..] => match rest.first()? {
                b'@' | b'2' => piece(2, What::Nothing),
                b'p' => piece(5, What::Nothing),
                b'$' => piece(4, What::Nothing),
                _ => piece(3, What::Nothing),
            },
            [0x1C, rest @ ..] => match rest.first()? {
                b'&' | b'.' => piece(2, What::Nothing),
                b'S' => piece(4, What::Nothing),
                _ => piece(3, What::Nothing),
            },
            [0x1D, rest @ ..] => match rest {
                [] => None,
                [b'V', mode, ..] => piece(if *mode >= b'A' { 4 } else { 3 }, What::Cut),
                [b'V'] => None,
                [b'k', _, n, ..] => piece(4 + usize::from(*n), What::Picture("barcode")),
                [b'k', ..] => None,
                [b'v', _, _, xl, xh, yl, yh, ..] => {
                    let wide = usize::from(u16::from_le_bytes([*xl, *xh]));
                    let high = usize::from(u16::from_le_bytes([*yl, *yh]));
                    piece(8 + wide * high, What::Nothing)
                }
                [b'v', ..] => None,
                [b'(', kind, low, high, data @ ..] => {
                    let length = usize::from(u16::from_le_bytes([*low, *high]));
                    let data = data.get(..length)?;
                    let what = match (kind, data) {
                        (b'H', [0x30, 0x30, id @ ..]) => {
                            id.try_into().map_or(What::Nothing, |id| What::Ask(Reply::Process(id)))
                        }
                        (b'k', [_, b'Q', ..]) => What::Picture("QR"),
                        _ => What::Nothing,
                    };
                    piece(5 + length, what)
                }
                [b'(', ..] => None,
                [b'r', ..] => piece(3, What::Ask(Reply::Queued)),
                [b'!', size, ..] => piece(3, What::Large(*size != 0)),
                [b'!'] => None,
                [b'L' | b'W' | b'P', ..] => piece(4, What::Nothing),
                _ => piece(3, What::Nothing),
            },
            [0x10, rest @ ..] => match rest {
                [] | [0x04] => None,
                [0x04, n, ..] => piece(3, What::Ask(Reply::Status(*n))),
                [0x14, ..] => piece(5, What::Nothing),
                _ => piece(3, What::Nothing),
            },
            _ => piece(1, What::Text),
        }
    }
}
