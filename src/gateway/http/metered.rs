//! A stream that takes only so many bytes for each request. An answer's head and body have limits of their own; what can
//! stand before and between them (`100 Continue`, chunks of a byte) has none, and would keep the processor busy until the
//! deadline, which the next customer would feel.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gateway::LARGEST_ANSWER;

/// The most bytes for one request of a payment: room for the largest answer in small chunks.
pub const FOR_AN_ANSWER: usize = 4 * LARGEST_ANSWER;

/// The error of a stream that was sent more than that.
pub const TOO_MUCH: io::ErrorKind = io::ErrorKind::FileTooLarge;

/// Counts what is read, anew after each write.
pub struct Metered<S> {
    stream: S,
    read: usize,
    most: usize,
}

impl<S> Metered<S> {
    /// A stream that takes `most` bytes for each request.
    pub fn new(stream: S, most: usize) -> Self {
        Self { stream, read: 0, most }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, into);
        self.read += into.filled().len() - before;
        if self.read > self.most { Poll::Ready(Err(TOO_MUCH.into())) } else { outcome }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.read = 0;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    // Not to be left out: without these two the request would be copied together first.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.read = 0;
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
