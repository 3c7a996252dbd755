//! Carries out what the desk decides: requests in tasks of their own, jobs to the printer, notices to
//! listeners, to the customer's display and to the cashier's ear.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;

use crate::display::Display;
use crate::gateway::http::Http;
use crate::gateway::{Call, Gateway, Outcome};
use crate::input::{Inbox, Input, Notice, Notices, PrintOutcome, Printed};
use crate::printer::{Job, Printer};
use crate::sounds::Sounds;
use crate::terminal::audience::Audience;
use crate::terminal::desk::Act;

/// The doors that effects leave by.
pub(super) struct Shell {
    pub gateway: Arc<dyn Gateway>,
    pub http: Arc<Http>,
    pub printer: Option<Printer>,
    pub display: Option<Display>,
    pub sounds: Option<Sounds>,
    pub audience: Audience,
    pub inbox: Inbox,
    pub notices: Notices,
}

impl Shell {
    /// Starts each act; waits for none.
    pub fn carry_out(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Pay(id, n, order, code) => {
                    let call = self.gateway.pay(&order, code);
                    self.call(call, move |answer| Input::Answered(id, n, answer));
                }
                Act::Query(id, n, order, number) => {
                    let call = self.gateway.query(&order);
                    self.call(call, move |answer| Input::Queried(id, n, number, answer));
                }
                Act::Reverse(id, n, order) => {
                    let call = self.gateway.reverse(&order);
                    self.call(call, move |answer| Input::Reversed(id, n, answer));
                }
                Act::Warm => {
                    let http = Arc::clone(&self.http);
                    tokio::spawn(async move { http.warm().await });
                }
                Act::Print(job) => self.print(job),
                Act::Tell(notice) => self.tell(notice),
            }
        }
    }

    /// A request lives in its own task, whoever asked for it; its outcome comes back as an input.
    fn call<A: Outcome>(&self, call: Call<A>, report: impl FnOnce(A) -> Input + Send + 'static) {
        let (http, inbox) = (Arc::clone(&self.http), self.inbox.clone());
        tokio::spawn(async move {
            let outcome = http.call(call).await;
            // The loop is gone only when the process ends; what is open then is asked about at the next start.
            let _ = inbox.send(report(outcome)).await;
        });
    }

    fn tell(&mut self, notice: Notice) {
        let (scene, sound) = self.audience.hear(&notice);
        if let (Some(display), Some(scene)) = (&self.display, scene) {
            display.show(scene);
        }
        if let (Some(sounds), Some(sound)) = (&self.sounds, sound) {
            sounds.play(sound);
        }
        // Nobody listening is no failure.
        drop(self.notices.send(notice));
    }

    fn print(&self, job: Job) {
        let refused = match &self.printer {
            Some(printer) => printer.hand_over(job).err(),
            None => Some(job),
        };
        if let Some(Job::Receipt(job, _)) = refused {
            let outcome = PrintOutcome::NotStarted("printer is busy".to_owned());
            self.report(Input::Print(Printed { job, outcome }));
        }
    }

    /// Sends an input from the loop's own thread, which must never wait for its own inbox.
    fn report(&self, input: Input) {
        if let Err(TrySendError::Full(input)) = self.inbox.try_send(input) {
            let inbox = self.inbox.clone();
            tokio::spawn(async move { inbox.send(input).await });
        }
    }
}
