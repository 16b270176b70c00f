//! Challenges of a server: the first byte picks the mechanism and what binds it, and each line is a challenge, in
//! base64 as it comes, or, where it is none, as it is. A line that begins with `r=@` goes on from the client's nonce,
//! which no fuzzer would guess.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax_engine::event::ChannelBinding;
use parallax_engine::sasl::{Conversation, Means, SaslError};
use parallax_model::credential::{Credential, Mechanism, Secret};

use super::is_plain;

const PASSWORD: &str = "hunter2";
const NONCE: [u8; 18] = [7; 18];

/// No server is believed that does not know the password, none makes the client work without bounds, and neither an
/// error nor a proof says the password.
pub fn run(data: &[u8]) {
    let Some((pick, challenges)) = data.split_first() else {
        return;
    };
    let mechanism = Mechanism::ALL[usize::from(*pick) % Mechanism::ALL.len()];
    let Some(mut conversation) = begin(mechanism, usize::from(*pick) / Mechanism::ALL.len()) else {
        return;
    };
    let _ = conversation.initial();
    for line in challenges.split(|byte| *byte == b'\n').take(8) {
        let challenge = challenge(line);
        if costs(&challenge) {
            return;
        }
        match conversation.answer(&challenge) {
            Ok(answer) if is_scram(mechanism) => proof(&answer, &challenge),
            Ok(answer) => assert!(answer.len() < 256),
            Err(error) => explained(&error),
        }
        assert_ne!(
            conversation.server_verified(),
            Some(true),
            "nobody knows the password"
        );
        assert!(!format!("{conversation:?}").contains(PASSWORD));
        if let Some(error) = conversation.oauth_error() {
            let members = [
                &error.status,
                &error.schemes,
                &error.scope,
                &error.openid_configuration,
            ];
            assert!(
                members
                    .into_iter()
                    .flatten()
                    .all(|member| member.chars().count() <= 256)
            );
        }
    }
}

fn begin(mechanism: Mechanism, how: usize) -> Option<Conversation> {
    let credential = Credential {
        user: "probe".to_owned(),
        secret: Secret::new(PASSWORD.to_owned()),
    };
    let exporter = ChannelBinding {
        kind: "tls-exporter",
        data: vec![9; 32],
    };
    let means = Means {
        credential: &credential,
        nonce: NONCE,
        bindings: if how % 2 == 1 {
            std::slice::from_ref(&exporter)
        } else {
            &[]
        },
        binding_offered: how & 2 == 2,
        host: "imap.example.org",
        port: 993,
    };
    Conversation::begin(mechanism, means).ok().flatten()
}

fn challenge(line: &[u8]) -> Vec<u8> {
    let challenge = STANDARD.decode(line).unwrap_or_else(|_| line.to_vec());
    match challenge.strip_prefix(b"r=@") {
        Some(rest) => [format!("r={}", STANDARD.encode(NONCE)).as_bytes(), rest].concat(),
        None => challenge,
    }
}

/// Whether a server asks for so many rounds that they would only take the fuzzer's time: more are refused.
fn costs(challenge: &[u8]) -> bool {
    let text = String::from_utf8_lossy(challenge);
    let rounds = text.split(',').nth(2).and_then(|part| part.strip_prefix("i="));
    let rounds: Option<u32> = rounds.and_then(|rounds| rounds.parse().ok());
    rounds.is_some_and(|rounds| (1_000..=1_000_000).contains(&rounds))
}

/// RFC 5802 section 7, `client-final-message`, over both nonces; nothing is said to a server that was not asked.
fn proof(answer: &[u8], challenge: &[u8]) {
    let text = std::str::from_utf8(answer).unwrap_or_default();
    if text.is_empty() || challenge.is_empty() {
        return;
    }
    let ours = STANDARD.encode(NONCE);
    let nonce = text.split(',').find_map(|part| part.strip_prefix("r="));
    assert!(nonce.is_some_and(|nonce| nonce.len() > ours.len() && nonce.starts_with(&ours)));
    assert!(text.starts_with("c=") && text.contains(",p="));
    assert!(!text.contains(PASSWORD) || String::from_utf8_lossy(challenge).contains(PASSWORD));
    assert!(answer.len() <= challenge.len() + 256);
}

fn explained(error: &SaslError) {
    let text = error.to_string();
    assert!(!text.contains(PASSWORD) || matches!(error, SaslError::Refused(_)));
    assert!(is_plain(&text) && text.len() < 1024, "{text:?}");
}

const fn is_scram(mechanism: Mechanism) -> bool {
    matches!(
        mechanism,
        Mechanism::ScramSha1 | Mechanism::ScramSha1Plus | Mechanism::ScramSha256 | Mechanism::ScramSha256Plus
    )
}
