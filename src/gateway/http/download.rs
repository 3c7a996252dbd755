//! A large answer, handed on piece by piece: bounded in bytes and in time, and never on a connection that a payment uses.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Http;
use super::exchange::{self, Post};
use crate::gateway::{Download, LARGEST_ANSWER};
use crate::payment::Cause;

/// The most bytes of a download: 1 GiB, some four million lines of a bill with 250 bytes each.
pub const LARGEST: usize = 1024 * 1024 * 1024;

/// What a download may take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes of the body.
    pub bytes: usize,
    /// From the beginning to the last byte.
    pub within: Duration,
}

/// Ten minutes: 150 MB at 2 Mbit/s.
const USUAL: Bounds = Bounds { bytes: LARGEST, within: Duration::from_secs(10 * 60) };

/// Why a download did not come to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum DownloadError<E> {
    /// The line or the host.
    Line(Cause),
    /// Whoever takes the pieces wants no more of them.
    Refused(E),
}

impl Http {
    /// Downloads, and gives `sink` the pieces as they come. Another host is asked only while nothing has come.
    ///
    /// # Errors
    /// What broke it off: pieces that `sink` had by then are not the whole. A piece may take as long as a call.
    pub async fn download<E>(
        &self,
        download: Download,
        sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), DownloadError<E>> {
        self.download_within(USUAL, download, sink).await
    }

    pub(super) async fn download_within<E>(
        &self,
        bounds: Bounds,
        download: Download,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), DownloadError<E>> {
        let Download { path, body, content_type } = download;
        let post = Post { path, content_type, body: Bytes::from_owner(body), client_certificate: false };
        let began = Instant::now();
        let end = began + bounds.within;
        let mut worst = None;
        for (turn, place) in (1..).zip(self.order()) {
            let mut come = 0;
            let connect_by = self.connect_by(began, turn);
            let done = self
                .fetch(place, &post, connect_by.min(end), (end, bounds.bytes), &mut come, &mut sink)
                .await;
            match &done {
                Ok(()) | Err(DownloadError::Refused(_)) => self.answered(place),
                Err(DownloadError::Line(cause)) => self.failed(place, cause.clone()),
            }
            match done {
                Err(error @ DownloadError::Line(_)) if come == 0 => drop(worst.get_or_insert(error)),
                done => return done,
            }
        }
        Err(worst.unwrap_or(DownloadError::Line(Cause::Connect)))
    }

    async fn fetch<E>(
        &self,
        place: usize,
        post: &Post,
        connect_by: Instant,
        (end, bytes): (Instant, usize),
        come: &mut usize,
        sink: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), DownloadError<E>> {
        let line = DownloadError::Line;
        let soon = || end.min(Instant::now() + self.request_timeout);
        let late = |_| DownloadError::Line(Cause::Timeout);
        let host = &self.hosts[place];
        // An eighth more than the body: heads, and the lengths of its chunks.
        let most = bytes + bytes / 8 + LARGEST_ANSWER;
        let mut sender = self.connector.open_for(host, false, connect_by, most).await.map_err(line)?;
        let request = exchange::request(host, post).ok_or(DownloadError::Line(Cause::Field("body")))?;
        let sent = timeout_at(soon(), sender.send_request(request)).await.map_err(late)?;
        let response = sent.map_err(|error| line(exchange::lost(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(line(Cause::HttpStatus(response.status().as_u16())));
        }
        let mut body = response.into_body();
        while let Some(frame) = timeout_at(soon(), body.frame()).await.map_err(late)? {
            let frame = frame.map_err(|error| line(exchange::lost(&error)))?;
            let Some(piece) = frame.data_ref() else { continue };
            *come += piece.len();
            if *come > bytes {
                return Err(line(Cause::TooLarge));
            }
            sink(piece).map_err(DownloadError::Refused)?;
        }
        Ok(())
    }
}
