//! Who may come in: the certificate authority, join tokens, and certificates for those who join.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parallax_identity::{Authorities, Identity, IdentityError};
use parallax_model::identity::{Role, SpiffeId, TrustDomain, Wanted};
use parallax_model::token::{JoinToken, TokenNames};
use parallax_model::vantage::{AgentName, Labels};
use parallax_proto::v1;
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::sync::watch;

use crate::config::Terms;
use crate::peer::Peer;
use crate::store::{CertificateRecord, Sha256, Spent, Standing, Store, StoreError, TokenRecord, token_id};

/// How long a token is good when nothing else is asked.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// What a token is to be good for.
#[derive(Debug, Clone)]
pub(crate) struct TokenWish {
    /// What the joiner becomes.
    pub(crate) role: Role,
    /// Which names may join with it.
    pub(crate) names: TokenNames,
    /// Labels of the agents that join with it.
    pub(crate) labels: Labels,
    /// Whether it takes the place of somebody who is connected.
    pub(crate) takes_over: bool,
    /// How long it is good.
    pub(crate) ttl: Duration,
    /// How often.
    pub(crate) uses: u32,
    /// SPIFFE URI of who wants it; none on the collector's own host.
    pub(crate) by: Option<String>,
}

/// Somebody who got in with a token.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) certificate: v1::Certificate,
    pub(crate) spiffe: SpiffeId,
    /// When the certificate ends.
    pub(crate) ends: Timestamp,
    /// What the token is called.
    pub(crate) token: String,
    /// The labels that are pinned to it now, if the token brought any.
    pub(crate) pinned: Option<Labels>,
}

/// Why somebody does not get a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinRefusal {
    #[error("this token is not known here")]
    Unknown,
    #[error("this token has expired")]
    Expired,
    #[error("this token has been used up")]
    UsedUp,
    #[error("this token has been revoked")]
    Revoked,
    #[error("this token is for {0} only")]
    OtherName(TokenNames),
    #[error("{}", other_kind(*.0, *.1))]
    OtherKind(Role, Wanted),
    #[error("{name} was removed after this token was made: it needs a new one", name = .0.name)]
    RemovedSince(SpiffeId),
    #[error(
        "the {role} {name} has a valid certificate here: remove it first, take another name, or use a token made \
         with --name {name}",
        role = .0.role,
        name = .0.name
    )]
    InUse(SpiffeId),
    #[error(
        "the {role} {name} is connected: remove it first, or use a token made with --name {name} --replace",
        role = .0.role,
        name = .0.name
    )]
    Connected(SpiffeId),
    #[error("this certificate is worth nothing any more; join again with a new token")]
    NotRenewed,
    #[error(
        "this collector has no CA of its own: identities come from the operators' PKI; give the process a certificate \
         for {names} (--certificate, --key and the collector's CA)",
        names = parallax_identity::how_to_call(.0)
    )]
    OwnPki(TrustDomain),
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where identities come from.
enum Source {
    /// From the CA of this collector.
    BuiltIn(watch::Sender<Arc<Authorities>>),
    /// From elsewhere; this collector only looks at them.
    Own(TrustDomain),
}

/// Gives out identities, or knows that others do.
pub(crate) struct Admission {
    source: Source,
    store: Arc<dyn Store>,
    terms: Terms,
}

impl Admission {
    /// The authority of a data directory, made now if there is none.
    pub(crate) fn open(directory: &Path, store: Arc<dyn Store>, terms: Terms) -> Result<Self, IdentityError> {
        let authorities = Authorities::load_or_create(directory)?;
        Ok(Self {
            source: Source::BuiltIn(watch::Sender::new(Arc::new(authorities))),
            store,
            terms,
        })
    }

    /// No authority: certificates are of this trust domain and others issue them.
    pub(crate) fn of_others(domain: TrustDomain, store: Arc<dyn Store>) -> Self {
        Self {
            source: Source::Own(domain),
            store,
            // Nothing is renewed here, so that nothing stays good beyond its end.
            terms: Terms {
                grace: Duration::ZERO,
                ..Terms::default()
            },
        }
    }

