//! The certificate authorities of one collector: one issues, and during a rollover a second is trusted beside it.
//!
//! A rollover has three steps. `prepare` makes the next CA and a cross certificate for it from the present one; from then
//! on both are anchors. `switch` has the next one issue. Until `retire`, the collector's own chain leads to both: whoever
//! slept through the first two steps, or holds a token from before, still knows it by the old one.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parallax_model::identity::SpiffeId;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use crate::authority::{Authority, Names};
use crate::identity::{Identity, IdentityError, read_certificates, to_pem};
use crate::store::{self, Readers};

const STATE_FILE: &str = "ca-state";
const LOCK_FILE: &str = "ca.lock";

/// How far a rollover has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// None is under way: one CA issues and is trusted.
    Settled,
    /// The next CA is trusted, and does not issue yet.
    Prepared,
    /// It issues; the last one is still trusted.
    Switched,
}

/// Why a step of a rollover is not made.
#[derive(Debug, thiserror::Error)]
pub enum RolloverError {
    /// Another step comes first.
    #[error("{0}")]
    OutOfTurn(&'static str),
    /// Files can't be read or written, or a certificate not be made.
    #[error(transparent)]
    Files(#[from] IdentityError),
}

/// A CA that is trusted, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// Whether it issues.
    pub issues: bool,
    /// When it ends.
    pub not_after: SystemTime,
}

/// The authorities of one collector.
pub struct Authorities {
    issuing: Authority,
    other: Option<Other>,
    state: State,
}

/// The CA that is trusted beside the one that issues.
struct Other {
    certificate: CertificateDer<'static>,
    /// Of the one that issues, from this one.
    cross: Option<CertificateDer<'static>>,
}

/// Which generations there are; the first has the number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    issuing: u32,
    trusted: Option<u32>,
}

impl Authorities {
    /// The authorities kept in a directory, made now if there are none. Programs that start at the same time get the same.
    pub fn load_or_create(directory: &Path) -> Result<Self, IdentityError> {
        match State::read(directory)? {
            Some(state) => Self::load(directory, state),
            None => Ok(Self::alone(Authority::load_or_create(directory)?, State::FIRST)),
        }
    }

