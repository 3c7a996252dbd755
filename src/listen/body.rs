//! The bodies of a request and its answer: one fails when it is late, the other keeps its seat busy. Never changes a byte.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::seats::{Phase, Seat};

/// A request body that fails when it has not arrived by its deadline.
pub(super) struct Prompt {
    incoming: Incoming,
    deadline: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Prompt {
    pub(super) fn new(incoming: Incoming, deadline: Instant) -> Self {
        Self { incoming, deadline, alarm: None }
    }
}

impl hyper::body::Body for Prompt {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let deadline = self.deadline;
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx)
            && Instant::now() < deadline
        {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        alarm.as_mut().poll(cx).map(|()| Some(Err("the request's body did not arrive in time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// A response body that keeps its connection busy until it is sent or given up.
pub(super) struct Held {
    body: Body,
    seat: Seat,
}

impl Held {
    pub(super) fn new(body: Body, seat: Seat) -> Self {
        Self { body, seat }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seat.enter(Phase::Idle);
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
