use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, SRV, TLSA};
use hickory_proto::rr::{Name, RData, Record};
use parallax_model::fault::{DnsFault, FaultKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn configuration(resolvers: &[SocketAddr]) -> Configuration {
    Configuration {
        resolvers: resolvers.to_vec(),
        search: vec!["lab.example".into()],
        ndots: 1,
        seconds: Seconds::default(),
    }
}

fn response(request: &[u8]) -> Message {
    let request = Message::from_vec(request).unwrap();
    let mut response = Message::new(
        request.metadata.id,
        MessageType::Response,
        request.metadata.op_code,
    );
    response.add_query(request.queries[0].clone());
    response
}

/// A name server on loopback whose answers are made by `answer`; none is silence.
async fn server(answer: impl Fn(&[u8]) -> Option<Message> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            if let Some(message) = answer(&buffer[..length]) {
                socket.send_to(&message.to_vec().unwrap(), client).await.unwrap();
            }
        }
    });
    address
}

fn truth(request: &[u8]) -> Message {
    let mut message = response(request);
    let asked = message.queries[0].clone();
    let real = Name::from_ascii("mail.lab.example.").unwrap();
    let data = match asked.query_type {
        RecordType::A => RData::from(IpAddr::from([192, 0, 2, 1])),
        _ => RData::from("2001:db8::1".parse::<IpAddr>().unwrap()),
    };
    message.add_answer(Record::from_rdata(
        asked.name,
        300,
        RData::CNAME(CNAME(real.clone())),
    ));
    message.add_answer(Record::from_rdata(real, 60, data));
    message
}

#[tokio::test]
async fn both_families_are_asked_and_the_alias_is_followed() {
    let resolver = server(|request| Some(truth(request))).await;
    let queries = configuration(&[resolver])
        .ask("imap.lab.example", FamilyChoice::Any, soon())
        .await;
    let [v4, v6] = queries.as_slice() else {
        panic!("{queries:?}")
    };
    assert_eq!((v4.record_type.as_str(), v6.record_type.as_str()), ("A", "AAAA"));
    assert_eq!(v4.rcode.as_deref(), Some("NOERROR"));
    assert_eq!(v4.cname_chain, ["mail.lab.example"]);
    assert_eq!(v4.ttl_s, Some(60));
    assert_eq!(v4.addresses, [IpAddr::from([192, 0, 2, 1])]);
    assert_eq!(v6.addresses, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    assert_eq!((v4.transport.as_str(), v4.resolver), ("udp", resolver));
}

#[tokio::test]
async fn the_next_resolver_is_asked_after_a_failure() {
    let broken = server(|request| {
        let mut message = response(request);
        message.metadata.response_code = ResponseCode::ServFail;
        Some(message)
    })
    .await;
    let good = server(|request| Some(truth(request))).await;
    let queries = configuration(&[broken, good])
        .ask("imap.lab.example", FamilyChoice::Ipv4, soon())
        .await;
    assert_eq!(queries.len(), 2, "{queries:?}");
    assert_eq!(queries[0].rcode.as_deref(), Some("SERVFAIL"));
    let fault = queries[0].fault.as_ref().unwrap();
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::Servfail));
    assert!(!queries[1].addresses.is_empty());
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_asked_for_once() {
    let resolver = server(|request| {
        let mut message = response(request);
        message.metadata.response_code = ResponseCode::NXDomain;
        Some(message)
    })
    .await;
    let queries = configuration(&[resolver])
        .ask("no.lab.example", FamilyChoice::Ipv4, soon())
        .await;
    assert_eq!(queries.len(), 1);
    assert_eq!(queries[0].rcode.as_deref(), Some("NXDOMAIN"));
}

#[tokio::test]
async fn nobody_on_port_53_is_an_unreachable_resolver_and_says_who_says_so() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let queries = configuration(&[closed])
        .ask("imap.lab.example", FamilyChoice::Ipv4, soon())
        .await;
    assert_eq!(queries.len(), TRIES);
    let fault = queries[0].fault.as_ref().unwrap();
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::ResolverUnreachable));
    assert_eq!(
        fault.raw.as_deref(),
        Some("ECONNREFUSED, ICMP 3/3 from 127.0.0.1")
    );
}

