//! Virtual printers behind real sockets and pseudo-terminals.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micropayd::printer::{Kind, Settings, Waits};

use crate::machine::{Machine, Temper};

/// A network printer at this address.
pub fn network(address: &str, profile: &str) -> Settings {
    Settings {
        kind: Kind::Network,
        address: Some(address.to_owned()),
        profile: profile.to_owned(),
        waits: waits(),
        ..Settings::default()
    }
}

/// Waits that make a test short and are still long for a loaded machine.
pub fn waits() -> Waits {
    let ms = Duration::from_millis;
    Waits {
        connect: ms(500),
        answer: ms(150),
        stall: ms(400),
        confirm: ms(3_000),
        patience: ms(10_000),
        watch: ms(60),
        network_watch: ms(60),
        absent: ms(40),
        drain: ms(300),
    }
}

/// What a test server does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    Good,
    /// Closes its own direction after so many bytes, and reads on.
    HalfClosesAfter(usize),
    /// Resets the connection after so many bytes.
    ResetsAfter(usize),
}

pub type Shared = Arc<Mutex<Machine>>;

/// A printer in the network.
pub struct Server {
    pub machine: Shared,
    pub address: String,
}

impl Server {
    pub fn start(temper: Temper, manners: Manners, per_millisecond: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, temper, manners, per_millisecond)
    }

    pub fn on(listener: TcpListener, temper: Temper, manners: Manners, per_millisecond: usize) -> Self {
        let machine = Arc::new(Mutex::new(Machine::new(temper)));
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::clone(&machine);
        // One client at a time, as printers have.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &shared, manners, per_millisecond);
            }
        });
        Self { machine, address }
    }

    pub fn settings(&self, profile: &str) -> Settings {
        network(&self.address, profile)
    }
}

fn serve(mut stream: TcpStream, machine: &Shared, manners: Manners, per_millisecond: usize) {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut received = 0;
    let mut closed = false;
    let mut bytes = [0; 512];
    loop {
        let room = machine.lock().unwrap().room().min(bytes.len());
        match if room == 0 { Ok(usize::MAX) } else { stream.read(&mut bytes[..room]) } {
            Ok(0) => {
                // The client is done; the printer prints on.
                let mut machine = machine.lock().unwrap();
                machine.work(usize::MAX);
                return;
            }
            Ok(usize::MAX) => std::thread::yield_now(),
            Ok(got) => {
                for byte in &bytes[..got] {
                    machine.lock().unwrap().receive(*byte);
                    received += 1;
                    match manners {
                        Manners::ResetsAfter(count) if received >= count => {
                            // Unread bytes and no linger: the kernel sends a reset.
                            return rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))
                                .unwrap();
                        }
                        Manners::HalfClosesAfter(count) if received >= count && !closed => {
                            stream.shutdown(std::net::Shutdown::Write).unwrap();
                            closed = true;
                        }
                        _ => {}
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        let said = {
            let mut machine = machine.lock().unwrap();
            machine.work(per_millisecond);
            machine.say(256)
        };
        if !said.is_empty() && !closed && stream.write_all(&said).is_err() {
            return;
        }
    }
}

/// A machine behind a pseudo-terminal; returns the path of the terminal.
pub fn terminal(machine: &Shared) -> (String, OwnedFd, Arc<Mutex<bool>>) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    // Held open, so that the machine's reads do not fail before the room opens it.
    let other = rustix::fs::open(&*path, rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).unwrap();
    let mut modes = rustix::termios::tcgetattr(&other).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(&other, rustix::termios::OptionalActions::Now, &modes).unwrap();
    let plugged = Arc::new(Mutex::new(true));
    let (machine, in_use) = (Arc::clone(machine), Arc::clone(&plugged));
    std::thread::spawn(move || {
        rustix::io::ioctl_fionbio(&controller, true).unwrap();
        let mut bytes = [0; 256];
        while *in_use.lock().unwrap() {
            if let Ok(got) = rustix::io::read(&controller, &mut bytes) {
                let mut machine = machine.lock().unwrap();
                bytes[..got].iter().for_each(|byte| machine.receive(*byte));
            } else {
                std::thread::yield_now();
            }
            let said = {
                let mut machine = machine.lock().unwrap();
                machine.work(1000);
                machine.say(64)
            };
            if !said.is_empty() {
                rustix::io::write(&controller, &said).unwrap();
            }
        }
    });
    (path, other, plugged)
}
