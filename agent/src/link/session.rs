//! One connection to the collector, from hello to its end.

mod handover;
mod parts;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use jiff::Timestamp;
use parallax_proto::v1;
use parallax_proto::v1::agent_link_client::AgentLinkClient;
use parallax_proto::v1::agent_message::Message as Up;
use parallax_proto::v1::collector_message::Message as Down;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::clock::wall_us;
use crate::link::offset::{Exchange, Offset};
use crate::link::orders::Orders;
use crate::link::results::Results;
use crate::link::session::handover::{STAY, Stayed};
use crate::link::session::parts::Parts;
use crate::link::signal::Clocks;
use crate::link::{Ended, Link, Road};
use crate::routine::RoutineHandle;
use crate::runner::Runner;
use crate::schedule::Anchor;
use crate::telemetry::Telemetry;

/// For the collector to take the stream, and then to say welcome.
const TO_OPEN: Duration = Duration::from_secs(10);
/// For the collector to see that this agent leaves.
const FAREWELL: Duration = Duration::from_millis(500);
/// Heartbeats at once after the hello, so that the clocks are known before the first order.
const QUICK: u64 = 3;
/// What a collector may ask for; one that asks for less keeps its agents busy with nothing else.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);

/// Messages that may wait for the connection. The last half is kept for what the collector must hear.
const UP: usize = 256;
/// Of these, what is free before more is read or reported: a message has one answer at most, and an order one end.
const ROOM: usize = 16;

/// A connection.
pub(crate) struct Session {
    up: mpsc::Sender<v1::AgentMessage>,
    /// Reports that found no room among these.
    lost: u64,
    /// Of these and of those that orders lost, how many over an older connection.
    lost_before: u64,
    /// Something that must be heard found none.
    unread: bool,
    down: Streaming<v1::CollectorMessage>,
    runner: Arc<Runner>,
    telemetry: Telemetry,
    /// Results of checks on their way, where there is a spool.
    results: Option<Results>,
    /// The checks that it repeats, if it takes any.
    routine: Option<RoutineHandle>,
    /// What has come of a change that is larger than a message.
    parts: Parts,
    /// Changes of them that are being taken.
    changes: FuturesOrdered<oneshot::Receiver<v1::ChecksApplied>>,
    began: Instant,
    welcome: v1::Welcome,
    offset: Offset,
    beats: u64,
    draining: Option<Duration>,
    instance: Uuid,
    /// What waits for the newer connection, while this one is left.
    held: Option<Vec<Up>>,
    /// What the collector last said of its CAs.
    trust: Vec<u8>,
}

impl Session {
    /// Says hello and waits for the welcome.
    pub(crate) async fn open(channel: Channel, link: &Link) -> Result<Self, Ended> {
        let results = link.spool.clone().map(Results::new);
        let routine = link.routine.clone();
        let mut hello = hello(&link.runner, results.as_ref(), routine.as_ref(), link.instance);
        hello.sealing_proof = link.road.prove(&link.runner);
        let Opened { up, down, welcome } = Opened::with(channel, hello).await?;
        tracing::info!(collector = %welcome.version, agent = %link.runner.name, "linked to the collector");
        Ok(Self {
            up,
            lost: 0,
            lost_before: 0,
            unread: false,
            down,
            telemetry: link.telemetry.clone(),
            runner: link.runner.clone(),
            results,
            // What became of the checks that are kept is news for a collector that has not heard it yet.
            changes: routine.iter().filter_map(RoutineHandle::applied).collect(),
            routine,
            parts: Parts::default(),
            began: Instant::now(),
            welcome,
            offset: Offset::default(),
            beats: 0,
            draining: None,
            instance: link.instance,
            held: None,
            trust: Vec::new(),
        })
    }

