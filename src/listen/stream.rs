//! A connection's bytes, whatever carries them, on their way past its seat. Never changes, keeps or looks into one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::seats::Seat;

pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}
/// TCP or Unix, plain or TLS.
pub(super) type Stream = Box<dyn Duplex>;

/// A stream that tells its seat when bytes come in, and when none can go out.
pub(super) struct Watched {
    stream: Stream,
    seat: Seat,
    stalls: bool,
}

impl Watched {
    pub(super) fn new(stream: Stream, seat: Seat) -> Self {
        Self { stream, seat, stalls: false }
    }

    /// Tells the seat when going out begins to stall, and when it ends.
    fn sent<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() != self.stalls {
            self.stalls = polled.is_pending();
            self.seat.stalls(self.stalls);
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.seat.received();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.sent(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
