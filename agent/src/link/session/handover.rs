//! From one connection to a newer one of the same process, made before the older is broken: no order is lost, and
//! none runs twice.

use std::time::Duration;

use parallax_proto::v1::collector_message::Message as Down;
use tokio::time::timeout;
use tonic::transport::Channel;

use super::{Opened, Session, TO_OPEN, hello};
use crate::link::Road;
use crate::link::orders::Orders;

/// For the older connection to say the rest.
const THE_REST: Duration = Duration::from_secs(5);
/// Until the next try, after one that came to nothing.
pub(super) const STAY: Duration = Duration::from_secs(10);

/// The older connection stays: the newer one came to nothing.
#[derive(Debug)]
pub(super) struct Stayed;

impl Session {
    /// Goes on over a newer connection. The last word over the older one is a heartbeat whose answer says that
    /// everything before it was heard; what is said from then on waits for the newer one. The collector sends no order
    /// over the older one once it has welcomed the newer, and what it sent before is read to the end.
    pub(super) async fn move_to(
        &mut self,
        channel: Channel,
        road: &Road,
        orders: &mut Orders,
    ) -> Result<(), Stayed> {
        let opened = match timeout(TO_OPEN, self.everything_heard(orders)).await {
            Ok(true) => {
                let mut hello = hello(
                    &self.runner,
                    self.results.as_ref(),
                    self.routine.as_ref(),
                    self.instance,
                );
                hello.sealing_proof = road.prove(&self.runner);
                hello.continues = true;
                Opened::with(channel, hello).await.ok()
            }
            Ok(false) | Err(_) => None,
        };
        let held = self.held.take().unwrap_or_default();
        let Some(Opened { up, down, welcome }) = opened else {
            held.into_iter().for_each(|said| self.say(said));
            tracing::warn!("the connection with the older certificate stays for now");
            return Err(Stayed);
        };
        self.up = up;
        self.welcome = welcome;
        if let Some(results) = &mut self.results {
            results.begin_again();
        }
        self.lost_before = self.lost + orders.lost();
        held.into_iter().for_each(|said| self.say(said));
        let mut older = std::mem::replace(&mut self.down, down);
        let rest = async {
            while let Ok(Some(message)) = older.message().await {
                self.hear(message.message, orders);
            }
        };
        // A collector that does not end the older one does not keep the newer one waiting.
        let _ = timeout(THE_REST, rest).await;
        tracing::info!("linked to the collector with the new certificate");
        Ok(())
    }

    /// Waits until the collector has answered one more heartbeat; `false` when the connection ends before.
    async fn everything_heard(&mut self, orders: &mut Orders) -> bool {
        self.beat(orders);
        let last = self.beats;
        self.held = Some(Vec::new());
        while let Ok(Some(message)) = self.down.message().await {
            let is_the_answer =
                matches!(&message.message, Some(Down::Heartbeat(answer)) if answer.sequence >= last);
            self.hear(message.message, orders);
            if is_the_answer {
                return true;
            }
        }
        false
    }
}