    /// An authority that is gone with the process.
    pub(crate) fn ephemeral(store: Arc<dyn Store>) -> Result<Self, IdentityError> {
        let authorities = Authorities::ephemeral()?;
        Ok(Self {
            source: Source::BuiltIn(watch::Sender::new(Arc::new(authorities))),
            store,
            terms: Terms::default(),
        })
    }

    /// On which terms identities are given out.
    pub(crate) const fn terms(&self) -> Terms {
        self.terms
    }

    /// What stays the same of this collector, in hexadecimal.
    pub(crate) fn fingerprint(&self) -> String {
        match &self.source {
            Source::BuiltIn(authorities) => hex::encode(authorities.borrow().fingerprint()),
            Source::Own(domain) => hex::encode(hash(domain.to_string().as_bytes())),
        }
    }

    /// The trust domain of whoever may come in.
    pub(crate) fn domain(&self) -> TrustDomain {
        match &self.source {
            Source::BuiltIn(_) => TrustDomain::BUILT_IN,
            Source::Own(domain) => domain.clone(),
        }
    }

    /// Whether others issue the certificates.
    pub(crate) const fn is_of_others(&self) -> bool {
        matches!(self.source, Source::Own(_))
    }

    /// Why there are no tokens, where others issue the certificates.
    pub(crate) fn sells_nothing(&self) -> Option<JoinRefusal> {
        self.authority().err()
    }

    /// Somebody of that role and name here, whatever trust domain was said.
    pub(crate) fn here(&self, id: SpiffeId) -> SpiffeId {
        SpiffeId {
            domain: self.domain(),
            ..id
        }
    }

    /// Whether the one at the other end was taken out. Nobody inside the process ever is.
    pub(crate) async fn standing(&self, peer: &Peer) -> Result<Standing, StoreError> {
        let (Some(id), Some(sha256)) = (&peer.spiffe, peer.certificate) else {
            return Ok(Standing::Good);
        };
        if !self.is_of_others() {
            return self.store.standing(sha256).await;
        }
        let ends = peer.ends.and_then(|ends| Timestamp::try_from(ends).ok());
        let certificate = CertificateRecord {
            sha256,
            spiffe_id: id.to_string(),
            issued_at: Timestamp::now(),
            not_after: ends.unwrap_or(Timestamp::MAX),
            ca: None,
        };
        self.store.meet(certificate).await
    }

    /// What a holder of a certificate compares with its own: another value, and it renews. Empty where others issue.
    pub(crate) fn trust_digest(&self) -> Vec<u8> {
        match &self.source {
            Source::BuiltIn(authorities) => authorities.borrow().trust_digest().into(),
            Source::Own(_) => Vec::new(),
        }
    }

    /// A rollover was taken one step further beside this process.
    pub(crate) fn take_over(&self, next: Authorities) {
        if let Source::BuiltIn(authorities) = &self.source {
            authorities.send_replace(Arc::new(next));
        }
    }

    /// Tells of such steps.
    pub(crate) fn rollover(&self) -> Option<watch::Receiver<Arc<Authorities>>> {
        match &self.source {
            Source::BuiltIn(authorities) => Some(authorities.subscribe()),
            Source::Own(_) => None,
        }
    }

    fn authority(&self) -> Result<Arc<Authorities>, JoinRefusal> {
        match &self.source {
            Source::BuiltIn(authorities) => Ok(Arc::clone(&authorities.borrow())),
            Source::Own(domain) => Err(JoinRefusal::OwnPki(domain.clone())),
        }
    }

    /// The collector's own identity, for connections under these names.
    pub(crate) fn server(&self, names: &[String]) -> Result<Identity, IdentityError> {
        let name = "collector"
            .parse()
            .map_err(|_| IdentityError::Certificate("name of the collector".into()))?;
        let spiffe = SpiffeId::built_in(Role::Collector, name);
        let authority = self.authority();
        let authority = authority.map_err(|refusal| IdentityError::Certificate(refusal.to_string()))?;
        authority.issue_server(&spiffe, names)
    }

