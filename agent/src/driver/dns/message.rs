//! A question, and what of an answer is kept.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use parallax_model::fault::DnsFault;

/// Longer chains are loops.
const ALIASES: usize = 16;
/// Records of one answer that are kept, addresses aside.
const RECORDS: usize = 32;

/// A question on its way: an identifier nobody can guess, and what the answer is compared with.
pub(super) struct Question {
    id: u16,
    query: Query,
    pub(super) wire: Vec<u8>,
}

/// What an answer says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) rcode: String,
    pub(super) truncated: bool,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) cname_chain: Vec<String>,
    pub(super) ttl_s: Option<u32>,
    /// SRV and TLSA records in presentation form.
    pub(super) records: Vec<String>,
    /// Whether the resolver vouches for the answer.
    pub(super) authenticated: bool,
}

/// Whether a validating resolver is to answer with what it would otherwise withhold (RFC 4035 section 3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checking {
    Enabled,
    Disabled,
}

impl Question {
    /// The question for one type of one name; `None` when that is not a name.
    pub(super) fn new(name: &str, record_type: RecordType, checking: Checking) -> Option<Self> {
        let mut name = Name::from_ascii(name).ok()?;
        name.set_fqdn(true);
        let query = Query::query(name, record_type);
        let id = rand::random();
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        // Has a validating resolver tell what it found, without the signatures (RFC 6840 section 5.7).
        message.metadata.authentic_data = true;
        message.metadata.checking_disabled = checking == Checking::Disabled;
        message.add_query(query.clone());
        let wire = message.to_vec().ok()?;
        Some(Self { id, query, wire })
    }

    /// Reads a message; `None` when it is not the answer to this question.
    pub(super) fn answered_by(&self, wire: &[u8]) -> Option<Answer> {
        let message = Message::from_vec(wire).ok()?;
        let [echoed] = message.queries.as_slice() else {
            return None;
        };
        let ours = message.metadata.id == self.id
            && message.metadata.message_type == MessageType::Response
            && echoed.name == self.query.name
            && echoed.query_type == self.query.query_type
            && echoed.query_class == DNSClass::IN;
        ours.then(|| self.read(&message))
    }

    fn read(&self, message: &Message) -> Answer {
        let mut answer = Answer {
            rcode: rcode(message.metadata.response_code),
            truncated: message.metadata.truncation,
            authenticated: message.metadata.authentic_data,
            ..Answer::default()
        };
        let mut name = self.query.name.clone();
        for _ in 0..ALIASES {
            let alias = message
                .answers
                .iter()
                .filter(|record| record.name == name)
                .find_map(|record| match &record.data {
                    RData::CNAME(target) => Some((record.ttl, target.0.clone())),
                    _ => None,
                });
            let Some((ttl, target)) = alias else { break };
            answer.ttl_s = Some(answer.ttl_s.map_or(ttl, |other| other.min(ttl)));
            answer.cname_chain.push(shown(&target));
            name = target;
        }
        for record in message.answers.iter().filter(|record| record.name == name) {
            match &record.data {
                RData::A(address) => answer.addresses.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => answer.addresses.push(IpAddr::V6(address.0)),
                data if record.record_type() == self.query.query_type && answer.records.len() < RECORDS => {
                    answer.records.extend(presented(data));
                }
                _ => continue,
            }
            answer.ttl_s = Some(answer.ttl_s.map_or(record.ttl, |other| other.min(record.ttl)));
        }
        answer
    }
}

/// A record as zone files write it (RFC 2782, RFC 6698 section 2.2).
fn presented(data: &RData) -> Option<String> {
    match data {
        RData::SRV(srv) => Some(format!(
            "{} {} {} {}",
            srv.priority,
            srv.weight,
            srv.port,
            srv.target.to_ascii()
        )),
        RData::TLSA(tlsa) => Some(format!(
            "{} {} {} {}",
            u8::from(tlsa.cert_usage),
            u8::from(tlsa.selector),
            u8::from(tlsa.matching),
            hex::encode(&tlsa.cert_data)
        )),
        _ => None,
    }
}

/// The class of a response code that is no answer.
pub(super) fn fault_of(rcode: &str) -> Option<DnsFault> {
    match rcode {
        "NOERROR" => None,
        "NXDOMAIN" => Some(DnsFault::Nxdomain),
        "SERVFAIL" => Some(DnsFault::Servfail),
        "REFUSED" => Some(DnsFault::Refused),
        _ => Some(DnsFault::Other),
    }
}

fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

fn shown(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
