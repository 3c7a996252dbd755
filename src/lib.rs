//! A point-of-sale payment terminal: a scanned code becomes a payment, a durable record and a receipt.
//!
//! Read in this order; each room may use only the rooms below it (a test holds that).
//!
//! | room | for |
//! |---|---|
//! | [`cli`] | one file a subcommand |
//! | [`terminal`] | the loop, the only place where rooms meet: input, step, append, effects |
//! | [`config`] | the file, its settings, and what is wrong with which line |
//! | [`gateway`] | asks WeChat Pay: a codec that does no I/O and a transport that knows whether a byte can have left |
//! | [`journal`] | every step, durable before it has an effect |
//! | [`scanner`] | device bytes become payment codes, or are refused with a reason |
//! | [`printer`] | receipts become paper, or an honest *unconfirmed* |
//! | [`display`] | the customer sees what is to be paid, and whether it was |
//! | [`sounds`] | the cashier hears it |
//! | [`api`] | the POS, the cashier's page and the manager's log |
//! | [`service`] | the process: systemd, credentials, the watchdog |
//! | [`simulator`] | WeChat's side with weather, for tests, integrators and the demo |
//! | [`listen`] | bounded listeners with and without TLS |
//! | [`input`] | everything that can reach the loop |
//! | [`sale`] | a sale as it is kept and shown |
//! | [`reconcile`] | the day by the journal against the day by the gateway's bill: pure |
//! | [`receipt`] | what is on the paper, and its layout in columns |
//! | [`refund`] | the second, smaller machine: what was paid goes back, once |
//! | [`payment`] | the machine: pure, total, the only place that decides about money |
//! | `ioctl` | the kernel calls without a safe form |
//! | [`money`], [`time`], [`ids`] | the words |
// Not `forbid`, for two files: `ioctl`, and the allocator in `service`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod api;
pub mod cli;
pub mod config;
pub mod display;
pub mod gateway;
pub mod ids;
pub mod input;
mod ioctl;
pub mod journal;
pub mod listen;
pub mod money;
pub mod payment;
pub mod printer;
pub mod receipt;
pub mod reconcile;
pub mod refund;
pub mod sale;
pub mod scanner;
pub mod service;
pub mod simulator;
pub mod sounds;
pub mod terminal;
pub mod time;
