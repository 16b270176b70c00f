//! The way to the collector: TCP, our own TLS, HTTP/2 with keepalive.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use hyper_util::rt::TokioIo;
use parallax_model::credential::SealingProof;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::address::CollectorAddress;
use crate::explain::explain;
use crate::identity::Identity;
use crate::leaf;
use crate::proof;
use crate::reach::reach;
use crate::trust::TrustError;

/// For name, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the collector could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection, or one that ended before TLS was up.
    #[error("connect to {address}: {source}")]
    Unreachable {
        /// The collector.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The other end is not our collector, as far as its certificate tells.
    #[error("TLS with {address}: {reason}")]
    Untrusted {
        /// The collector.
        address: String,
        /// What is wrong with its certificate.
        reason: TrustError,
    },
    /// The other end does not speak TLS as we do, or does not want us.
    #[error("TLS with {address}: {message}")]
    Tls {
        /// The collector.
        address: String,
        /// What TLS said, in words.
        message: String,
    },
    /// This process's own certificate is over.
    #[error("this process's own certificate has expired: join again with a new token, or renew its file")]
    OwnExpired,
    /// This process's own certificate begins later than this host's clock says it is.
    #[error("this process's own certificate is not valid yet: is this host's clock right?")]
    OwnNotValidYet,
}

impl DialError {
    /// Whether dialling again can help without anybody's doing something about this process.
    pub const fn may_retry(&self) -> bool {
        !matches!(self, Self::OwnExpired)
    }
}

/// Dials one collector as one identity, which may be replaced by its renewal meanwhile.
#[derive(Clone)]
pub struct Dialer {
    address: CollectorAddress,
    caller: Arc<RwLock<Caller>>,
    /// How often it was replaced.
    replaced: watch::Sender<u64>,
    /// Whether the collector trusts other CAs by now, or another issues.
    moved: watch::Sender<bool>,
    /// Whether the collector has said that it does not take the identity.
    refused: watch::Sender<bool>,
}

/// As whom to dial.
#[derive(Clone)]
struct Caller {
    config: Arc<ClientConfig>,
    /// Not before, not after; none for a joiner, which has no certificate.
    validity: Option<(SystemTime, SystemTime)>,
    /// The CAs it knows; none for a joiner.
    trust: Option<[u8; 32]>,
}

impl Dialer {
    /// A dialer for an identity.
    pub fn new(address: CollectorAddress, identity: &Identity) -> Result<Self, rustls::Error> {
        Ok(Self::with_caller(address, Caller::of(identity)?))
    }

    /// A dialer without a certificate.
    pub(crate) fn anonymous(address: CollectorAddress, config: Arc<ClientConfig>) -> Self {
        Self::with_caller(
            address,
            Caller {
                config,
                validity: None,
                trust: None,
            },
        )
    }

    fn with_caller(address: CollectorAddress, caller: Caller) -> Self {
        Self {
            address,
            caller: Arc::new(RwLock::new(caller)),
            replaced: watch::Sender::default(),
            moved: watch::Sender::default(),
            refused: watch::Sender::default(),
        }
    }

    /// Uses another identity from the next connection on.
    pub fn replace(&self, identity: &Identity) -> Result<(), rustls::Error> {
        let caller = Caller::of(identity)?;
        *self.caller.write().unwrap_or_else(PoisonError::into_inner) = caller;
        self.moved.send_replace(false);
        self.refused.send_replace(false);
        self.replaced.send_modify(|times| *times += 1);
        Ok(())
    }

    /// How often the identity was replaced so far.
    pub fn replacements(&self) -> u64 {
        *self.replaced.borrow()
    }

    /// Waits until another identity is used than after so many replacements.
    pub async fn replaced_since(&self, replacements: u64) {
        let mut replaced = self.replaced.subscribe();
        // The sender is here.
        let _ = replaced.wait_for(|times| *times != replacements).await;
    }

    /// The collector's [`Authorities::trust_digest`](crate::Authorities::trust_digest), as it says it.
    pub fn hear_of_trust(&self, digest: &[u8]) {
        let moved = self
            .caller()
            .trust
            .is_some_and(|own| !digest.is_empty() && digest != own);
        self.moved
            .send_if_modified(|known| std::mem::replace(known, moved) != moved);
    }

    /// Whether a renewal would bring other trust anchors, or the certificate of another CA.
    pub fn trust_has_moved(&self) -> bool {
        *self.moved.borrow()
    }

    /// Waits until it would.
    pub async fn trust_moves(&self) {
        let mut moved = self.moved.subscribe();
        // The sender is here.
        let _ = moved.wait_for(|moved| *moved).await;
    }

    /// The collector does not take the identity, whatever its certificate says: it was removed, or is not known.
    pub fn hear_of_refusal(&self) {
        self.refused.send_replace(true);
    }

    /// Waits until that is so; each time it is heard is told once.
    pub async fn refusal(&self) {
        let mut refused = self.refused.subscribe();
        // The sender is here.
        let _ = refused.wait_for(|refused| *refused).await;
        self.refused.send_replace(false);
    }

