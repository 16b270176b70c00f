//! Notices that what a session waits for is overdue, while it waits on.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::time::Duration;

use parallax_engine::event::Event;
use parallax_engine::session::Session;
use parallax_model::evidence::TcpInfo;
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::driver::{Surroundings, tcp};
use crate::report::OfAttempt;

/// From the start of a stage to the first look at its connection, and from one look to the next. Between two looks
/// that see the same, a second went by in which a segment that got lost has come again (RFC 6298 section 2.1).
const FIRST_LOOK: Duration = Duration::from_secs(1);
const NEXT_LOOK: Duration = Duration::from_secs(1);

/// Watches one wait of a session.
pub(super) struct Watch<'a, R> {
    session: &'a Session,
    around: &'a Surroundings,
    /// Since when the stage waits; nothing where nobody need know.
    since: Option<Duration>,
    /// A second handle of the connection, to look at while somebody else has the first.
    connection: Option<OwnedFd>,
    local: Option<SocketAddr>,
    report: &'a R,
}

impl<'a, R: Fn(OfAttempt)> Watch<'a, R> {
    pub(super) fn new(
        session: &'a Session,
        around: &'a Surroundings,
        stream: Option<&TcpStream>,
        report: &'a R,
    ) -> Self {
        let requested = session.experiment().is_none();
        let since = session.waits_since(around.now()).filter(|_| requested);
        let stream = stream.filter(|_| since.is_some());
        Self {
            session,
            around,
            since,
            connection: stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok()),
            local: stream.and_then(tcp::local),
            report,
        }
    }

    /// Waits for an event, and tells of it where that takes long and the connection stands still.
    pub(super) async fn over(self, waiting: impl Future<Output = Event>) -> Event {
        let Some(since) = self.since else {
            return waiting.await;
        };
        let mut waiting = pin!(waiting);
        let mut look = since + FIRST_LOOK;
        let mut before = None;
        loop {
            tokio::select! {
                biased;
                event = &mut waiting => return event,
                () = sleep_until(self.around.moment(look)) => {}
            }
            let seen = self.look();
            let heard = heard(seen.as_ref());
            if before == Some(heard) {
                let now = self.around.now();
                if let Some(attempt) = self.session.in_vain(now, self.local, seen) {
                    (self.report)(OfAttempt::Overdue(attempt));
                }
                return waiting.await;
            }
            before = Some(heard);
            look = self.around.now() + NEXT_LOOK;
        }
    }

    fn look(&self) -> Option<TcpInfo> {
        tcp::info(self.connection.as_ref()?.as_fd())
    }
}

/// What has come over a connection; nothing, before it is open.
fn heard(seen: Option<&TcpInfo>) -> Option<(u64, u32)> {
    seen.map(|tcp| (tcp.bytes_received, tcp.rcv_ooopack))
}
