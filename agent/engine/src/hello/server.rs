//! What the server answers, up to its ServerHelloDone.

use super::message::{Choice, Message, Messages, certificates, exchange_group};
use super::record::{Record, Records};
use super::{TLS_1_2, alert};

/// Bytes read of an answer: the largest chain, and as much again for everything beside it.
pub const HANDSHAKE_BYTES: u64 = 128 * 1024;

/// Bytes kept of its beginning.
const FIRST: usize = 64;

/// The messages of the flight, each at most once and in this order (RFC 5246 section 7.3, RFC 4680, RFC 6066
/// section 8).
const ORDER: [u8; 7] = [
    Message::SERVER_HELLO,
    Message::SUPPLEMENTAL_DATA,
    Message::CERTIFICATE,
    Message::CERTIFICATE_STATUS,
    Message::SERVER_KEY_EXCHANGE,
    Message::CERTIFICATE_REQUEST,
    Message::SERVER_HELLO_DONE,
];

/// The server's first flight.
#[derive(Debug, Clone, Default)]
pub struct Flight {
    records: Records,
    messages: Messages,
    place: usize,
    choice: Option<Choice>,
    chain: Vec<Vec<u8>>,
    group: Option<String>,
    alert: Option<u8>,
    first: Vec<u8>,
    received: u64,
    over: Option<Progress>,
}

/// How far an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// There is more to come.
    More,
    /// The server has said everything that it says in clear.
    Done,
    /// It turns away.
    Alert,
    /// It does not speak TLS.
    NotTls,
    /// It breaks the rules, and how.
    Broken(String),
}

impl Flight {
    /// Takes bytes as they came. Once it is over, nothing more is read.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        if let Some(over) = &self.over {
            return over.clone();
        }
        self.received += bytes.len() as u64;
        let room = FIRST.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..room]);
        self.records.push(bytes);
        let progress = self.read();
        if progress != Progress::More {
            self.over = Some(progress.clone());
        }
        progress
    }

    /// Whether the server said everything that it says in clear.
    pub fn done(&self) -> bool {
        self.over == Some(Progress::Done)
    }

    /// The version chosen, by its name.
    pub fn version(&self) -> Option<String> {
        self.choice.as_ref().map(Choice::version_name)
    }

    /// Whether the version chosen is one that clients of today speak.
    pub fn modern(&self) -> bool {
        self.choice
            .as_ref()
            .is_some_and(|choice| choice.version >= TLS_1_2)
    }

    /// The cipher suite chosen, by its IANA name.
    pub fn cipher_suite(&self) -> Option<&str> {
        self.choice.as_ref().map(|choice| choice.suite.as_str())
    }

    /// The group of the key exchange, by its IANA name.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The certificates presented, leaf first, DER.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The last alert, by name.
    pub fn alert(&self) -> Option<String> {
        self.alert.map(alert::name)
    }

    /// The first bytes that came, at most 64.
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// How many bytes came.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn read(&mut self) -> Progress {
        while let Some(record) = self.records.next() {
            let progress = match record {
                Record::Handshake(fragment) => {
                    self.messages.push(&fragment);
                    self.read_messages()
                }
                Record::Alert { warning, description } => {
                    self.alert = Some(description);
                    if warning { Progress::More } else { Progress::Alert }
                }
                Record::Unexpected(kind) => {
                    Progress::Broken(format!("a record of type {kind} came too early"))
                }
                Record::Foreign if self.choice.is_none() && self.alert.is_none() => Progress::NotTls,
                Record::Foreign => Progress::Broken("what follows is no record of TLS".to_owned()),
            };
            if progress != Progress::More {
                return progress;
            }
        }
        if self.received > HANDSHAKE_BYTES {
            return Progress::Broken(format!("{} bytes came, and no end of them", self.received));
        }
        Progress::More
    }

    fn read_messages(&mut self) -> Progress {
        loop {
            match self.messages.next() {
                Ok(Some(message)) => match self.take(&message) {
                    Progress::More => {}
                    over => return over,
                },
                Ok(None) => return Progress::More,
                Err(length) => return Progress::Broken(format!("a handshake message of {length} bytes")),
            }
        }
    }

    fn take(&mut self, message: &Message) -> Progress {
        let kind = message.kind;
        let Some(place) = ORDER[self.place..].iter().position(|one| *one == kind) else {
            return Progress::Broken(format!("handshake message {kind} came out of place"));
        };
        self.place += place + 1;
        match (kind, &self.choice) {
            (Message::SERVER_HELLO, _) => match Choice::read(&message.body) {
                Some(choice) => self.choice = Some(choice),
                None => return Progress::Broken("the ServerHello is cut short".to_owned()),
            },
            (_, None) => {
                return Progress::Broken(format!("handshake message {kind} came before the ServerHello"));
            }
            (Message::CERTIFICATE, _) => self.chain = certificates(&message.body),
            (Message::SERVER_KEY_EXCHANGE, Some(choice)) => {
                self.group = exchange_group(&message.body, &choice.suite);
            }
            (Message::SERVER_HELLO_DONE, _) => return Progress::Done,
            _ => {}
        }
        Progress::More
    }
}