    /// Makes a token. It is shown once; what is kept is the hash of its secret.
    pub(crate) async fn create_token(&self, wish: TokenWish, now: Timestamp) -> anyhow::Result<JoinToken> {
        let authority = self.authority()?;
        let ttl = SignedDuration::try_from(wish.ttl)?;
        let secret: [u8; 24] = rand::random();
        let record = TokenRecord {
            hash: hash(&secret),
            role: wish.role,
            names: wish.names,
            labels: wish.labels,
            takes_over: wish.takes_over,
            created_at: now,
            created_by: wish.by,
            expires_at: now.checked_add(ttl)?,
            uses: wish.uses,
            used: 0,
            revoked_at: None,
        };
        self.store.add_token(record).await?;
        Ok(JoinToken::new(secret, authority.fingerprint()))
    }

    /// Sells a certificate for a token. The token is spent only if a certificate comes of it.
    ///
    /// A name that somebody has is sold again only for a token made for that very name: whoever steals a token for
    /// any name gets no name that is in use. One who is connected keeps it even then, unless the token says otherwise.
    pub(crate) async fn join(
        &self,
        request: v1::JoinRequest,
        is_connected: impl Fn(&SpiffeId) -> bool,
        now: Timestamp,
    ) -> Result<Joined, JoinRefusal> {
        self.authority()?;
        let name: AgentName = request
            .name
            .parse()
            .map_err(|error| JoinRefusal::Malformed(format!("name: {error}")))?;
        let wanted = wanted(&request.wanted)?;
        let hash = hash(&request.token_secret);
        let token = self.store.token(hash).await?.ok_or(JoinRefusal::Unknown)?;
        check(&token, &name, wanted, now)?;
        let spiffe = SpiffeId::built_in(token.role, name);
        let replaces = matches!(token.names, TokenNames::Only(_));
        if replaces && !token.takes_over && is_connected(&spiffe) {
            return Err(JoinRefusal::Connected(spiffe));
        }
        let (certificate, record) = self.issue(&request.csr_der, &spiffe, now)?;
        let ends = record.not_after;
        match self.store.spend_token(hash, record, replaces, now).await? {
            Spent::Bought => {}
            Spent::Worthless => return Err(JoinRefusal::UsedUp),
            Spent::InUse => return Err(JoinRefusal::InUse(spiffe)),
            Spent::RemovedSince => return Err(JoinRefusal::RemovedSince(spiffe)),
        }
        let pinned = if token.labels.is_empty() {
            None
        } else {
            let set = token.labels.clone();
            Some(
                self.store
                    .pin_labels(spiffe.name.clone(), set, Vec::new())
                    .await?,
            )
        };
        Ok(Joined {
            certificate,
            spiffe,
            ends,
            token: token.id(),
            pinned,
        })
    }

    /// A new certificate for the identity that the caller has, and when that ends.
    pub(crate) async fn renew(
        &self,
        peer: &Peer,
        csr_der: &[u8],
        now: Timestamp,
    ) -> Result<(v1::Certificate, Timestamp), JoinRefusal> {
        let (Some(spiffe), Some(presented)) = (&peer.spiffe, peer.certificate) else {
            return Err(JoinRefusal::Malformed("no certificate to renew".into()));
        };
        let (certificate, record) = self.issue(csr_der, spiffe, now)?;
        let ends = record.not_after;
        // The caller may have been taken out while its request was on the way.
        let renewed = self
            .store
            .renew_certificate(presented, peer.is_over(now.into()), record, now);
        if renewed.await? {
            Ok((certificate, ends))
        } else {
            Err(JoinRefusal::NotRenewed)
        }
    }