#[tokio::test]
async fn silence_ends_with_the_time_given() {
    let silent = server(|_| None).await;
    let until = Instant::now() + Duration::from_millis(200);
    let queries = configuration(&[silent])
        .ask("imap.lab.example", FamilyChoice::Ipv4, until)
        .await;
    let fault = queries[0].fault.as_ref().unwrap();
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::Timeout));
    assert_eq!(queries[0].rcode, None);
    assert!(queries[0].duration >= Duration::from_millis(190), "{queries:?}");
}

#[tokio::test]
async fn an_answer_to_another_question_is_not_taken() {
    let resolver = server(|request| {
        let mut message = truth(request);
        message.metadata.id = message.metadata.id.wrapping_add(1);
        Some(message)
    })
    .await;
    let until = Instant::now() + Duration::from_millis(200);
    let queries = configuration(&[resolver])
        .ask("imap.lab.example", FamilyChoice::Ipv4, until)
        .await;
    assert!(queries[0].addresses.is_empty());
    let fault = queries[0].fault.as_ref().unwrap();
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::Malformed));
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_by_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let mut short = response(&buffer[..length]);
        short.metadata.truncation = true;
        socket.send_to(&short.to_vec().unwrap(), client).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut request).await.unwrap();
        let whole = truth(&request).to_vec().unwrap();
        stream
            .write_u16(u16::try_from(whole.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&whole).await.unwrap();
    });
    let queries = configuration(&[address])
        .ask("imap.lab.example", FamilyChoice::Ipv4, soon())
        .await;
    assert_eq!(queries.len(), 1, "{queries:?}");
    assert_eq!(queries[0].transport, "tcp");
    assert_eq!(queries[0].addresses, [IpAddr::from([192, 0, 2, 1])]);
}

#[tokio::test]
async fn a_short_name_goes_through_the_search_list() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = server(move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        Some(truth(request))
    })
    .await;
    let queries = configuration(&[resolver])
        .ask("imap", FamilyChoice::Ipv4, soon())
        .await;
    assert_eq!(queries[0].name, "imap.lab.example");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_hosts_file_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files {
        hosts: directory.path().join("hosts"),
        resolv_conf: directory.path().join("resolv.conf"),
    };
    std::fs::write(&files.hosts, "192.0.2.7 mail.example\n").unwrap();
    let found = files.look_up("mail.example", FamilyChoice::Any, soon()).await;
    assert_eq!(found.source, Source::Hosts(vec![IpAddr::from([192, 0, 2, 7])]));
    assert!(found.queries.is_empty());
    let found = files.look_up("mail.example", FamilyChoice::Ipv6, soon()).await;
    assert_eq!(found.source, Source::Dns);
    assert!(found.queries.is_empty(), "there is no resolver");
}

#[tokio::test]
async fn a_resolver_that_vouches_for_its_answer_is_heard_and_asked_to_say_so() {
    let vouching = server(|request| {
        let asked = Message::from_vec(request).unwrap().metadata;
        assert!(asked.authentic_data && !asked.checking_disabled);
        let mut message = truth(request);
        message.metadata.authentic_data = true;
        Some(message)
    })
    .await;
    let plain = server(|request| Some(truth(request))).await;
    for (resolver, dnssec) in [(vouching, "authenticated"), (plain, "not_authenticated")] {
        let queries = configuration(&[resolver])
            .ask("imap.lab.example", FamilyChoice::Ipv4, soon())
            .await;
        assert_eq!(queries[0].dnssec.as_deref(), Some(dnssec));
    }
}

#[tokio::test]
async fn what_a_resolver_withholds_for_its_signatures_is_bogus_and_not_its_failure() {
    let validating = server(|request| {
        let unchecked = Message::from_vec(request).unwrap().metadata.checking_disabled;
        if unchecked {
            return Some(truth(request));
        }
        let mut message = response(request);
        message.metadata.response_code = ResponseCode::ServFail;
        Some(message)
    })
    .await;
    let queries = configuration(&[validating])
        .ask("imap.lab.example", FamilyChoice::Ipv4, soon())
        .await;
    let fault = queries[0].fault.as_ref().unwrap();
    assert_eq!(fault.kind, FaultKind::Dns(DnsFault::Bogus));
    assert!(
        fault.message.contains("192.0.2.1 with DNSSEC checking disabled"),
        "{fault:?}"
    );
    assert_eq!(queries[0].dnssec.as_deref(), Some("bogus"));
    assert_eq!(queries[0].rcode.as_deref(), Some("SERVFAIL"));
    assert!(queries[0].addresses.is_empty(), "what is bogus is not used");
}

