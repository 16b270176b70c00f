//! The server's first line (RFC 9051 section 7.1).

use std::time::Duration;

use parallax_model::evidence::{Evidence, GreetingEvidence, ImapReply, Nudge};
use parallax_model::fault::{Fault, FaultKind, ImapFault, TcpFault};
use parallax_model::stage::Outcome;
use parallax_model::text::escape;

use super::{Exchange, Lost, Turn, refusal};
use crate::imap::backend;
use crate::imap::sniff::{Expected, Service, wrong_service};
use crate::imap::{Capabilities, Command, Status, StatusLine};
use crate::wire::{Heard, Wire};

/// Waits for the first line.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    reply: Option<ImapReply>,
    service: Option<Service>,
    backend: Option<String>,
    /// How the wait ended that a nudge followed, and how many bytes were acknowledged until then.
    given_up: Option<(Lost, Option<u64>)>,
    nudge: Option<Nudge>,
}

/// With less than this left of the probe's time, what comes of a nudge would say nothing.
const WORTH_A_NUDGE: Duration = Duration::from_millis(500);

impl Exchange for Greeting {
    fn begin(&mut self, _wire: &mut Wire) -> Turn {
        Turn::Listen
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        self.nudge = self.given_up.as_ref().map(|_| Nudge::Answered);
        match heard {
            Heard::Status(line) => self.greeted(&line, wire),
            Heard::Reply(_) | Heard::Data(..) | Heard::Plus | Heard::Strange => {
                Turn::failed(self.wrong(wire))
            }
        }
    }

    /// TLS records have no line end to wait for.
    fn unfinished(&mut self, wire: &Wire) -> Option<Outcome> {
        let service = wrong_service(wire.framer().first_bytes(), Expected::Imap)?;
        is_tls(service).then(|| Outcome::Failed(self.wrong(wire)))
    }

    /// Nobody said anything. A command that needs no greeting shows whether anybody is there: a program that hangs, only
    /// a kernel, nobody at all, or somebody who waits for the client to begin.
    fn silent(&mut self, lost: &Lost, wire: &mut Wire) -> Option<Turn> {
        let in_vain = matches!(lost, Lost::Late(_)) && wire.framer().received() == 0;
        if !in_vain || self.given_up.is_some() || wire.time_left() < WORTH_A_NUDGE {
            return None;
        }
        self.given_up = Some((lost.clone(), wire.acknowledged));
        let part = Command::noop(wire.tag()).next_part()?;
        Some(Turn::Nudge(part))
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        let lost = match self.given_up.take() {
            Some((first, before)) => {
                self.nudge = came_of_nudge(&lost, wire, before);
                first
            }
            None => lost,
        };
        let other = wrong_service(wire.framer().first_bytes(), Expected::Imap);
        Outcome::Failed(match other {
            Some(_) => self.wrong(wire),
            None => lost.fault(wire),
        })
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let first = wire.framer().first_bytes();
        let unread = self.reply.is_none() && !first.is_empty();
        Some(Evidence::Greeting(GreetingEvidence {
            reply: self.reply.take(),
            service: self.service.map(|service| service.as_str().to_owned()),
            first_bytes: unread.then(|| hex::encode(first)),
            bytes_received: wire.framer().received(),
            backend: self.backend.take(),
            nudge: self.nudge.take(),
        }))
    }
}

impl Greeting {
    fn greeted(&mut self, line: &StatusLine<'_>, wire: &mut Wire) -> Turn {
        self.reply = Some(wire.evidence(line));
        self.backend = backend::named(line.text);
        if let Some(announced) = line.code.as_ref().and_then(Capabilities::from_code) {
            wire.capabilities = announced;
        }
        match line.status {
            Status::Ok => {
                wire.greeted = true;
                Turn::ok()
            }
            Status::PreAuth => {
                wire.greeted = true;
                wire.logged_in = true;
                Turn::degraded(Fault::new(
                    FaultKind::Imap(ImapFault::Other),
                    format!("{} lets everybody in without a login (PREAUTH)", wire.peer),
                ))
            }
            Status::No | Status::Bad | Status::Bye => Turn::failed(refusal::of_command(line, wire)),
        }
    }

    fn wrong(&mut self, wire: &Wire) -> Fault {
        let first = wire.framer().first_bytes();
        let shown = format!("\"{}\"", escape(first, first.len()));
        self.service = wrong_service(first, Expected::Imap);
        if first.starts_with(b"PROXY ") {
            return Fault::new(
                FaultKind::Imap(ImapFault::ProxyProtocol),
                format!(
                    "{} answers a PROXY header instead of greeting: {shown}",
                    wire.peer
                ),
            )
            .with_raw(hex::encode(first));
        }
        match self.service {
            Some(service) if is_tls(service) => Fault::new(
                FaultKind::Imap(ImapFault::TlsExpected),
                format!("{} speaks TLS where a greeting in clear was expected", wire.peer),
            )
            .with_raw(hex::encode(first)),
            Some(service) => Fault::new(
                FaultKind::Imap(ImapFault::WrongService),
                format!(
                    "{} answers at {} instead of IMAP: {shown}",
                    service.description(),
                    wire.peer
                ),
            )
            .with_raw(service.as_str()),
            None => Fault::new(
                FaultKind::Imap(ImapFault::ProtocolError),
                format!(
                    "the first line from {} is no greeting of IMAP: {shown}",
                    wire.peer
                ),
            )
            .with_raw(hex::encode(first)),
        }
    }
}

fn came_of_nudge(lost: &Lost, wire: &Wire, before: Option<u64>) -> Option<Nudge> {
    if wire.framer().received() > 0 {
        return Some(Nudge::Answered);
    }
    match lost {
        // Not by what is unacknowledged: what this host itself refuses to send counts as neither.
        Lost::Late(_) | Lost::OutOfTime(_) => Some(if wire.acknowledged? > before? {
            Nudge::Acknowledged
        } else {
            Nudge::Unacknowledged
        }),
        Lost::Broken(fault) if fault.kind == FaultKind::Tcp(TcpFault::ConnectionReset) => Some(Nudge::Reset),
        Lost::Broken(_) => Some(Nudge::Unacknowledged),
        // An end of the stream comes from a kernel that lives.
        Lost::Closed => Some(Nudge::Acknowledged),
        Lost::TooMuch(_) | Lost::Drip(_) | Lost::Bye(_) => Some(Nudge::Answered),
    }
}

const fn is_tls(service: Service) -> bool {
    matches!(service, Service::Tls | Service::TlsAlert(_))
}
