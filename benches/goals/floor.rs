//! What the same work costs with nothing around it, measured between the sales of the same run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::{Connection, params};
use rustls::{ClientConnection, StreamOwned};

use crate::devices::Tty;
use crate::gateway::{Gateway, hop_answer};

/// Between two measurements, so that they find the machine as idle as a sale does.
const PAUSE: Duration = Duration::from_millis(5);

/// One round of the floor.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub ttys: [Duration; 2],
    pub commits: [Duration; 2],
    /// Until the request was whole at the gateway.
    pub hop: Duration,
    /// Until the answer was whole here.
    pub round_trip: Duration,
}

impl Round {
    /// What stands between the scanner and the gateway when the intent is committed after the scan.
    pub fn scan_commit_hop(&self) -> Duration {
        self.ttys[0] + self.commits[0] + self.hop
    }

    /// The same up to the printer: two commits, the whole way, two pseudo-terminals.
    pub fn whole(&self) -> Duration {
        self.commits.iter().sum::<Duration>() + self.round_trip + self.ttys.iter().sum::<Duration>()
    }
}

pub struct Floor {
    tty: Tty,
    disk: Connection,
    line: StreamOwned<ClientConnection, TcpStream>,
    arrived: Receiver<Instant>,
    answer_length: usize,
    rounds: u32,
}

impl Floor {
    pub fn start(dir: &Path, gateway: &Gateway, arrived: Receiver<Instant>) -> Result<Self> {
        let disk = Connection::open(dir.join("floor.db"))?;
        disk.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE IF NOT EXISTS step (n INTEGER PRIMARY KEY, what BLOB NOT NULL);",
        )?;
        Ok(Self {
            tty: Tty::start()?,
            disk,
            line: gateway.connect()?,
            arrived,
            answer_length: hop_answer().len(),
            rounds: 0,
        })
    }

    pub fn round(&mut self) -> Result<Round> {
        self.rounds += 1;
        if self.rounds.is_multiple_of(500) {
            self.disk.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")?;
        }
        let (mut ttys, mut commits) = ([Duration::ZERO; 2], [Duration::ZERO; 2]);
        for (tty, commit) in ttys.iter_mut().zip(&mut commits) {
            sleep(PAUSE);
            *tty = self.tty.hop()?;
            sleep(PAUSE);
            *commit = self.commit()?;
        }
        sleep(PAUSE);
        let (hop, round_trip) = self.exchange()?;
        Ok(Round { ttys, commits, hop, round_trip })
    }

    /// One row of the size of a payment.
    fn commit(&mut self) -> Result<Duration> {
        let began = Instant::now();
        let mut insert = self.disk.prepare_cached("INSERT INTO step (what) VALUES (?1)")?;
        insert.execute(params![[7u8; 200]])?;
        Ok(began.elapsed())
    }

    /// A request of a micropay's size over a connection that is kept alive.
    fn exchange(&mut self) -> Result<(Duration, Duration)> {
        let request = format!(
            "POST /hop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/xml\r\nContent-Length: 600\r\n\r\n{}",
            "x".repeat(600)
        );
        let began = Instant::now();
        self.line.write_all(request.as_bytes())?;
        let mut answer = [0; 4096];
        let mut length = 0;
        while length < self.answer_length {
            length += self.line.read(&mut answer)?;
        }
        let round_trip = began.elapsed();
        Ok((self.arrived.recv()? - began, round_trip))
    }
}
