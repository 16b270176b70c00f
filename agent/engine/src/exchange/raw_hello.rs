//! A ClientHello made by hand: what a server chooses that speaks nothing a modern library does.

use parallax_model::evidence::{Evidence, RawHelloFacts, TlsEvidence};
use parallax_model::fault::{Fault, FaultKind, TlsFault};
use parallax_model::stage::Outcome;
use parallax_model::target::Host;

use super::starttls::Starttls;
use super::{Exchange, Lost, Turn, tls};
use crate::certificate::Chain;
use crate::hello::{Flight, OFFERED, Progress, client_hello};
use crate::imap::Outgoing;
use crate::imap::sniff::{Expected, wrong_service};
use crate::wire::{Heard, Wire};

/// Says hello, hears the answer as far as it is in clear, and leaves.
#[derive(Debug)]
pub(super) struct RawHello {
    /// The way to the handshake, where it leads through STARTTLS.
    starttls: Option<Starttls>,
    server_name: Option<String>,
    hello: Vec<u8>,
    said: bool,
    flight: Flight,
}

impl RawHello {
    /// At once, on a port of TLS.
    pub(super) fn direct(host: &Host, seed: u64) -> Self {
        Self::new(None, host, seed)
    }

    /// Behind the OK to STARTTLS.
    pub(super) fn behind_starttls(host: &Host, seed: u64) -> Self {
        Self::new(Some(Starttls::default()), host, seed)
    }

    fn new(starttls: Option<Starttls>, host: &Host, seed: u64) -> Self {
        Self {
            starttls,
            server_name: match host {
                Host::Name(name) => Some(name.clone()),
                Host::Address(_) => None,
            },
            hello: client_hello(host, seed),
            said: false,
            flight: Flight::default(),
        }
    }
}

impl Exchange for RawHello {
    fn begin(&mut self, wire: &mut Wire) -> Turn {
        match &mut self.starttls {
            Some(starttls) => starttls.begin(wire),
            None => self.say_hello(),
        }
    }

    fn hear(&mut self, heard: Heard<'_>, wire: &mut Wire) -> Turn {
        let Some(starttls) = &mut self.starttls else {
            return Turn::Listen;
        };
        match starttls.hear(heard, wire) {
            Turn::Handshake => self.say_hello(),
            turn => turn,
        }
    }

    fn raw(&mut self, bytes: &[u8], wire: &mut Wire) -> Option<Turn> {
        if !self.said {
            return None;
        }
        let outcome = match self.flight.push(bytes) {
            Progress::More => return Some(Turn::Listen),
            Progress::Done => self.chosen(wire),
            Progress::Alert => self.turned_away(wire),
            Progress::NotTls => self.not_tls(wire),
            Progress::Broken(why) => failed(wire, TlsFault::HandshakeFailed, &why),
        };
        wire.note(&self.summary());
        wire.end();
        Some(Turn::End(outcome))
    }

    fn lost(&mut self, lost: Lost, wire: &Wire) -> Outcome {
        match &mut self.starttls {
            Some(starttls) if !self.said => starttls.lost(lost, wire),
            _ => Outcome::Failed(tls::broken_off(&lost, wire)),
        }
    }

    fn evidence(&mut self, wire: &Wire) -> Option<Evidence> {
        let facts = self.said.then(|| self.facts());
        let Some(starttls) = &mut self.starttls else {
            return facts.map(|facts| Evidence::Tls(Box::new(facts)));
        };
        let mut evidence = starttls.evidence(wire)?;
        if let Evidence::Starttls(evidence) = &mut evidence {
            evidence.tls = facts;
        }
        Some(evidence)
    }
}

impl RawHello {
    fn say_hello(&mut self) -> Turn {
        self.said = true;
        Turn::Hello(Outgoing::named(&self.hello, "<ClientHello>\r\n"))
    }

    fn chosen(&self, wire: &Wire) -> Outcome {
        if self.flight.modern() {
            return Outcome::Ok;
        }
        let why = format!(
            "the best that the server speaks is {}, which clients of today refuse",
            self.choice()
        );
        failed(wire, TlsFault::ProtocolVersion, &why)
    }

    fn turned_away(&self, wire: &Wire) -> Outcome {
        let alert = self.flight.alert().unwrap_or_default();
        let why = match alert.as_str() {
            "protocol_version" => {
                "the server speaks no version up to TLSv1.2, perhaps TLSv1.3 alone (alert protocol_version)"
                    .to_owned()
            }
            _ => format!("the server turns away whatever is offered up to TLSv1.2 (alert {alert})"),
        };
        failed(wire, TlsFault::HandshakeFailed, &why)
    }

    fn not_tls(&self, wire: &Wire) -> Outcome {
        let first = self.flight.first_bytes();
        let who =
            wrong_service(first, Expected::Tls).map_or("something else", |service| service.description());
        let what = format!("handshake with {}: {who} answers instead of TLS", wire.peer);
        Outcome::Failed(Fault::new(FaultKind::Tls(TlsFault::NotTls), what).with_raw(hex::encode(first)))
    }

    /// `TLSv1.1 with TLS_RSA_WITH_AES_128_CBC_SHA`
    fn choice(&self) -> String {
        let version = self.flight.version().unwrap_or_default();
        let suite = self.flight.cipher_suite().unwrap_or_default();
        format!("{version} with {suite}")
    }

    fn summary(&self) -> String {
        match (self.flight.version(), self.flight.alert()) {
            (Some(_), _) => format!("ServerHello: {}", self.choice()),
            (None, Some(alert)) => format!("alert {alert}"),
            (None, None) => "no ServerHello".to_owned(),
        }
    }

    fn facts(&self) -> TlsEvidence {
        let flight = &self.flight;
        let chain = Chain::read(flight.chain().iter().map(Vec::as_slice));
        let first = flight.first_bytes();
        let failed = !(flight.done() && flight.modern());
        TlsEvidence {
            server_name: self.server_name.clone(),
            group: flight.group().map(str::to_owned),
            bytes_received: flight.received(),
            bytes_sent: self.hello.len() as u64,
            first_bytes: (failed && !first.is_empty()).then(|| hex::encode(first)),
            chain: chain.facts(),
            raw_hello: Some(RawHelloFacts {
                offered: OFFERED.map(str::to_owned).to_vec(),
                version: flight.version(),
                cipher_suite: flight.cipher_suite().map(str::to_owned),
                alert: flight.alert(),
            }),
            ..TlsEvidence::default()
        }
    }
}

fn failed(wire: &Wire, kind: TlsFault, why: &str) -> Outcome {
    let message = format!("handshake with {}: {why}", wire.peer);
    Outcome::Failed(Fault::new(FaultKind::Tls(kind), message))
}
