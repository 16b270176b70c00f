//! One question to one resolver: by UDP, and by TCP when the answer does not fit.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use hickory_proto::rr::RecordType;
use parallax_engine::action::Dial;
use parallax_model::evidence::{DnsQuery, IcmpError};
use parallax_model::fault::{DnsFault, Fault, FaultKind, TcpFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::driver::dns::message::{Answer, Checking, Question, fault_of};
use crate::driver::dns::second::Seconds;
use crate::driver::{errno, tcp};

/// The largest UDP message without EDNS is 512 bytes (RFC 1035 section 2.3.4); some send more.
pub(super) const DATAGRAM: usize = 4096;

/// What became of a question.
enum Came {
    Answer(Answer),
    Nothing(DnsFault, String, Option<String>),
}

/// Asks, and keeps what came of it. What a resolver could not answer is asked once more without its checking.
pub(super) async fn ask(
    name: &str,
    record_type: RecordType,
    resolver: SocketAddr,
    until: Instant,
    seconds: &Seconds,
) -> DnsQuery {
    let began = Instant::now();
    let mut query = DnsQuery {
        records: Vec::new(),
        dnssec: None,
        name: name.to_owned(),
        record_type: record_type.to_string(),
        resolver,
        transport: "udp".to_owned(),
        rcode: None,
        addresses: Vec::new(),
        cname_chain: Vec::new(),
        second_answer: Vec::new(),
        ttl_s: None,
        duration: std::time::Duration::ZERO,
        fault: None,
    };
    let Some(question) = Question::new(name, record_type, Checking::Enabled) else {
        let what = format!("{name:?} can not be asked for: it is no DNS name");
        query.fault = Some(Fault::new(FaultKind::Dns(DnsFault::Malformed), what));
        return query;
    };
    let (came, socket) = put(&question, &mut query, until).await;
    query.duration = began.elapsed();
    keep(&mut query, came);
    if query.rcode.as_deref() == Some("SERVFAIL")
        && let Some(unchecked) = Question::new(name, record_type, Checking::Disabled)
        && let (Came::Answer(answer), _) = put(&unchecked, &mut query.clone(), until).await
        && matches!(answer.rcode.as_str(), "NOERROR" | "NXDOMAIN")
    {
        withheld(&mut query, &answer);
    }
    if let Some(socket) = socket
        && matches!(record_type, RecordType::A | RecordType::AAAA)
    {
        seconds.listen(socket, question, &query);
    }
    query
}

/// By UDP, and by TCP what is too long for it; and where an answer came that may be followed by another.
async fn put(question: &Question, query: &mut DnsQuery, until: Instant) -> (Came, Option<UdpSocket>) {
    let socket = match sent(question, query.resolver).await {
        Ok(socket) => socket,
        Err(error) => return (not_sent(&error), None),
    };
    match answer(&socket, question, until).await {
        Came::Answer(answer) if answer.truncated => {
            query.transport = "tcp".to_owned();
            query.rcode = Some(answer.rcode.clone());
            (by_tcp(question, query.resolver, until).await, None)
        }
        Came::Answer(answer) => (Came::Answer(answer), Some(socket)),
        nothing @ Came::Nothing(..) => (nothing, None),
    }
}

/// There is an answer that the resolver holds back because its signatures are wrong.
fn withheld(query: &mut DnsQuery, answer: &Answer) {
    query.dnssec = Some("bogus".to_owned());
    let said: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
    let said = if said.is_empty() {
        answer.rcode.clone()
    } else {
        said.join(", ")
    };
    let what = format!(
        "{} {} from {}: SERVFAIL, but {said} with DNSSEC checking disabled",
        query.name, query.record_type, query.resolver
    );
    query.fault = Some(Fault::new(FaultKind::Dns(DnsFault::Bogus), what));
}

fn keep(query: &mut DnsQuery, came: Came) {
    let asked = format!("{} {} from {}", query.name, query.record_type, query.resolver);
    match came {
        Came::Answer(answer) => {
            query.fault = fault_of(&answer.rcode)
                .map(|kind| Fault::new(FaultKind::Dns(kind), format!("{asked}: {}", answer.rcode)));
            query.rcode = Some(answer.rcode);
            query.addresses = answer.addresses;
            query.cname_chain = answer.cname_chain;
            query.ttl_s = answer.ttl_s;
            query.records = answer.records;
            let vouched = if answer.authenticated {
                "authenticated"
            } else {
                "not_authenticated"
            };
            query.dnssec = query.fault.is_none().then(|| vouched.to_owned());
        }
        Came::Nothing(kind, what, raw) => {
            let mut fault = Fault::new(FaultKind::Dns(kind), format!("{asked}: {what}"));
            fault.raw = raw;
            query.fault = Some(fault);
        }
    }
}

/// An error that an earlier datagram brought would be the resolver's; this socket has sent nothing before.
async fn sent(question: &Question, resolver: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(resolver).await?;
    socket.send(&question.wire).await?;
    Ok(socket)
}

async fn answer(socket: &UdpSocket, question: &Question, until: Instant) -> Came {
    let mut strange = false;
    let mut datagram = vec![0; DATAGRAM];
    loop {
        match timeout_at(until, socket.recv(&mut datagram)).await {
            Err(_) if strange => {
                let what = "what came back does not answer the question".to_owned();
                return Came::Nothing(DnsFault::Malformed, what, None);
            }
            Err(_) => return silence(),
            Ok(Err(error)) => return unreachable(&error, tcp::icmp_error(socket.as_fd())),
            Ok(Ok(length)) => match question.answered_by(&datagram[..length]) {
                Some(answer) => return Came::Answer(answer),
                // Somebody who guesses may be faster than the resolver.
                None => strange = true,
            },
        }
    }
}

/// A socket with a port of the kernel's choice, at random (RFC 5452 section 9.2), that hears of ICMP errors.
async fn open(resolver: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if resolver.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    tcp::keep_icmp_errors(socket.as_fd(), true);
    socket.connect(resolver).await?;
    Ok(socket)
}

async fn by_tcp(question: &Question, resolver: SocketAddr, until: Instant) -> Came {
    let mut open = match tcp::connect(resolver, Dial::default(), until).await {
        Ok(open) => open,
        Err(not) => {
            let kind = match not.fault.kind {
                FaultKind::Tcp(TcpFault::TimedOut) => DnsFault::Timeout,
                _ => DnsFault::ResolverUnreachable,
            };
            let what = format!("the answer was truncated, and {}", not.fault.message);
            return Came::Nothing(kind, what, not.fault.raw);
        }
    };
    let exchange = async {
        let length = u16::try_from(question.wire.len()).map_err(io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(&question.wire);
        open.stream.write_all(&framed).await?;
        let length = open.stream.read_u16().await?;
        let mut wire = vec![0; usize::from(length)];
        open.stream.read_exact(&mut wire).await?;
        Ok::<_, io::Error>(wire)
    };
    match timeout_at(until, exchange).await {
        Err(_) => silence(),
        Ok(Err(error)) => {
            let what = format!("the answer was truncated, and TCP failed: {error}");
            Came::Nothing(DnsFault::ResolverUnreachable, what, Some(errno::name(&error)))
        }
        Ok(Ok(wire)) => question.answered_by(&wire).map_or_else(
            || {
                let what = "what came back by TCP does not answer the question".to_owned();
                Came::Nothing(DnsFault::Malformed, what, None)
            },
            Came::Answer,
        ),
    }
}

fn silence() -> Came {
    Came::Nothing(DnsFault::Timeout, "no answer".to_owned(), None)
}

fn not_sent(error: &io::Error) -> Came {
    let name = errno::name(error);
    let what = format!("the question did not leave this host ({name})");
    Came::Nothing(DnsFault::NotSent, what, Some(name))
}

fn unreachable(error: &io::Error, icmp: Option<IcmpError>) -> Came {
    let name = errno::name(error);
    let (what, raw) = match icmp {
        Some(icmp) => (
            format!("ICMP {} from {}", icmp.name, icmp.from),
            format!("{name}, ICMP {}/{} from {}", icmp.kind, icmp.code, icmp.from),
        ),
        None => (format!("the resolver can't be reached ({name})"), name),
    };
    Came::Nothing(DnsFault::ResolverUnreachable, what, Some(raw))
}