    /// Takes orders until the connection ends, or `stop` is done. Whatever runs then is given up: the collector has
    /// written it off.
    pub(crate) async fn serve(
        mut self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        road: &Road,
        replacements: u64,
    ) -> Ended {
        let every = Duration::from_millis(self.welcome.heartbeat_interval_ms.into()).max(SHORTEST_BEAT);
        let patience = Duration::from_millis(self.welcome.heartbeat_timeout_ms.into()).max(every * 2);
        let mut beat = interval(every);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut orders = Orders::new(
            self.runner.clone(),
            self.telemetry.clone(),
            self.welcome.telemetry,
        );
        let mut successor = std::pin::pin!(road.successor(replacements, Duration::ZERO));
        while !self.unread {
            let clocks = Clocks {
                began: self.began,
                offset: &self.offset,
            };
            tokio::select! {
                () = stop.as_mut() => {
                    drop(orders);
                    return self.leave().await;
                }
                message = with_room(&self.up, self.down.message()) => {
                    heard = Instant::now();
                    match message {
                        Ok(Some(message)) => {
                            self.hear(message.message, &mut orders);
                            road.hear_of_trust(&self.trust);
                        }
                        Ok(None) => return self.ended(Ended::Lost("the collector closed the link".to_owned())),
                        Err(status) => return self.ended(Ended::of_status(&status)),
                    }
                }
                messages = with_room(&self.up, orders.news(clocks)) => {
                    for message in messages {
                        self.say(message);
                    }
                }
                batch = next_batch(&mut self.results, &self.up) => self.say(Up::Results(batch)),
                (channel, replacements) = &mut successor => {
                    let moved = tokio::select! {
                        () = stop.as_mut() => {
                            drop(orders);
                            return self.leave().await;
                        }
                        moved = self.move_to(channel, road, &mut orders) => moved,
                    };
                    successor.set(match moved {
                        Ok(()) => road.successor(replacements, Duration::ZERO),
                        // Whatever it is with, the next connection is a newer one.
                        Err(Stayed) => road.successor(u64::MAX, STAY),
                    });
                    heard = Instant::now();
                }
                Some(applied) = self.changes.next() => {
                    if let Ok(applied) = applied {
                        self.say(Up::ChecksApplied(applied));
                    }
                }
                _ = beat.tick() => self.beat(&orders),
                () = tokio::time::sleep_until(heard + patience) => {
                    return Ended::Lost(format!("nothing heard from the collector for {} s", patience.as_secs()));
                }
            }
        }
        Ended::Lost("the collector does not read what this agent says".to_owned())
    }

    fn hear(&mut self, message: Option<Down>, orders: &mut Orders) {
        match message {
            Some(Down::Heartbeat(answer)) => {
                self.learn(&answer);
                self.trust = answer.trust_sha256;
                if self.beats < QUICK {
                    self.beat(orders);
                }
            }
            Some(Down::Order(order)) => {
                let start = order.start_at_us;
                let planned = (start > 0)
                    .then(|| self.offset.to_ours(start))
                    .flatten()
                    .map(|ours| self.began + Duration::from_micros(ours));
                let answer = orders.take(order, planned, self.offset.wall_us());
                self.say(answer);
            }
            Some(Down::Cancel(cancel)) => orders.cancel(&cancel.order_id),
            Some(Down::LoginAnswer(answer)) => orders.login_answered(&answer),
            Some(Down::Draining(draining)) => {
                self.draining = Some(Duration::from_millis(draining.reconnect_after_ms.into()));
            }
            Some(Down::Signal(signal)) => {
                let clocks = Clocks {
                    began: self.began,
                    offset: &self.offset,
                };
                orders.signalled(signal, clocks);
            }
            Some(Down::ResultsKept(kept)) => match &mut self.results {
                Some(results) => results.kept(&kept),
                None => tracing::warn!("the collector has results of an agent that keeps none"),
            },
            Some(Down::Resume(resume)) => match &mut self.results {
                Some(results) => results.resume(&resume),
                None => tracing::warn!("the collector asks for results of an agent that keeps none"),
            },
            Some(Down::Checks(update)) => self.take(update),
            Some(Down::Welcome(_)) => tracing::debug!("the collector says welcome twice"),
            None => tracing::warn!("the collector sent a message of a kind that this agent does not know"),
        }
    }

    fn take(&mut self, update: v1::ChecksUpdate) {
        let Some(routine) = &self.routine else {
            tracing::warn!("the collector sent checks to an agent that takes none");
            return;
        };
        let Some(update) = self.parts.take(update) else {
            return;
        };
        match routine.update(update) {
            Some(applied) => self.changes.push_back(applied),
            // What is not said of them makes the collector tell them again.
            None => tracing::warn!("the collector changes the checks faster than they can be kept"),
        }
    }

    fn beat(&mut self, orders: &Orders) {
        self.beats += 1;
        let beat = v1::Heartbeat {
            sequence: self.beats,
            agent_monotonic_us: self.monotonic_us(),
            agent_wall_us: wall_us(SystemTime::now()),
            rtt_us: self.offset.rtt_us(),
            wall_offset_us: self.offset.wall_us(),
            probes_in_flight: orders.in_flight(),
            reports_dropped: (self.lost + orders.lost()).saturating_sub(self.lost_before),
            spool: self.results.as_ref().map(Results::state),
            schedule: self.routine.as_ref().map(|routine| routine.state().into()),
            ..v1::Heartbeat::default()
        };
        self.say(Up::Heartbeat(beat));
    }

    /// Puts a message on its way. Reports are left out for want of room; without an answer or an end of an order the
    /// collector would wait for nothing, so a link that has no room for one is over.
    fn say(&mut self, said: Up) {
        if let Some(held) = &mut self.held {
            if held.len() < UP {
                held.push(said);
            } else {
                self.unread = true;
            }
            return;
        }
        let report = matches!(
            said,
            Up::Stage(_) | Up::Overdue(_) | Up::Capture(_) | Up::Signal(_)
        );
        // Results that found no room are sent again.
        let again = matches!(said, Up::Heartbeat(_) | Up::Results(_));
        let room = !report || self.up.capacity() > UP / 2;
        // A stream that has ended takes nothing more; its end is heard on the other side.
        let full = !room || matches!(self.up.try_send(message(said)), Err(TrySendError::Full(_)));
        match full {
            true if report => self.lost += 1,
            true if again => {}
            true => self.unread = true,
            false => {}
        }
    }