    /// An authority that lives as long as the process.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        Ok(Self::alone(Authority::ephemeral()?, State::FIRST))
    }

    const fn alone(issuing: Authority, state: State) -> Self {
        Self {
            issuing,
            other: None,
            state,
        }
    }

    fn load(directory: &Path, state: State) -> Result<Self, IdentityError> {
        let names = Names::of(state.issuing);
        let missing = |what| IdentityError::Incomplete {
            path: directory.to_owned(),
            what,
        };
        let issuing = Authority::load(directory, &names)?.ok_or_else(|| missing("the CA that issues"))?;
        let other = state.trusted.map(|number| {
            let certificate = first(directory, &Names::of(number).certificate)?;
            let certificate = certificate.ok_or_else(|| missing("the CA that is trusted beside it"))?;
            let cross = if number < state.issuing {
                first(directory, &names.cross)?
            } else {
                None
            };
            Ok::<_, IdentityError>(Other { certificate, cross })
        });
        Ok(Self {
            issuing,
            other: other.transpose()?,
            state,
        })
    }

    /// Makes the next CA: from now on both are anchors.
    pub fn prepare(directory: &Path) -> Result<Self, RolloverError> {
        let (_held, present) = Self::held(directory)?;
        match present.phase() {
            Phase::Settled => {}
            Phase::Prepared => return Err(RolloverError::OutOfTurn("the next CA is prepared: switch to it")),
            Phase::Switched => {
                return Err(RolloverError::OutOfTurn(
                    "the last rollover is not over: retire the old CA",
                ));
            }
        }
        let state = State {
            issuing: present.state.issuing,
            trusted: Some(present.state.issuing + 1),
        };
        let names = Names::of(present.state.issuing + 1);
        let next = Authority::create(directory, &names)?;
        let cross = present.issuing.cross_sign(&next, &names)?;
        write(&directory.join(&names.cross), &to_pem(&[cross]))?;
        state.write(directory)?;
        Ok(Self::load(directory, state)?)
    }

    /// Has the next CA issue. The key of the last one is deleted: nothing is signed with it any more.
    pub fn switch(directory: &Path) -> Result<Self, RolloverError> {
        let (_held, present) = Self::held(directory)?;
        let (Phase::Prepared, Some(next)) = (present.phase(), present.state.trusted) else {
            return Err(RolloverError::OutOfTurn(
                "no next CA is prepared: prepare one, and let the agents hear of it",
            ));
        };
        let state = State {
            issuing: next,
            trusted: Some(present.state.issuing),
        };
        let switched = Self::load(directory, state)?;
        state.write(directory)?;
        remove(&directory.join(Names::of(present.state.issuing).key))?;
        Ok(switched)
    }

    /// Trusts the last CA no more. Whether anybody still needs it is the caller's to know.
    pub fn retire(directory: &Path) -> Result<Self, RolloverError> {
        let (_held, present) = Self::held(directory)?;
        let (Phase::Switched, Some(last)) = (present.phase(), present.state.trusted) else {
            return Err(RolloverError::OutOfTurn(
                "there is no old CA: prepare the next one and switch to it first",
            ));
        };
        let state = State {
            issuing: present.state.issuing,
            trusted: None,
        };
        state.write(directory)?;
        let names = Names::of(last);
        for file in [&names.certificate, &names.key, &names.cross] {
            remove(&directory.join(file))?;
        }
        Ok(Self::load(directory, state)?)
    }

    /// What changes with every step of a rollover.
    pub fn stamp(directory: &Path) -> Option<Vec<u8>> {
        fs::read(directory.join(STATE_FILE)).ok()
    }

    /// How far a rollover has come.
    pub fn phase(&self) -> Phase {
        match self.state.trusted {
            None => Phase::Settled,
            Some(number) if number > self.state.issuing => Phase::Prepared,
            Some(_) => Phase::Switched,
        }
    }

    /// SHA-256 of the certificate of the CA that issues: what a join token carries.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.issuing.fingerprint()
    }

    /// A certificate for the key of a PKCS#10 request, as [`Authority::issue`] makes it.
    pub fn issue(
        &self,
        csr_der: &[u8],
        spiffe: &SpiffeId,
        lifetime: Duration,
    ) -> Result<Vec<Vec<u8>>, IdentityError> {
        self.issuing.issue(csr_der, spiffe, lifetime)
    }

    /// The collector's own identity, valid for these host names and addresses. Beside its certificate it shows what
    /// leads to every anchor, and the anchors: a joiner looks for the one in its token.
    pub fn issue_server(&self, spiffe: &SpiffeId, names: &[String]) -> Result<Identity, IdentityError> {
        let other = self.other.iter();
        let above = other.flat_map(|other| other.cross.iter().chain([&other.certificate]));
        self.issuing
            .issue_server_beside(spiffe, names, above.map(|above| above.to_vec()), self.anchors())
    }

    /// The certificates of the CAs to trust, DER; first the one that issues.
    pub fn anchors(&self) -> Vec<Vec<u8>> {
        let other = self.other.iter().map(|other| other.certificate.to_vec());
        [self.issuing.certificate().to_vec()]
            .into_iter()
            .chain(other)
            .collect()
    }

    /// The same, as they are shown.
    pub fn shown(&self) -> Vec<Anchor> {
        let anchors = self.anchors().into_iter().enumerate();
        let shown = anchors.map(|(at, der)| Anchor {
            sha256: Sha256::digest(&der).into(),
            issues: at == 0,
            not_after: crate::leaf::ends(&der),
            der,
        });
        shown.collect()
    }

    /// The same, PEM.
    pub fn to_pem(&self) -> String {
        let anchors: Vec<_> = self.anchors().into_iter().map(CertificateDer::from).collect();
        to_pem(&anchors)
    }

    /// What a holder of a certificate compares with its own [`Identity::trust_digest`].
    pub fn trust_digest(&self) -> [u8; 32] {
        trust_digest(self.issuing.certificate(), self.anchors())
    }

    fn held(directory: &Path) -> Result<(fs::File, Self), IdentityError> {
        let lock = directory.join(LOCK_FILE);
        let held = store::lock(&lock).map_err(IdentityError::file(&lock))?;
        let present = match State::read(directory)? {
            Some(state) => Self::load(directory, state)?,
            None => {
                let first = Authority::load(directory, &Names::of(1))?;
                let first = first.ok_or_else(|| IdentityError::Incomplete {
                    path: directory.to_owned(),
                    what: "a CA",
                })?;
                Self::alone(first, State::FIRST)
            }
        };
        Ok((held, present))
    }
}

