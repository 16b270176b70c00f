//! The hub, as others reach it.

use std::sync::Arc;

use parallax_model::alert::{Alert, Silence};
use parallax_model::selector::Selector;
use parallax_model::vantage::AgentName;
use tokio::sync::{mpsc, oneshot};

use super::{AgentView, Event, RunAsked};
use crate::agents::Selection;
use crate::checks::CheckView;
use crate::store::CheckRecord;

/// A way to the hub; any number of them.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle {
    mailbox: mpsc::Sender<Event>,
}

/// The hub has stopped, or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the collector is stopping")]
pub(crate) struct Stopping;

impl HubHandle {
    pub(super) const fn new(mailbox: mpsc::Sender<Event>) -> Self {
        Self { mailbox }
    }

    /// Says what happened. Waits while the hub is behind, which slows down whoever causes it.
    pub(crate) async fn tell(&self, event: Event) -> Result<(), Stopping> {
        self.mailbox.send(event).await.map_err(|_| Stopping)
    }

    /// Says it from where nothing can wait, such as a drop.
    pub(crate) fn tell_later(&self, event: Event) {
        let Err(mpsc::error::TrySendError::Full(event)) = self.mailbox.try_send(event) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let mailbox = self.mailbox.clone();
            runtime.spawn(async move {
                // A hub that has stopped has let go of everything already.
                let _ = mailbox.send(event).await;
            });
        }
    }

    /// Who is there.
    pub(crate) async fn agents(&self) -> Result<Vec<AgentView>, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.tell(Event::AgentsAsked { reply }).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Whom a question would go to.
    pub(crate) async fn select(
        &self,
        selector: Selector,
        limit: Option<usize>,
    ) -> Result<Selection, Stopping> {
        let (reply, answer) = oneshot::channel();
        let event = Event::SelectionAsked {
            selector,
            limit,
            reply,
        };
        self.tell(event).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Asks a question.
    pub(crate) async fn ask(&self, asked: RunAsked) -> Result<(), Stopping> {
        self.tell(Event::RunAsked(Box::new(asked))).await
    }

    /// Checks were changed; done once the agents that are there are told.
    pub(crate) async fn checks_changed(&self, records: Vec<Arc<CheckRecord>>) -> Result<(), Stopping> {
        let (done, told) = oneshot::channel();
        self.tell(Event::ChecksChanged { records, done }).await?;
        told.await.map_err(|_| Stopping)
    }

    /// What is wrong; with `all`, also what was lately.
    pub(crate) async fn alerts(&self, all: bool) -> Result<Vec<Alert>, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.tell(Event::AlertsAsked { all, reply }).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// Silences were changed: these are all of them.
    pub(crate) async fn silences_changed(&self, silences: Vec<Silence>) -> Result<(), Stopping> {
        self.tell(Event::SilencesChanged(silences)).await
    }

    /// Others are told of alerts: these are all of them.
    pub(crate) async fn receivers_changed(&self, names: Vec<String>) -> Result<(), Stopping> {
        self.tell(Event::ReceiversChanged(names)).await
    }

    /// How checks stand at the agents.
    pub(crate) async fn check_views(&self) -> Result<Vec<CheckView>, Stopping> {
        let (reply, answer) = oneshot::channel();
        self.tell(Event::CheckViews { reply }).await?;
        answer.await.map_err(|_| Stopping)
    }

    /// An agent was taken out.
    pub(crate) async fn removed(&self, name: AgentName) -> Result<(), Stopping> {
        self.tell(Event::AgentRemoved { name }).await
    }

    /// Lets go of everything, and tells the agents first.
    pub(crate) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.tell(Event::Stop { done }).await.is_ok() {
            // Gone without an answer is stopped too.
            let _ = stopped.await;
        }
    }
}
