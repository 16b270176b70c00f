//! The lab's name server: one zone over UDP and TCP, and a way to answer wrongly to some or to all.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::background::Background;
use crate::namespace::Namespace;
use crate::zone::Zone;

const PORT: u16 = 53;

/// A running name server.
pub struct NameServer {
    views: Arc<Views>,
    _server: Background,
}

/// How a client is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answering {
    /// From the zone.
    #[default]
    Truthfully,
    /// No such name, whatever is asked.
    NoSuchName,
    /// The name exists and has no record of the kind asked for.
    NoAddress,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// Not at all.
    Never,
    /// From the zone, but questions for AAAA get no answer.
    Ipv4Only,
    /// This address for every name, for questions of its family; nothing for the other.
    Instead(IpAddr),
    /// Somebody is faster, with this address for every name; the true answer follows. Over UDP only.
    Forged(IpAddr),
}

struct Views {
    zone: Zone,
    answering: Mutex<ByClient>,
}

#[derive(Default)]
struct ByClient {
    everyone: Answering,
    some: HashMap<IpAddr, Answering>,
}

impl NameServer {
    /// Starts to answer on port 53 of every address of `namespace`.
    pub fn start(namespace: &Namespace, zone: Zone) -> Result<Self> {
        let views = Arc::new(Views {
            zone,
            answering: Mutex::default(),
        });
        let serving = views.clone();
        let server = Background::start(namespace, move || {
            let udp = UdpSocket::bind(("::", PORT)).context("bind UDP port 53")?;
            let tcp = TcpListener::bind(("::", PORT)).context("bind TCP port 53")?;
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            let udp = tokio::net::UdpSocket::from_std(udp)?;
            let tcp = tokio::net::TcpListener::from_std(tcp)?;
            Ok(async move {
                tokio::join!(serve_datagrams(&udp, &serving), serve_connections(&tcp, &serving));
            })
        })?;
        Ok(Self {
            views,
            _server: server,
        })
    }

    /// From now on everyone is answered like this, unless there is another order for the client.
    pub fn answer_everyone(&self, answering: Answering) {
        self.views.answering().everyone = answering;
    }

    /// From now on a client that asks from one of `addresses` is answered like this.
    pub fn answer(&self, addresses: [IpAddr; 2], answering: Answering) {
        self.views
            .answering()
            .some
            .extend(addresses.map(|address| (address, answering)));
    }

    /// Forgets the order for these clients: they are answered like everyone.
    pub fn forget(&self, addresses: [IpAddr; 2]) {
        self.views
            .answering()
            .some
            .retain(|address, _| !addresses.contains(address));
    }
}

impl Views {
    fn answering(&self) -> MutexGuard<'_, ByClient> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &[u8], client: SocketAddr) -> Option<Vec<u8>> {
        self.answer_as(self.order_for(client), request)
    }

    /// What comes over UDP.
    fn datagrams(&self, request: &[u8], client: SocketAddr) -> impl Iterator<Item = Vec<u8>> {
        let order = self.order_for(client);
        let forged = match order {
            Answering::Forged(address) => self.answer_as(Answering::Instead(address), request),
            _ => None,
        };
        forged.into_iter().chain(self.answer_as(order, request))
    }

    fn order_for(&self, client: SocketAddr) -> Answering {
        let orders = self.answering();
        let client = client.ip().to_canonical();
        *orders.some.get(&client).unwrap_or(&orders.everyone)
    }

    fn answer_as(&self, answering: Answering, request: &[u8]) -> Option<Vec<u8>> {
        let request = Message::from_vec(request).ok()?;
        respond(&request, &self.zone, answering)?.to_vec().ok()
    }
}

fn respond(request: &Message, zone: &Zone, answering: Answering) -> Option<Message> {
    let query = request.queries.first()?;
    let mut response = Message::new(
        request.metadata.id,
        MessageType::Response,
        request.metadata.op_code,
    );
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    match answering {
        Answering::Never => return None,
        Answering::Ipv4Only if query.query_type == RecordType::AAAA => return None,
        Answering::ServerFailure => response.metadata.response_code = ResponseCode::ServFail,
        Answering::Refused => response.metadata.response_code = ResponseCode::Refused,
        Answering::NoSuchName => {
            response.metadata.response_code = ResponseCode::NXDomain;
            response.add_authority(zone.soa());
        }
        Answering::NoAddress => {
            response.add_authority(zone.soa());
        }
        Answering::Instead(address) => {
            let data = RData::from(address);
            if data.record_type() == query.query_type {
                response.add_answer(Record::from_rdata(query.name.clone(), 60, data));
            } else {
                response.add_authority(zone.soa());
            }
        }
        Answering::Truthfully | Answering::Ipv4Only | Answering::Forged(_) => {
            let found = zone.find(&query.name, query.query_type);
            if !found.name_exists {
                response.metadata.response_code = ResponseCode::NXDomain;
            }
            if !found
                .records
                .iter()
                .any(|record| record.record_type() == query.query_type)
            {
                response.add_authority(zone.soa());
            }
            response.add_answers(found.records);
        }
    }
    Some(response)
}

async fn serve_datagrams(socket: &tokio::net::UdpSocket, views: &Views) {
    let mut buffer = [0; 4096];
    loop {
        // An ICMP error about an earlier answer is no reason to stop answering.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        for response in views.datagrams(&buffer[..length], client) {
            let _ = socket.send_to(&response, client).await;
        }
    }
}

async fn serve_connections(listener: &tokio::net::TcpListener, views: &Arc<Views>) {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            continue;
        };
        let views = views.clone();
        tokio::spawn(async move {
            // The client sees a broken connection itself.
            let _ = serve_connection(stream, client, &views).await;
        });
    }
}

async fn serve_connection(mut stream: TcpStream, client: SocketAddr, views: &Views) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await?;
        if let Some(response) = views.answer(&request, client) {
            let length = u16::try_from(response.len()).map_err(std::io::Error::other)?;
            stream.write_u16(length).await?;
            stream.write_all(&response).await?;
        }
    }
}