/// Which CA issues and which are trusted, in one value: it changes with every step of a rollover.
pub(crate) fn trust_digest(issuing: &[u8], anchors: impl IntoIterator<Item = impl AsRef<[u8]>>) -> [u8; 32] {
    let mut each: Vec<_> = anchors.into_iter().map(|anchor| Sha256::digest(anchor)).collect();
    each.sort_unstable();
    each.iter()
        .fold(Sha256::new().chain_update(Sha256::digest(issuing)), |all, one| {
            all.chain_update(one)
        })
        .finalize()
        .into()
}

impl State {
    const FIRST: Self = Self {
        issuing: 1,
        trusted: None,
    };

    fn read(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(STATE_FILE);
        let Some(text) = store::read(&path).map_err(IdentityError::file(&path))? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&text);
        let number = |word: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(word))?;
            line.trim().parse().ok()
        };
        let issuing = number("issuing ")
            .ok_or_else(|| IdentityError::Certificate(format!("{}: unreadable", path.display())))?;
        Ok(Some(Self {
            issuing,
            trusted: number("trusted "),
        }))
    }

    fn write(self, directory: &Path) -> Result<(), IdentityError> {
        let trusted = self.trusted.map(|number| format!("trusted {number}\n"));
        let text = format!("issuing {}\n{}", self.issuing, trusted.unwrap_or_default());
        write(&directory.join(STATE_FILE), &text)
    }
}

fn first(directory: &Path, file: &str) -> Result<Option<CertificateDer<'static>>, IdentityError> {
    let certificates = read_certificates(&directory.join(file))?;
    Ok(certificates.and_then(|certificates| certificates.into_iter().next()))
}

fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    store::write_whole(path, text.as_bytes(), Readers::All).map_err(IdentityError::file(path))
}

