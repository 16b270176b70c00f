//! Answers that come after the first: a question has one answer, and whoever is nearer than the resolver gives another.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use parallax_model::evidence::DnsQuery;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::driver::dns::exchange::DATAGRAM;
use crate::driver::dns::message::Question;

/// How long a second answer is waited for after the first. The nearest forger and the farthest resolver in use are not
/// farther apart.
const WAIT: Duration = Duration::from_millis(400);

/// Listens on where an answer came, while the look-up goes on with it, and as long as anybody may ask what came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seconds(Arc<Mutex<JoinSet<Second>>>);

/// What came for a question after its first answer.
#[derive(Debug)]
struct Second {
    name: String,
    record_type: String,
    resolver: SocketAddr,
    addresses: Vec<IpAddr>,
}

impl Seconds {
    /// Listens for another answer to a question that has one.
    pub(super) fn listen(&self, socket: UdpSocket, question: Question, answered: &DnsQuery) {
        let until = Instant::now() + WAIT;
        let first: HashSet<IpAddr> = answered.addresses.iter().copied().collect();
        let (name, record_type) = (answered.name.clone(), answered.record_type.clone());
        let resolver = answered.resolver;
        let listening = async move {
            Second {
                name,
                record_type,
                resolver,
                addresses: different(&socket, &question, &first, until).await,
            }
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(listening);
    }

    /// Adds what came to the questions. What is still listened for is waited for only `if_wanted`: whoever has no
    /// trouble has no use for it.
    pub(crate) async fn add_to(&self, queries: &mut [DnsQuery], if_wanted: bool) {
        let mut listening = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        loop {
            let ended = if if_wanted {
                listening.join_next().await
            } else {
                listening.try_join_next()
            };
            let Some(ended) = ended else { break };
            let Ok(second) = ended else { continue };
            let asked = queries.iter_mut().find(|query| {
                query.name == second.name
                    && query.record_type == second.record_type
                    && query.resolver == second.resolver
                    && query.rcode.is_some()
            });
            if let Some(query) = asked {
                query.second_answer = second.addresses;
            }
        }
    }
}

/// The addresses of the first answer that gives others than the one before; none when the time is over.
async fn different(
    socket: &UdpSocket,
    question: &Question,
    first: &HashSet<IpAddr>,
    until: Instant,
) -> Vec<IpAddr> {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let Ok(Ok(length)) = timeout_at(until, socket.recv(&mut datagram)).await else {
            return Vec::new();
        };
        let Some(answer) = question.answered_by(&datagram[..length]) else {
            continue;
        };
        let others: HashSet<IpAddr> = answer.addresses.iter().copied().collect();
        if !others.is_empty() && others != *first {
            return answer.addresses;
        }
    }
}