    fn issue(
        &self,
        csr_der: &[u8],
        spiffe: &SpiffeId,
        now: Timestamp,
    ) -> Result<(v1::Certificate, CertificateRecord), JoinRefusal> {
        let malformed = |error: &dyn std::fmt::Display| JoinRefusal::Malformed(format!("csr_der: {error}"));
        let authority = self.authority()?;
        let chain = authority
            .issue(csr_der, spiffe, self.terms.lifetime)
            .map_err(|error| malformed(&error))?;
        let leaf = chain
            .first()
            .ok_or_else(|| malformed(&"no certificate came of it"))?;
        let lifetime = SignedDuration::try_from(self.terms.lifetime).map_err(|error| malformed(&error))?;
        let record = CertificateRecord {
            sha256: hash(leaf),
            spiffe_id: spiffe.to_string(),
            issued_at: now,
            not_after: now.checked_add(lifetime).map_err(|error| malformed(&error))?,
            ca: Some(authority.fingerprint()),
        };
        let certificate = v1::Certificate {
            chain_der: chain,
            anchors_der: authority.anchors(),
            spiffe_id: spiffe.to_string(),
        };
        Ok((certificate, record))
    }
}

/// What a token is called afterwards.
pub(crate) fn name_of(token: &JoinToken) -> String {
    token_id(&hash(token.secret()))
}

/// SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> Sha256 {
    Hasher::digest(bytes).into()
}

/// Joiners that are older than the question say nothing.
fn wanted(text: &str) -> Result<Option<Wanted>, JoinRefusal> {
    if text.is_empty() {
        return Ok(None);
    }
    let unknown = || JoinRefusal::Malformed("wanted: neither agent nor person".to_owned());
    Wanted::known(text).map(Some).ok_or_else(unknown)
}

fn other_kind(role: Role, wanted: Wanted) -> String {
    let needed = match wanted {
        Wanted::Agent => "an agent needs one made with --role agent",
        Wanted::Person => "`ctl login` needs one made with --role viewer, operator or admin",
    };
    format!("this token is for the role {role}: {needed}")
}

fn check(
    token: &TokenRecord,
    name: &AgentName,
    wanted: Option<Wanted>,
    now: Timestamp,
) -> Result<(), JoinRefusal> {
    if token.expires_at <= now {
        return Err(JoinRefusal::Expired);
    }
    if token.used >= token.uses {
        return Err(JoinRefusal::UsedUp);
    }
    if token.revoked_at.is_some() {
        return Err(JoinRefusal::Revoked);
    }
    match wanted {
        Some(wanted) if !wanted.is(token.role) => return Err(JoinRefusal::OtherKind(token.role, wanted)),
        _ => {}
    }
    if token.names.allow(name) {
        Ok(())
    } else {
        Err(JoinRefusal::OtherName(token.names.clone()))
    }
}

#[cfg(test)]
mod tests {
    use parallax_identity::LocalKey;

    use super::*;
    use crate::store::Sqlite;

    async fn admission() -> Admission {
        parallax_identity::install_provider();
        Admission::ephemeral(Arc::new(Sqlite::in_memory().await.unwrap())).unwrap()
    }

    fn wish(name: Option<&str>, uses: u32) -> TokenWish {
        TokenWish {
            role: Role::Agent,
            names: name.map_or(TokenNames::Any, |name| TokenNames::Only(name.parse().unwrap())),
            labels: Labels::new(),
            takes_over: false,
            ttl: DEFAULT_TTL,
            uses,
            by: None,
        }
    }

    async fn join(
        admission: &Admission,
        request: v1::JoinRequest,
        now: Timestamp,
    ) -> Result<Joined, JoinRefusal> {
        admission.join(request, |_| false, now).await
    }

    fn request(token: &JoinToken, name: &str) -> v1::JoinRequest {
        v1::JoinRequest {
            token_secret: token.secret().to_vec(),
            name: name.into(),
            csr_der: LocalKey::generate().unwrap().csr(&name.parse().unwrap()).unwrap(),
            wanted: String::new(),
        }
    }

    #[tokio::test]
    async fn a_token_buys_one_identity_and_not_a_second() {
        let admission = admission().await;
        let now = Timestamp::now();
        let token = admission.create_token(wish(None, 1), now).await.unwrap();
        let bought = join(&admission, request(&token, "fra-1"), now).await.unwrap();
        assert_eq!(
            bought.certificate.spiffe_id,
            "spiffe://parallax.internal/agent/fra-1"
        );
        let again = join(&admission, request(&token, "fra-2"), now).await;
        assert!(matches!(again, Err(JoinRefusal::UsedUp)));
    }