    fn learn(&mut self, answer: &v1::Heartbeat) {
        let received_us = self.monotonic_us();
        if answer.agent_monotonic_us > received_us {
            tracing::debug!("a heartbeat came back from the future");
            return;
        }
        self.offset.learn(Exchange {
            sent_us: answer.agent_monotonic_us,
            received_us,
            wall_sent_us: answer.agent_wall_us,
            collector_us: answer.collector_monotonic_us,
            collector_wall_us: answer.collector_wall_us,
        });
        let wall = self.offset.collector_wall_us(received_us);
        if let Some(routine) = &self.routine
            && let Some(Ok(wall)) = wall.map(Timestamp::from_microsecond)
        {
            let at = self.began + Duration::from_micros(received_us);
            routine.anchored(Anchor { at, wall });
        }
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn ended(&self, otherwise: Ended) -> Ended {
        match (self.draining, otherwise) {
            (Some(after), Ended::Lost(_)) => Ended::Draining(after),
            (_, other) => other,
        }
    }

    /// Closes this side of the stream and gives the collector a moment to see it.
    async fn leave(self) -> Ended {
        let Self { up, mut down, .. } = self;
        drop(up);
        let closing = async { while let Ok(Some(_)) = down.message().await {} };
        let _ = timeout(FAREWELL, closing).await;
        Ended::Stopped
    }
}

/// A stream that the collector has welcomed.
struct Opened {
    up: mpsc::Sender<v1::AgentMessage>,
    down: Streaming<v1::CollectorMessage>,
    welcome: v1::Welcome,
}

impl Opened {
    async fn with(channel: Channel, hello: v1::Hello) -> Result<Self, Ended> {
        let (up, outgoing) = mpsc::channel(UP);
        // The first message of an empty queue.
        let _ = up.try_send(message(Up::Hello(hello)));
        let opening = async {
            let mut client = AgentLinkClient::new(channel);
            let answer = client.open(ReceiverStream::new(outgoing)).await;
            let mut down = answer.map_err(|status| Ended::of_status(&status))?.into_inner();
            let welcome = welcome(&mut down).await?;
            Ok(Self { up, down, welcome })
        };
        let late = |_| Ended::Lost("the collector does not answer the hello".to_owned());
        timeout(TO_OPEN, opening).await.map_err(late)?
    }
}

/// All but the proof of its key, which takes the certificate that is dialled with now.
fn hello(
    runner: &Runner,
    results: Option<&Results>,
    routine: Option<&RoutineHandle>,
    instance: Uuid,
) -> v1::Hello {
    v1::Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: Orders::capabilities(&runner.policy.now(), routine.is_some()),
        labels: runner.labels.clone().into_iter().collect(),
        sealing_key: runner.sealing_key.public().to_vec(),
        local_credentials: runner.credentials.told().map(Into::into).collect(),
        instance_id: instance.to_string(),
        continues: false,
        spool_epoch: results
            .map(|results| results.epoch().as_bytes().to_vec())
            .unwrap_or_default(),
        checks: routine.map(RoutineHandle::known).unwrap_or_default(),
        sealing_proof: None,
    }
}

async fn welcome(down: &mut Streaming<v1::CollectorMessage>) -> Result<v1::Welcome, Ended> {
    match down.message().await {
        Ok(Some(v1::CollectorMessage {
            message: Some(Down::Welcome(welcome)),
        })) => Ok(welcome),
        Ok(Some(_)) => Err(Ended::Lost(
            "the collector does not begin with a welcome".to_owned(),
        )),
        Ok(None) => Err(Ended::Lost("the collector closed the link at once".to_owned())),
        Err(status) => Err(Ended::of_status(&status)),
    }
}

/// The next results, where there is a spool; only while half of the room is free for what is more urgent.
async fn next_batch(results: &mut Option<Results>, up: &mpsc::Sender<v1::AgentMessage>) -> v1::ResultBatch {
    match results {
        Some(results) => results.next(|| up.capacity() > UP / 2).await,
        None => std::future::pending().await,
    }
}

/// Waits for room first: what is not taken here waits where it comes from.
async fn with_room<T>(up: &mpsc::Sender<v1::AgentMessage>, next: impl Future<Output = T>) -> T {
    // A stream that has ended has room for everything.
    let _room = up.reserve_many(ROOM).await;
    next.await
}

const fn message(message: Up) -> v1::AgentMessage {
    v1::AgentMessage {
        message: Some(message),
    }
}
