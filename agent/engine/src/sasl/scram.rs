//! SCRAM (RFC 5802) with SHA-1 and SHA-256 (RFC 7677): the password is never sent, and the server must prove that it
//! knows it too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use stringprep::saslprep;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{Means, Message, SaslError, joined};
use crate::event::ChannelBinding;

/// The most rounds that a server may demand; OWASP's advice for PBKDF2 stands at 600,000 for SHA-256.
const ROUNDS: u32 = 1_000_000;

/// The hash function of the mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha1,
    Sha256,
}

/// One exchange.
pub(super) struct Scram {
    hash: Hash,
    password: Zeroizing<String>,
    gs2_header: String,
    binding: Option<ChannelBinding>,
    first_bare: String,
    nonce: String,
    step: Step,
}

enum Step {
    First,
    /// The client's proof is out, and this is what the server must answer with.
    Proven(Vec<u8>),
    Verified,
    Failed,
}

impl Scram {
    pub(super) fn new(
        hash: Hash,
        binding: Option<ChannelBinding>,
        means: Means<'_>,
    ) -> Result<Self, SaslError> {
        let credential = means.credential;
        let user = saslprep(&credential.user).map_err(|_| SaslError::Forbidden("user name"))?;
        let password = saslprep(credential.secret.expose())
            .map_err(|_| SaslError::Forbidden("password"))?
            .into_owned();
        // RFC 5802 section 6: `y` tells a server that offers binding of somebody who hid the offer.
        let flag = match &binding {
            Some(binding) => format!("p={}", binding.kind),
            None if !means.bindings.is_empty() && !means.binding_offered => "y".to_owned(),
            None => "n".to_owned(),
        };
        let nonce = STANDARD.encode(means.nonce);
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Ok(Self {
            hash,
            password: Zeroizing::new(password),
            gs2_header: format!("{flag},,"),
            binding,
            first_bare: format!("n={user},r={nonce}"),
            nonce,
            step: Step::First,
        })
    }

    pub(super) fn binding(&self) -> Option<&'static str> {
        self.binding.as_ref().map(|binding| binding.kind)
    }

    /// Whether the server's proof came and was right; `None` before it came.
    pub(super) const fn server_verified(&self) -> Option<bool> {
        match self.step {
            Step::Verified => Some(true),
            Step::Failed => Some(false),
            Step::First | Step::Proven(_) => None,
        }
    }

    pub(super) fn first(&self) -> Option<Message> {
        matches!(self.step, Step::First)
            .then(|| joined(&[self.gs2_header.as_bytes(), self.first_bare.as_bytes()]))
    }

    pub(super) fn answer(&mut self, challenge: &[u8]) -> Result<Message, SaslError> {
        let challenge =
            std::str::from_utf8(challenge).map_err(|_| SaslError::Unreadable("it is not UTF-8"))?;
        match std::mem::replace(&mut self.step, Step::Failed) {
            Step::First => self.prove(challenge),
            Step::Proven(signature) => self.verify(challenge, &signature),
            Step::Verified | Step::Failed => Err(SaslError::Unexpected),
        }
    }

    fn prove(&mut self, server_first: &str) -> Result<Message, SaslError> {
        let [nonce, salt, rounds] = attributes(server_first)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(SaslError::Unreadable("its nonce does not begin with ours"));
        }
        let salt = STANDARD
            .decode(salt)
            .map_err(|_| SaslError::Unreadable("its salt is no base64"))?;
        let rounds: u32 = rounds
            .parse()
            .map_err(|_| SaslError::Unreadable("its count of rounds"))?;
        if rounds == 0 || rounds > ROUNDS {
            return Err(SaslError::TooManyRounds(rounds));
        }
        let bound = joined(&[
            self.gs2_header.as_bytes(),
            self.binding.as_ref().map_or(&[][..], |binding| &binding.data[..]),
        ]);
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(&bound[..]));
        let signed = format!("{},{server_first},{without_proof}", self.first_bare);
        let (proof, signature) = match self.hash {
            Hash::Sha1 => proofs_sha1(&self.password, &salt, rounds, signed.as_bytes()),
            Hash::Sha256 => proofs_sha256(&self.password, &salt, rounds, signed.as_bytes()),
        };
        self.step = Step::Proven(signature);
        Ok(joined(&[
            without_proof.as_bytes(),
            b",p=",
            STANDARD.encode(proof).as_bytes(),
        ]))
    }

    fn verify(&mut self, server_final: &str, signature: &[u8]) -> Result<Message, SaslError> {
        if let Some(error) = server_final.strip_prefix("e=") {
            let word: String = error.chars().take(64).collect();
            return Err(SaslError::Refused(parallax_model::text::escape_str(&word, 64)));
        }
        let given = server_final
            .strip_prefix("v=")
            .and_then(|rest| STANDARD.decode(rest.split(',').next().unwrap_or_default()).ok())
            .ok_or(SaslError::Unreadable("it has no signature"))?;
        if !bool::from(given.ct_eq(signature)) {
            return Err(SaslError::ServerNotVerified);
        }
        self.step = Step::Verified;
        Ok(Message::default())
    }
}

/// `r=`, `s=` and `i=` in this order (RFC 5802 section 7); a mandatory extension is not understood.
fn attributes(message: &str) -> Result<[&str; 3], SaslError> {
    let mut parts = message.splitn(4, ',');
    let mut next = |name| {
        parts
            .next()
            .and_then(|part| part.strip_prefix(name))
            .ok_or(SaslError::Unreadable(
                "nonce, salt and count of rounds were expected",
            ))
    };
    Ok([next("r=")?, next("s=")?, next("i=")?])
}

/// RFC 5802 section 3, once for each hash: the types of the two share no trait that is worth its bounds.
macro_rules! proofs {
    ($name:ident, $hash:ty) => {
        fn $name(password: &str, salt: &[u8], rounds: u32, signed: &[u8]) -> (Zeroizing<Vec<u8>>, Vec<u8>) {
            let keyed = |key: &[u8], message: &[u8]| {
                let mut mac = <Hmac<$hash> as Mac>::new_from_slice(key).expect("a key of any length");
                mac.update(message);
                mac.finalize().into_bytes()
            };
            let mut salted = Zeroizing::new(vec![0; <$hash as Digest>::output_size()]);
            pbkdf2::pbkdf2_hmac::<$hash>(password.as_bytes(), salt, rounds, &mut salted);
            let client_key = keyed(&salted, b"Client Key");
            let stored_key = <$hash>::digest(client_key);
            let client_signature = keyed(&stored_key, signed);
            let proof = client_key
                .iter()
                .zip(client_signature)
                .map(|(key, sign)| key ^ sign);
            let server_key = keyed(&salted, b"Server Key");
            (
                Zeroizing::new(proof.collect()),
                keyed(&server_key, signed).to_vec(),
            )
        }
    };
}

proofs!(proofs_sha1, Sha1);
proofs!(proofs_sha256, Sha256);
