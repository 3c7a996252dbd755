//! The line between the daemon and its gateway: it can be pulled out, and put in again. It carries bytes and never looks
//! at them.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// In: every byte goes through. Out: connections break and none is taken.
pub struct Line {
    address: SocketAddr,
    wanted: watch::Sender<bool>,
    listens: watch::Receiver<bool>,
}

impl Line {
    /// Lays a line to `gateway` on the current runtime; it is in.
    pub async fn to(gateway: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (wanted, is_wanted) = watch::channel(true);
        let (listening, listens) = watch::channel(true);
        tokio::spawn(carry(address, gateway, Some(listener), is_wanted, listening));
        Ok(Self { address, wanted, listens })
    }

    /// Its near end.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes it out.
    pub fn pull(&self) {
        self.wanted.send_replace(false);
    }

    /// Puts it in and waits until it carries.
    pub async fn put_in(&self) {
        self.wanted.send_replace(true);
        // An error is a line that has ended with its runtime.
        let _ = self.listens.clone().wait_for(|listens| *listens).await;
    }
}

async fn carry(
    address: SocketAddr,
    gateway: SocketAddr,
    mut listener: Option<TcpListener>,
    mut wanted: watch::Receiver<bool>,
    listening: watch::Sender<bool>,
) {
    loop {
        if !*wanted.borrow_and_update() {
            listener = None;
            listening.send_replace(false);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(near) = &listener else {
            let Ok(bound) = TcpListener::bind(address).await else { return };
            listener = Some(bound);
            listening.send_replace(true);
            continue;
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            Ok((mut here, _)) = near.accept() => {
                let mut wanted = wanted.clone();
                tokio::spawn(async move {
                    let Ok(mut there) = TcpStream::connect(gateway).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                        _ = wanted.wait_for(|wanted| !*wanted) => {}
                    }
                });
            }
        }
    }
}