    /// Proves a sealing key with the certificate that it dials with now; none for a joiner.
    pub fn prove(&self, sealing_key: &[u8]) -> Option<SealingProof> {
        let caller = self.caller();
        proof::prove(&*caller.config.client_auth_cert_resolver, sealing_key)
    }

    /// Where it dials.
    pub const fn address(&self) -> &CollectorAddress {
        &self.address
    }

    /// Connects now. A connection that is lost is not made again: the caller dials.
    ///
    /// In TLS 1.3 the collector judges our certificate after our handshake is over, so that a refusal shows in the
    /// first call: [`explain`](crate::explain) puts it in words.
    pub async fn connect(&self) -> Result<Channel, DialError> {
        self.caller().is_valid(SystemTime::now())?;
        self.connect_to_renew().await
    }

    /// The same, whether or not our own certificate is over: the collector decides whether it can still be renewed.
    pub async fn connect_to_renew(&self) -> Result<Channel, DialError> {
        let stream = self.open().await?;
        let mut once = Some(TokioIo::new(stream));
        let connector = service_fn(move |_: Uri| {
            let stream = once
                .take()
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            async move { stream }
        });
        self.endpoint()
            .connect_with_connector(connector)
            .await
            .map_err(|error| self.failed(&explain(&error)))
    }

    /// A channel that connects when it is used, and again after a loss.
    pub fn lazy(&self) -> Channel {
        let dialer = self.clone();
        self.endpoint()
            .connect_with_connector_lazy(service_fn(move |_: Uri| {
                let dialer = dialer.clone();
                async move {
                    let valid = dialer.caller().is_valid(SystemTime::now());
                    valid.map_err(io::Error::other)?;
                    dialer.open().await.map(TokioIo::new).map_err(io::Error::other)
                }
            }))
    }

    fn caller(&self) -> Caller {
        self.caller.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let late = |_| self.unreachable(io::ErrorKind::TimedOut.into());
        tokio::time::timeout(CONNECT_TIMEOUT, self.open_unhurried())
            .await
            .map_err(late)?
    }

    async fn open_unhurried(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let caller = self.caller();
        let name = ServerName::try_from(self.address.host().to_owned())
            .map_err(|error| self.failed(&error.to_string()))?;
        let tcp = reach(self.address.host(), self.address.port())
            .await
            .map_err(|error| self.unreachable(error))?;
        // Nagle's algorithm would hold back an order until the one before it is acknowledged.
        tcp.set_nodelay(true).map_err(|error| self.unreachable(error))?;
        let stream = TlsConnector::from(caller.config).connect(name, tcp).await;
        let stream = stream.map_err(|error| self.handshake_failed(error))?;
        if let Some(shown) = stream.get_ref().1.peer_certificates() {
            self.hear_of_trust(&leaf::trust_shown(shown).unwrap_or_default());
        }
        Ok(stream)
    }

    fn endpoint(&self) -> Endpoint {
        // The scheme is http because TLS is ours, below.
        let uri = format!("http://{}", self.address);
        Endpoint::from_shared(uri)
            .unwrap_or_else(|_| Endpoint::from_static("http://collector"))
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
    }

    fn unreachable(&self, source: io::Error) -> DialError {
        DialError::Unreachable {
            address: self.address.to_string(),
            source,
        }
    }

    fn failed(&self, message: &str) -> DialError {
        DialError::Tls {
            address: self.address.to_string(),
            message: message.to_owned(),
        }
    }

    fn handshake_failed(&self, error: io::Error) -> DialError {
        let Some(tls) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return self.unreachable(error);
        };
        match TrustError::in_tls(tls) {
            Some(reason) => DialError::Untrusted {
                address: self.address.to_string(),
                reason,
            },
            None if matches!(tls, rustls::Error::InvalidMessage(_)) => {
                self.failed("the other end does not speak TLS: is this the collector's gRPC port?")
            }
            None => self.failed(&explain(tls)),
        }
    }
}

impl Caller {
    fn of(identity: &Identity) -> Result<Self, rustls::Error> {
        let validity = Some((identity.not_before(), identity.not_after()));
        Ok(Self {
            config: identity.client_config()?,
            validity,
            trust: Some(identity.trust_digest()),
        })
    }

