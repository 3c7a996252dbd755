//! P4: the first sale after a pause, with a line that adds 30 ms each way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::lane::{Lane, Setup};
use crate::table::{Row, compared};

/// One way over the line.
const WAY: Duration = Duration::from_millis(30);
/// Longer than a connection is kept, so that the sale finds none.
const PAUSE: Duration = Duration::from_secs(40);
/// From the amount to the scan: a customer who holds the phone ready already. Two round trips of the handshake fit.
const AIMS: Duration = Duration::from_millis(400);
/// Lanes that idle at the same time.
const LANES: usize = 6;
/// Warm sales for each cold one.
const WARM: u32 = 5;

/// `rounds` pauses on each of some lanes.
pub fn first_sale(dir: &Path, rounds: u32) -> Result<Vec<Row>> {
    let lanes: Vec<_> = (0..LANES)
        .map(|n| {
            let dir = dir.join(format!("idle-{n}"));
            thread::spawn(move || lane(&dir, rounds, Duration::from_millis(150) * n as u32))
        })
        .collect();
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for lane in lanes {
        let (one, other) = lane.join().map_err(|_| anyhow!("a lane panicked"))??;
        cold.extend(one);
        warm.extend(other);
    }
    let what = format!(
        "T1 of the first sale after {} s, against a warm one, 30 ms of line each way; n = {} / {}",
        PAUSE.as_secs(),
        cold.len(),
        warm.len()
    );
    Ok(vec![compared("P4", what, &cold, &warm, 500, 1.1)])
}

fn lane(dir: &Path, rounds: u32, shift: Duration) -> Result<(Vec<Duration>, Vec<Duration>)> {
    thread::sleep(shift);
    let far = Arc::new(OnceLock::new());
    let by_way_of = Some(long_line(Arc::clone(&far))?);
    let mut lane = Lane::start(dir, &Setup { by_way_of, ..Setup::default() })?;
    far.get_or_init(|| lane.gateway.addr);
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        thread::sleep(PAUSE);
        cold.push(lane.sell_after(AIMS)?.t1);
        for _ in 0..WARM {
            warm.push(lane.sell_after(AIMS)?.t1);
        }
    }
    Ok((cold, warm))
}

/// A proxy that hands on every byte a while later. A connection's first bytes take a round trip longer, for the
/// handshake of TCP itself, which ends at the proxy.
fn long_line(far: Arc<OnceLock<SocketAddr>>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Some(far) = far.get().and_then(|far| TcpStream::connect(far).ok()) else { continue };
            let ends = near.try_clone().and_then(|n| Ok((n, far.try_clone()?)));
            let Ok((near_too, far_too)) = ends else { continue };
            hand_on(near, far_too, WAY * 2);
            hand_on(far, near_too, Duration::ZERO);
        }
    });
    Ok(addr)
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, first: Duration) {
    let (queue, due) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut chunk = [0; 16 * 1024];
        let mut more = first;
        while let Ok(read) = from.read(&mut chunk) {
            let message = (Instant::now() + WAY + more, chunk[..read].to_vec());
            more = Duration::ZERO;
            if read == 0 || queue.send(message).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        let _ = to.set_nodelay(true);
        while let Ok((at, bytes)) = due.recv() {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}