    #[tokio::test]
    async fn of_many_who_join_at_once_with_one_token_one_gets_in() {
        let admission = admission().await;
        let now = Timestamp::now();
        let token = admission.create_token(wish(None, 1), now).await.unwrap();
        let joins = (0..8).map(|number| join(&admission, request(&token, &format!("a{number}")), now));
        let joined = futures_util::future::join_all(joins).await;
        assert_eq!(joined.iter().filter(|joined| joined.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn an_expired_token_is_told_so() {
        let admission = admission().await;
        let now = Timestamp::now();
        let token = admission.create_token(wish(None, 1), now).await.unwrap();
        let later = now + SignedDuration::from_hours(1);
        let refused = join(&admission, request(&token, "fra-1"), later).await;
        assert!(matches!(refused, Err(JoinRefusal::Expired)));
    }

    #[tokio::test]
    async fn a_token_for_one_name_is_not_spent_by_another() {
        let admission = admission().await;
        let now = Timestamp::now();
        let token = admission.create_token(wish(Some("fra-1"), 1), now).await.unwrap();
        let refused = join(&admission, request(&token, "fra-2"), now).await.unwrap_err();
        assert_eq!(refused.to_string(), "this token is for fra-1 only");
        assert!(join(&admission, request(&token, "fra-1"), now).await.is_ok());
    }

    #[tokio::test]
    async fn a_token_for_another_kind_of_identity_is_not_spent() {
        let admission = admission().await;
        let now = Timestamp::now();
        let as_a = |wanted: &str, token: &JoinToken| v1::JoinRequest {
            wanted: wanted.into(),
            ..request(token, "fra-1")
        };
        for (role, wrong, right) in [
            (Role::Agent, "person", "agent"),
            (Role::Viewer, "agent", "person"),
            (Role::Admin, "agent", ""),
        ] {
            let wish = TokenWish {
                role,
                ..wish(Some("fra-1"), 1)
            };
            let token = admission.create_token(wish, now).await.unwrap();
            let refused = join(&admission, as_a(wrong, &token), now).await.unwrap_err();
            let said = refused.to_string();
            assert!(
                said.starts_with(&format!("this token is for the role {role}: ")),
                "{said}"
            );
            let nonsense = join(&admission, as_a("collector", &token), now).await;
            assert!(matches!(nonsense, Err(JoinRefusal::Malformed(_))));
            let joined = join(&admission, as_a(right, &token), now).await.unwrap();
            assert_eq!(joined.spiffe.role, role);
        }
    }

    #[tokio::test]
    async fn a_bad_request_does_not_spend_the_token() {
        let admission = admission().await;
        let now = Timestamp::now();
        let token = admission.create_token(wish(None, 1), now).await.unwrap();
        let bad = v1::JoinRequest {
            csr_der: vec![1, 2, 3],
            ..request(&token, "fra-1")
        };
        assert!(matches!(
            join(&admission, bad, now).await,
            Err(JoinRefusal::Malformed(_))
        ));
        assert!(join(&admission, request(&token, "fra-1"), now).await.is_ok());
    }

    #[tokio::test]
    async fn a_made_up_secret_is_not_known() {
        let admission = admission().await;
        let token = JoinToken::new([1; 24], [2; 32]);
        let refused = join(&admission, request(&token, "fra-1"), Timestamp::now()).await;
        assert!(matches!(refused, Err(JoinRefusal::Unknown)));
    }

    #[tokio::test]
    async fn only_the_hash_of_a_secret_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("collector.db");
        let store = Arc::new(Sqlite::open(&file).await.unwrap());
        let admission = Admission::open(directory.path(), store.clone(), Terms::default()).unwrap();
        let token = admission
            .create_token(wish(None, 1), Timestamp::now())
            .await
            .unwrap();
        store.close().await.unwrap();
        let kept = std::fs::read(&file).unwrap();
        let held = |needle: &[u8]| kept.windows(needle.len()).any(|window| window == needle);
        assert!(!held(token.secret()), "the secret is in the database");
        assert!(held(&hash(token.secret())));
    }
}
