//! How a dialogue breaks off.

use std::time::Duration;

use parallax_model::evidence::ImapReply;
use parallax_model::fault::{AgentFault, Fault, FaultKind, ImapFault, TcpFault};
use parallax_model::text::escape;

use super::refusal;
use crate::imap::LimitExceeded;
use crate::imap::limits::DRIP_BYTES;
use crate::wire::Wire;

/// Bytes of an unfinished reply that go into a fault.
const SHOWN: usize = 128;

/// Why nothing more can be heard.
#[derive(Debug, Clone)]
pub(crate) enum Lost {
    /// End of stream.
    Closed,
    /// Reading or writing failed.
    Broken(Fault),
    /// The answer did not come in this time.
    Late(Duration),
    /// The probe's own time was over, too early to blame the server.
    OutOfTime(Duration),
    /// The server sent more than is read.
    TooMuch(LimitExceeded),
    /// The server sent less than a reply must bring in this time.
    Drip(Duration),
    /// The server said BYE.
    Bye(ImapReply),
}

impl Lost {
    /// The fault, where a reply was due.
    pub(crate) fn fault(&self, wire: &Wire) -> Fault {
        let due = Due(wire);
        match self {
            Self::Closed => imap(
                ImapFault::ConnectionClosed,
                format!("{}: the connection was closed{}", due.what(), due.so_far()),
            ),
            Self::Broken(fault) => broken(fault, &due),
            Self::Late(waited) => imap(
                ImapFault::Timeout,
                format!(
                    "{}: nothing complete came in {}{}",
                    due.what(),
                    seconds(*waited),
                    due.so_far()
                ),
            ),
            Self::OutOfTime(waited) => out_of_time(&due.what(), *waited),
            Self::TooMuch(limit) => imap(ImapFault::LimitExceeded, format!("{}: {limit}", due.what())),
            Self::Drip(time) => imap(
                ImapFault::LimitExceeded,
                format!(
                    "{}: less than {DRIP_BYTES} bytes came in {} (slow_drip)",
                    due.what(),
                    seconds(*time)
                ),
            ),
            Self::Bye(reply) => imap(
                ImapFault::Bye,
                format!("{}: {}", due.what(), refusal::quote(reply)),
            )
            .with_raw(refusal::raw(reply)),
        }
    }
}

/// The probe's time was over before `what` could come.
pub(crate) fn out_of_time(what: &str, waited: Duration) -> Fault {
    Fault::new(
        FaultKind::Agent(AgentFault::Deadline),
        format!(
            "{what}: the probe's time was over after a wait of {} only",
            seconds(waited)
        ),
    )
}

/// `5.0 s`
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A broken connection in the words of the dialogue; what is not of TCP keeps its own.
fn broken(fault: &Fault, due: &Due<'_>) -> Fault {
    let kind = match fault.kind {
        FaultKind::Tcp(TcpFault::ConnectionReset) => FaultKind::Imap(ImapFault::ConnectionReset),
        FaultKind::Tcp(TcpFault::ConnectionClosed) => FaultKind::Imap(ImapFault::ConnectionClosed),
        FaultKind::Tcp(TcpFault::TimedOut) => FaultKind::Imap(ImapFault::Timeout),
        kind => kind,
    };
    Fault {
        kind,
        message: format!("{}: {}{}", due.what(), fault.message, due.so_far()),
        raw: fault.raw.clone(),
    }
}

fn imap(kind: ImapFault, message: String) -> Fault {
    Fault::new(FaultKind::Imap(kind), message)
}

/// What was due.
struct Due<'w>(&'w Wire);

impl Due<'_> {
    fn what(&self) -> String {
        match self.0.asking() {
            "" => format!("greeting from {}", self.0.peer),
            command if self.0.answered() => format!("wait behind {command} at {}", self.0.peer),
            command => format!("answer to {command} from {}", self.0.peer),
        }
    }

    /// What came of it, if anything: contents of literals left out, since they may be mail.
    fn so_far(&self) -> String {
        let framer = self.0.framer();
        match framer.unfinished() {
            None => String::new(),
            Some(unfinished) => match unfinished.literal {
                Some((size, came)) => format!(", after {came} of {size} bytes of a literal"),
                None => {
                    let partial = framer.partial_without_literals();
                    let shown = self.0.transcript().redactor().redact(&partial);
                    format!(", after \"{}\"", escape(&shown, SHOWN))
                }
            },
        }
    }
}