    fn is_valid(&self, now: SystemTime) -> Result<(), DialError> {
        match self.validity {
            Some((not_before, _)) if now < not_before => Err(DialError::OwnNotValidYet),
            Some((_, not_after)) if now >= not_after => Err(DialError::OwnExpired),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::testing::{
        Collector, agent, agent_as_collector, agent_id, agent_valid, collector_valid, from_hours,
    };
    use crate::{Authority, JoinError, LocalKey, renew};

    fn authority() -> Arc<Authority> {
        Arc::new(Authority::ephemeral().unwrap())
    }

    async fn dial(collector: &Collector, identity: &Identity) -> Result<Channel, DialError> {
        Dialer::new(collector.address.clone(), identity)
            .unwrap()
            .connect()
            .await
    }

    async fn refusal(collector: &Collector, identity: &Identity) -> TrustError {
        match dial(collector, identity).await {
            Err(DialError::Untrusted { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn call(channel: &Channel, identity: &Identity) -> Result<Identity, JoinError> {
        renew(channel.clone(), identity, &LocalKey::generate().unwrap()).await
    }

    #[tokio::test]
    async fn the_collector_of_another_ca_is_not_trusted() {
        let (ours, theirs) = (authority(), authority());
        let collector = Collector::start(&theirs).await;
        assert_eq!(
            refusal(&collector, &agent(&ours)).await,
            TrustError::AnotherAuthority
        );
    }

    #[tokio::test]
    async fn an_agent_can_not_pass_for_the_collector() {
        let authority = authority();
        let impostor = Collector::start_as(&authority, &agent_as_collector(&authority)).await;
        let reason = refusal(&impostor, &agent(&authority)).await;
        assert!(matches!(reason, TrustError::Unacceptable(_)), "{reason}");
    }

    #[tokio::test]
    async fn a_certificate_outside_its_dates_makes_one_think_of_the_clock() {
        let authority = authority();
        for (validity, expected) in [
            (from_hours(-2, -1), TrustError::Expired),
            (from_hours(1, 2), TrustError::NotValidYet),
        ] {
            let identity = collector_valid(&authority, validity);
            let collector = Collector::start_as(&authority, &identity).await;
            let reason = refusal(&collector, &agent(&authority)).await;
            assert_eq!(reason, expected);
            assert!(
                reason.to_string().ends_with("is this host's clock right?"),
                "{reason}"
            );
        }
    }

    #[tokio::test]
    async fn a_process_whose_own_certificate_is_over_says_so_and_does_not_dial() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let error = dial(&collector, &agent_valid(&authority, from_hours(-2, -1)))
            .await
            .unwrap_err();
        assert!(
            matches!(error, DialError::OwnExpired) && !error.may_retry(),
            "{error}"
        );
        let error = dial(&collector, &agent_valid(&authority, from_hours(1, 2)))
            .await
            .unwrap_err();
        assert!(
            matches!(error, DialError::OwnNotValidYet) && error.may_retry(),
            "{error}"
        );
        assert!(collector.seen.peers().is_empty());
    }

    /// With a clock that is wrong, or with bad will, the process dials all the same.
    #[tokio::test]
    async fn the_collector_refuses_an_expired_certificate_and_one_of_another_ca() {
        let (authority, other) = (authority(), authority());
        let collector = Collector::start(&authority).await;
        let expired = agent_valid(&authority, from_hours(-2, -1));
        let key = LocalKey::generate().unwrap();
        let csr = key.csr(&agent_id().name).unwrap();
        let chain = other.issue(&csr, &agent_id(), crate::LEAF_LIFETIME).unwrap();
        let foreign = Identity::new(&key, chain, vec![authority.certificate().to_vec()]).unwrap();
        for (identity, expected) in [
            (expired, "takes this process's certificate for expired"),
            (foreign, "does not know this process's certificate"),
        ] {
            let dialer = Dialer::anonymous(collector.address.clone(), identity.client_config().unwrap());
            let error = match dialer.connect().await {
                Ok(channel) => call(&channel, &identity).await.unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(expected), "{error}");
        }
        assert!(collector.seen.peers().is_empty());
    }

    #[tokio::test]
    async fn a_lazy_channel_comes_back_by_itself_and_as_who_it_is_by_then() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let (old, new) = (agent(&authority), agent(&authority));
        let dialer = Dialer::new(collector.address.clone(), &old).unwrap();
        let channel = dialer.lazy();
        call(&channel, &old).await.unwrap();
        dialer.replace(&new).unwrap();
        collector.hang_up().await;
        // The first call after a loss may be the one that finds it out.
        let back = async { while call(&channel, &new).await.is_err() {} };
        tokio::time::timeout(CONNECT_TIMEOUT, back).await.unwrap();
        assert!(collector.seen.peers().len() >= 2);
    }

    #[tokio::test]
    async fn a_channel_that_was_dialled_is_over_when_its_connection_is() {
        let authority = authority();
        let collector = Collector::start(&authority).await;
        let identity = agent(&authority);
        let channel = dial(&collector, &identity).await.unwrap();
        call(&channel, &identity).await.unwrap();
        collector.hang_up().await;
        for _ in 0..3 {
            let error = call(&channel, &identity).await.unwrap_err();
            assert!(matches!(error, JoinError::Unavailable(_)), "{error}");
        }
        assert_eq!(collector.seen.peers().len(), 1);
    }

    #[tokio::test]
    async fn a_port_that_does_not_speak_tls_and_one_that_hangs_up_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: CollectorAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
        let dialer = Dialer::new(address, &agent(&authority())).unwrap();
        let answer = async {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            tcp
        };
        let (error, _tcp) = tokio::join!(dialer.connect(), answer);
        let error = error.unwrap_err();
        assert!(error.to_string().contains("does not speak TLS"), "{error}");
        let hang_up = async { drop(listener.accept().await.unwrap()) };
        let (error, ()) = tokio::join!(dialer.connect(), hang_up);
        assert!(matches!(error, Err(DialError::Unreachable { .. })), "{error:?}");
    }
}