/// Has SRV records for the domain above the host, and a TLSA record for port 993 of the host.
fn mail_zone(request: &[u8]) -> Option<Message> {
    let mut message = response(request);
    let asked = message.queries[0].clone();
    let data = match asked.name.to_ascii().as_str() {
        "_imaps._tcp.lab.example." => {
            let host = Name::from_ascii("imap.lab.example.").unwrap();
            RData::SRV(SRV::new(5, 1, 993, host))
        }
        "_imap._tcp.lab.example." => RData::SRV(SRV::new(0, 0, 0, Name::root())),
        "_993._tcp.imap.lab.example." => RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![0xab; 32])),
        _ => {
            message.metadata.response_code = ResponseCode::NXDomain;
            return Some(message);
        }
    };
    message.add_answer(Record::from_rdata(asked.name, 300, data));
    Some(message)
}

#[tokio::test]
async fn the_mail_domain_is_asked_for_its_services_and_the_host_for_its_associations() {
    let configuration = configuration(&[server(mail_zone).await]);
    let services = configuration.services("imap.lab.example", soon()).await;
    let said: Vec<_> = services
        .iter()
        .map(|query| (query.name.as_str(), query.records.join(",")))
        .collect();
    assert_eq!(
        said,
        [
            ("_imaps._tcp.imap.lab.example", String::new()),
            ("_imap._tcp.imap.lab.example", String::new()),
            ("_imaps._tcp.lab.example", "5 1 993 imap.lab.example.".into()),
            ("_imap._tcp.lab.example", "0 0 0 .".into()),
        ]
    );
    assert!(
        services.iter().all(|query| query.fault.is_none()),
        "that there is no record is no fault"
    );
    let associations = configuration
        .associations("imap.lab.example", &[993, 143], soon())
        .await;
    assert_eq!(associations[0].records, [format!("3 1 1 {}", "ab".repeat(32))]);
    assert_eq!(associations[0].ttl_s, Some(300));
    assert!(associations[1].records.is_empty());
}

#[tokio::test]
async fn a_silent_resolver_is_asked_once_for_what_no_client_needs() {
    let silent = server(|_| None).await;
    let until = Instant::now() + Duration::from_millis(300);
    let queries = configuration(&[silent]).services("lab.example", until).await;
    assert_eq!(queries.len(), 2);
    assert!(queries.iter().all(|query| query.fault.is_some()));
}

/// A name server that answers each question as often as there are addresses, in this order.
async fn double(answers: &'static [&'static str], apart: Duration) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            for answer in answers {
                let mut message = response(&buffer[..length]);
                let name = message.queries[0].name.clone();
                let data = RData::from(answer.parse::<IpAddr>().unwrap());
                message.add_answer(Record::from_rdata(name, 60, data));
                socket.send_to(&message.to_vec().unwrap(), client).await.unwrap();
                tokio::time::sleep(apart).await;
            }
        }
    });
    address
}

async fn second_answer(resolver: SocketAddr, wanted: bool) -> (Duration, Vec<IpAddr>) {
    let configuration = configuration(&[resolver]);
    let began = Instant::now();
    let mut queries = configuration
        .ask("imap.lab.example", FamilyChoice::Ipv4, soon())
        .await;
    assert_eq!(queries[0].addresses, ["192.0.2.66".parse::<IpAddr>().unwrap()]);
    configuration.seconds.add_to(&mut queries, wanted).await;
    (began.elapsed(), queries.remove(0).second_answer)
}

#[tokio::test]
async fn a_forged_answer_does_not_keep_the_true_one_from_being_seen() {
    let forged = double(
        &["192.0.2.66", "192.0.2.66", "192.0.2.1"],
        Duration::from_millis(50),
    )
    .await;
    let (_, seen) = second_answer(forged, true).await;
    assert_eq!(seen, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn the_same_answer_twice_is_one() {
    let twice = double(&["192.0.2.66", "192.0.2.66"], Duration::from_millis(10)).await;
    assert!(second_answer(twice, true).await.1.is_empty());
}

#[tokio::test]
async fn nobody_waits_for_a_second_answer_who_has_no_trouble() {
    let slow = double(&["192.0.2.66", "192.0.2.1"], Duration::from_millis(300)).await;
    let (took, seen) = second_answer(slow, false).await;
    assert!(took < Duration::from_millis(250), "{took:?}");
    assert!(seen.is_empty());
}
