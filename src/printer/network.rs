//! A printer in the network, TCP port 9100: one client at a time, so each job has its own connection.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::link::{Link, Open, Raw, absent};

/// What connects to the printer at an address.
pub struct Network {
    address: String,
    wait: Duration,
}

impl Network {
    /// `address` is `host:port`, or a host, then port 9100; a connection may take `wait`.
    pub fn new(address: &str, wait: Duration) -> Self {
        let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        });
        let address = if has_port { address.to_owned() } else { format!("{address}:9100") };
        Self { address, wait }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.wait) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                    stream.set_nonblocking(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Open for Network {
    fn open(&mut self) -> Result<Box<dyn Link>, String> {
        let stream = self.connect().map_err(|error| absent(&self.address, &error))?;
        Ok(Box::new(Connection(Raw::new(stream))))
    }

    fn stays_open(&self) -> bool {
        false
    }
}

struct Connection(Raw<TcpStream>);

impl Link for Connection {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.0.send(bytes, wait)
    }

    fn receive(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.0.receive(into, wait)
    }

    /// Says that no more comes and reads to the end: closing with unread replies would reset the connection, and the
    /// printer could lose the tail of the job.
    fn close(mut self: Box<Self>, wait: Duration) {
        if self.0.fd().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let end = self.now() + wait;
        let mut rest = [0; 256];
        while let Some(left) = end.checked_sub(self.now()).filter(|left| !left.is_zero()) {
            if self.receive(&mut rest, left).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_9100_unless_said() {
        for (written, expected) in [
            ("192.168.1.50", "192.168.1.50:9100"),
            ("printer.lan:9101", "printer.lan:9101"),
            ("[fe80::1]:9100", "[fe80::1]:9100"),
        ] {
            assert_eq!(Network::new(written, Duration::ZERO).address, expected);
        }
    }
}
