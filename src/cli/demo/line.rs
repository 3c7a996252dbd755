//! The line between the daemon and its gateway: it can be pulled out, and put in again. It carries bytes and never looks
//! at them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// In: every byte goes through. Out: connections break and none is taken.
pub struct Line {
    address: SocketAddr,
    wanted: watch::Sender<bool>,
    is_in: watch::Receiver<bool>,
}

impl Line {
    /// Lays a line to `gateway` on the current runtime; it is in.
    pub async fn to(gateway: SocketAddr) -> io::Result<Self> {
        let near = TcpListener::bind("127.0.0.1:0").await?;
        let address = near.local_addr()?;
        let (wanted, is_wanted) = watch::channel(true);
        let (state, is_in) = watch::channel(true);
        tokio::spawn(carry(near, address, gateway, is_wanted, state));
        Ok(Self { address, wanted, is_in })
    }

    /// Its near end.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes it out, and waits until every connection is broken.
    pub async fn pull(&self) {
        self.until(false).await;
    }

    /// Puts it in, and waits until it carries.
    pub async fn put_in(&self) {
        self.until(true).await;
    }

    async fn until(&self, wanted: bool) {
        self.wanted.send_replace(wanted);
        // An error is a line that has ended with its runtime.
        let _ = self.is_in.clone().wait_for(|is_in| *is_in == wanted).await;
    }
}

/// Its place may be taken for a moment: by a process that is being started and still has what was open here, or by
/// somebody's connection.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// Ends when the line is dropped.
async fn carry(
    mut near: TcpListener,
    address: SocketAddr,
    gateway: SocketAddr,
    mut wanted: watch::Receiver<bool>,
    state: watch::Sender<bool>,
) {
    loop {
        let mut connections = JoinSet::new();
        while *wanted.borrow_and_update() {
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                Ok((mut here, _)) = near.accept() => {
                    connections.spawn(async move {
                        let mut there = TcpStream::connect(gateway).await?;
                        copy_bidirectional(&mut here, &mut there).await
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(near);
        connections.shutdown().await;
        state.send_replace(false);
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        near = loop {
            match TcpListener::bind(address).await {
                Ok(near) => break near,
                Err(_) if wanted.has_changed().is_ok() => sleep(TRY_AGAIN).await,
                Err(_) => return,
            }
        };
        state.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_comes_back_when_its_place_is_free() {
        let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = Line::to(gateway.local_addr().unwrap()).await.unwrap();
        line.pull().await;
        let other = TcpListener::bind(line.addr()).await.expect("it is out");
        let mut back = tokio::spawn(async move {
            line.put_in().await;
            line
        });
        let too_early = tokio::time::timeout(3 * TRY_AGAIN, &mut back).await;
        assert!(too_early.is_err(), "it has no place");
        drop(other);
        let line = back.await.unwrap();
        TcpStream::connect(line.addr()).await.unwrap();
        gateway.accept().await.unwrap();
    }
}