fn remove(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(IdentityError::file(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::{Collector, agent_id, collector_id};
    use crate::trust::TrustError;
    use crate::{DialError, Dialer, JoinError, Joiner, LEAF_LIFETIME, LocalKey, join};
    use parallax_model::token::JoinToken;

    fn agent(authorities: &Authorities) -> Identity {
        let key = LocalKey::generate().unwrap();
        let csr = key.csr(&agent_id().name).unwrap();
        let chain = authorities.issue(&csr, &agent_id(), LEAF_LIFETIME).unwrap();
        Identity::new(&key, chain, authorities.anchors()).unwrap()
    }

    async fn collector(authorities: &Authorities) -> Collector {
        let identity = authorities
            .issue_server(&collector_id(), &["127.0.0.1".to_owned()])
            .unwrap();
        Collector::start_as(&Arc::new(Authority::ephemeral().unwrap()), &identity).await
    }

    async fn dial(collector: &Collector, identity: &Identity) -> Result<(), DialError> {
        let dialer = Dialer::new(collector.address.clone(), identity).unwrap();
        dialer.connect().await.map(|_| ())
    }

    #[tokio::test]
    async fn one_who_slept_from_before_the_rollover_knows_the_collector_until_the_old_ca_is_retired() {
        let directory = tempfile::tempdir().unwrap();
        let first = Authorities::load_or_create(directory.path()).unwrap();
        let sleeper = agent(&first);
        let prepared = Authorities::prepare(directory.path()).unwrap();
        assert_eq!((prepared.phase(), prepared.anchors().len()), (Phase::Prepared, 2));
        assert_eq!(
            prepared.fingerprint(),
            first.fingerprint(),
            "it does not issue yet"
        );
        dial(&collector(&prepared).await, &sleeper).await.unwrap();

        let switched = Authorities::switch(directory.path()).unwrap();
        assert_eq!(switched.phase(), Phase::Switched);
        assert_ne!(switched.fingerprint(), first.fingerprint());
        let both = collector(&switched).await;
        dial(&both, &sleeper).await.unwrap();
        dial(&both, &agent(&prepared)).await.unwrap();
        let awake = agent(&switched);
        dial(&both, &awake).await.unwrap();

        let retired = Authorities::retire(directory.path()).unwrap();
        assert_eq!((retired.phase(), retired.anchors().len()), (Phase::Settled, 1));
        let new = collector(&retired).await;
        dial(&new, &awake).await.unwrap();
        let refused = dial(&new, &sleeper).await.unwrap_err();
        assert!(
            matches!(
                &refused,
                DialError::Untrusted {
                    reason: TrustError::AnotherAuthority,
                    ..
                }
            ),
            "{refused}"
        );
        let again = Authorities::load_or_create(directory.path()).unwrap();
        assert_eq!(again.fingerprint(), retired.fingerprint());
    }

    #[tokio::test]
    async fn a_token_from_before_the_switch_finds_the_collector_until_the_old_ca_is_retired() {
        let directory = tempfile::tempdir().unwrap();
        let first = Authorities::load_or_create(directory.path()).unwrap();
        let token = JoinToken::new(crate::testing::SECRET, first.fingerprint());
        Authorities::prepare(directory.path()).unwrap();
        let switched = Authorities::switch(directory.path()).unwrap();
        let both = collector(&switched).await;
        let joined = async |collector: &Collector| {
            let key = LocalKey::generate().unwrap();
            join(&collector.address, &token, Joiner::agent(&agent_id().name), &key)
                .await
                .map(|_| ())
        };
        // This collector issues from elsewhere, so that the joiner turns its answer down; it has been told the secret.
        let answer = joined(&both).await.unwrap_err();
        assert!(matches!(answer, JoinError::Answer(_)), "{answer}");
        assert_eq!(both.seen.secrets().len(), 1);
        let new = collector(&Authorities::retire(directory.path()).unwrap()).await;
        let refused = joined(&new).await.unwrap_err();
        assert!(refused.to_string().contains("another CA"), "{refused}");
        assert!(new.seen.secrets().is_empty());
    }

    #[test]
    fn steps_out_of_turn_change_nothing_and_say_which_comes_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let refused = |step: fn(&Path) -> Result<Authorities, RolloverError>| {
            step(path)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(
            refused(Authorities::prepare).contains("incomplete: a CA"),
            "none was ever made"
        );
        Authorities::load_or_create(path).unwrap();
        assert!(refused(Authorities::switch).contains("prepare one"));
        assert!(refused(Authorities::retire).contains("there is no old CA"));
        Authorities::prepare(path).unwrap();
        assert!(refused(Authorities::prepare).contains("switch to it"));
        assert!(refused(Authorities::retire).contains("there is no old CA"));
        Authorities::switch(path).unwrap();
        assert!(
            !path.join("ca-key.pem").exists(),
            "the old key signs nothing any more"
        );
        assert!(refused(Authorities::switch).contains("prepare one"));
        assert!(refused(Authorities::prepare).contains("retire the old CA"));
        Authorities::retire(path).unwrap();
        assert!(!path.join("ca.pem").exists());
        Authorities::prepare(path).unwrap();
        Authorities::switch(path).unwrap();
        assert!(path.join("ca-3-key.pem").exists());
    }

    #[test]
    fn whoever_compares_sees_every_step() {
        let directory = tempfile::tempdir().unwrap();
        let first = Authorities::load_or_create(directory.path()).unwrap();
        let holder = agent(&first);
        assert_eq!(holder.trust_digest(), first.trust_digest());
        let prepared = Authorities::prepare(directory.path()).unwrap();
        assert_ne!(holder.trust_digest(), prepared.trust_digest());
        assert_eq!(agent(&prepared).trust_digest(), prepared.trust_digest());
        let switched = Authorities::switch(directory.path()).unwrap();
        assert_ne!(agent(&prepared).trust_digest(), switched.trust_digest());
        let holder = agent(&switched);
        assert_eq!(holder.trust_digest(), switched.trust_digest());
        let retired = Authorities::retire(directory.path()).unwrap();
        assert_ne!(holder.trust_digest(), retired.trust_digest());
    }
}
