//! One connection to the collector, from hello to its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parallax_proto::v1;
use parallax_proto::v1::agent_link_client::AgentLinkClient;
use parallax_proto::v1::agent_message::Message as Up;
use parallax_proto::v1::collector_message::Message as Down;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::clock::wall_us;
use crate::link::Ended;
use crate::link::offset::{Exchange, Offset};
use crate::link::orders::Orders;
use crate::link::signal::Clocks;
use crate::runner::Runner;
use crate::telemetry::Telemetry;

/// For the collector to take the stream, and then to say welcome.
const TO_OPEN: Duration = Duration::from_secs(10);
/// For the collector to see that this agent leaves.
const FAREWELL: Duration = Duration::from_millis(500);
/// Heartbeats at once after the hello, so that the clocks are known before the first order.
const QUICK: u64 = 3;
/// What a collector may ask for; one that asks for less keeps its agents busy with nothing else.
const SHORTEST_BEAT: Duration = Duration::from_millis(100);

/// A connection.
pub(crate) struct Session {
    up: mpsc::UnboundedSender<v1::AgentMessage>,
    down: Streaming<v1::CollectorMessage>,
    runner: Arc<Runner>,
    telemetry: Telemetry,
    began: Instant,
    welcome: v1::Welcome,
    offset: Offset,
    beats: u64,
    draining: Option<Duration>,
}

impl Session {
    /// Says hello and waits for the welcome.
    pub(crate) async fn open(
        channel: Channel,
        runner: Arc<Runner>,
        telemetry: Telemetry,
        instance: Uuid,
    ) -> Result<Self, Ended> {
        let (up, outgoing) = mpsc::unbounded_channel();
        say(&up, Up::Hello(hello(&runner, instance)));
        let opening = async {
            let mut client = AgentLinkClient::new(channel);
            let answer = client.open(UnboundedReceiverStream::new(outgoing)).await;
            let mut down = answer.map_err(|status| Ended::of_status(&status))?.into_inner();
            let welcome = welcome(&mut down).await?;
            Ok((down, welcome))
        };
        let late = |_| Ended::Lost("the collector does not answer the hello".to_owned());
        let (down, welcome) = timeout(TO_OPEN, opening).await.map_err(late)??;
        tracing::info!(collector = %welcome.version, agent = %runner.name, "linked to the collector");
        Ok(Self {
            up,
            down,
            telemetry,
            runner,
            began: Instant::now(),
            welcome,
            offset: Offset::default(),
            beats: 0,
            draining: None,
        })
    }

    /// Takes orders until the connection ends, or `stop` is done. Whatever runs then is given up: the collector has
    /// written it off.
    pub(crate) async fn serve(mut self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Ended {
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
        loop {
            tokio::select! {
                () = stop.as_mut() => {
                    drop(orders);
                    return self.leave().await;
                }
                message = self.down.message() => {
                    heard = Instant::now();
                    match message {
                        Ok(Some(message)) => self.hear(message.message, &mut orders),
                        Ok(None) => return self.ended(Ended::Lost("the collector closed the link".to_owned())),
                        Err(status) => return self.ended(Ended::of_status(&status)),
                    }
                }
                messages = orders.news(Clocks { began: self.began, offset: &self.offset }) => {
                    for message in messages {
                        say(&self.up, message);
                    }
                }
                _ = beat.tick() => self.beat(orders.in_flight()),
                () = tokio::time::sleep_until(heard + patience) => {
                    return Ended::Lost(format!("nothing heard from the collector for {} s", patience.as_secs()));
                }
            }
        }
    }

    fn hear(&mut self, message: Option<Down>, orders: &mut Orders) {
        match message {
            Some(Down::Heartbeat(answer)) => {
                self.learn(&answer);
                if self.beats < QUICK {
                    self.beat(orders.in_flight());
                }
            }
            Some(Down::Order(order)) => {
                let start = order.start_at_us;
                let planned = (start > 0)
                    .then(|| self.offset.to_ours(start))
                    .flatten()
                    .map(|ours| self.began + Duration::from_micros(ours));
                let answer = orders.take(order, planned, self.offset.wall_us());
                say(&self.up, answer);
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
            Some(Down::Welcome(_)) => tracing::debug!("the collector says welcome twice"),
            None => tracing::warn!("the collector sent a message of a kind that this agent does not know"),
        }
    }

    fn beat(&mut self, probes_in_flight: u32) {
        self.beats += 1;
        let beat = v1::Heartbeat {
            sequence: self.beats,
            agent_monotonic_us: self.monotonic_us(),
            agent_wall_us: wall_us(SystemTime::now()),
            rtt_us: self.offset.rtt_us(),
            wall_offset_us: self.offset.wall_us(),
            probes_in_flight,
            ..v1::Heartbeat::default()
        };
        say(&self.up, Up::Heartbeat(beat));
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

fn hello(runner: &Runner, instance: Uuid) -> v1::Hello {
    v1::Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: Orders::capabilities(&runner.policy),
        labels: runner.labels.clone().into_iter().collect(),
        sealing_key: runner.sealing_key.public().to_vec(),
        instance_id: instance.to_string(),
        ..v1::Hello::default()
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

/// A stream that has ended takes nothing more; its end is heard on the other side.
fn say(up: &mpsc::UnboundedSender<v1::AgentMessage>, message: Up) {
    let _ = up.send(v1::AgentMessage {
        message: Some(message),
    });
}
