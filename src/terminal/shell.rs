//! Carries out what the desk decides: requests in tasks of their own, jobs to the printer, notices to
//! listeners, to the customer's display and to the cashier's ear. No question of yesterday's may hold up today's customer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use crate::display::Display;
use crate::gateway::http::Http;
use crate::gateway::{Call, Gateway, Outcome};
use crate::ids::SaleId;
use crate::input::{Inbox, Input, Notice, Notices, PrintOutcome, Printed};
use crate::payment::Cause;
use crate::printer::{Job, Printer};
use crate::refund::Asked;
use crate::sounds::Sounds;
use crate::terminal::audience::Audience;
use crate::terminal::desk::Act;

/// Requests under way about sales that are no longer in hand. After a restoration hundreds may be open: asked about all
/// at once, they would take a connection each, and a gateway that counts requests would answer none.
const BEHIND: usize = 8;
/// How long such a request waits for its turn. It and the call together stay below `Policy::answer_within`, which leaves
/// a call 10 s more than the transport may take.
const TURN_WITHIN: Duration = Duration::from_secs(5);

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
    pub turns: Arc<Semaphore>,
}

/// The turns of what runs behind the sale in hand.
pub(super) fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(BEHIND))
}

impl Shell {
    /// Starts each act; waits for none. What is about the sale in hand waits for no other.
    pub fn carry_out(&mut self, acts: Vec<Act>, in_hand: Option<&SaleId>) {
        for act in acts {
            match act {
                Act::Pay(id, n, order, code) => {
                    let call = self.gateway.pay(&order, code);
                    self.call(call, false, move |answer| Input::Answered(id, n, answer));
                }
                Act::Query(id, n, order, number) => {
                    let call = self.gateway.query(&order);
                    let behind = in_hand != Some(&id);
                    self.call(call, behind, move |answer| Input::Queried(id, n, number, answer));
                }
                Act::Reverse(id, n, order, number) => {
                    let call = self.gateway.reverse(&order);
                    let behind = in_hand != Some(&id);
                    self.call(call, behind, move |answer| Input::Reversed(id, n, number, answer));
                }
                Act::Refund(id, n, asked, refund, number) => {
                    let call = match asked {
                        Asked::Refund => self.gateway.refund(&refund),
                        Asked::Query => self.gateway.query_refund(&refund),
                    };
                    self.call(call, true, move |answer| Input::Refunded(id, n, asked, number, answer));
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

    /// A request lives in its own task, whoever asked for it; its outcome comes back as an input. One that runs `behind`
    /// takes turns; what gets none was never sent, and the machine asks again.
    fn call<A: Outcome>(
        &self,
        call: Call<A>,
        behind: bool,
        report: impl FnOnce(A) -> Input + Send + 'static,
    ) {
        let (http, inbox, turns) = (Arc::clone(&self.http), self.inbox.clone(), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let outcome = if behind {
                match timeout(TURN_WITHIN, turns.acquire()).await {
                    Ok(_turn) => http.call(call).await,
                    Err(_) => A::never_sent(Cause::NoTurn),
                }
            } else {
                http.call(call).await
            };
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
