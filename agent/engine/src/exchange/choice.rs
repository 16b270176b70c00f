//! Which mechanism a login uses.

use parallax_model::credential::Mechanism;
use parallax_model::fault::{AuthFault, Fault, FaultKind};

use crate::imap::Capabilities;

/// What is taken of what a server offers when nobody chose, strongest first. Binding to the connection is left to
/// who asks for it: a server that lacks the type of binding refuses in the same words as a wrong password.
const BY_ITSELF: [Mechanism; 5] = [
    Mechanism::ScramSha256,
    Mechanism::ScramSha1,
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::LoginCommand,
];

/// The mechanism asked for, where it is offered; else the strongest that is offered for a password.
pub(super) fn of(asked: Option<Mechanism>, offers: &Capabilities) -> Result<Mechanism, Fault> {
    match asked {
        None => BY_ITSELF
            .into_iter()
            .find(|&mechanism| is_offered(mechanism, offers))
            .ok_or_else(|| nothing_in_common(offers)),
        Some(Mechanism::Login) if !is_offered(Mechanism::Login, offers) => {
            of(Some(Mechanism::LoginCommand), offers)
        }
        Some(Mechanism::LoginCommand) if !is_offered(Mechanism::LoginCommand, offers) => Err(cannot(
            AuthFault::LoginDisabled,
            "the server does not take the LOGIN command (LOGINDISABLED)",
        )),
        Some(mechanism) if is_offered(mechanism, offers) => Ok(mechanism),
        Some(mechanism) => Err(cannot(
            AuthFault::MechanismUnavailable,
            &format!(
                "the server does not offer {mechanism}; it offers: {}",
                listed(offers)
            ),
        )),
    }
}

/// The name in evidence: the command is called as it is.
pub(super) const fn name(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::LoginCommand => "LOGIN",
        other => other.as_str(),
    }
}

/// Whether the server offers any mechanism that binds to the connection.
pub(super) fn offers_binding(offers: &Capabilities) -> bool {
    offers.mechanisms().any(|mechanism| mechanism.ends_with("-PLUS"))
}

fn is_offered(mechanism: Mechanism, offers: &Capabilities) -> bool {
    match mechanism {
        Mechanism::LoginCommand => !offers.has("LOGINDISABLED"),
        other => offers.offers_mechanism(other.as_str()),
    }
}

fn nothing_in_common(offers: &Capabilities) -> Fault {
    let offered: Vec<String> = offers.mechanisms().take(16).collect();
    let oauth = |mechanism: &String| mechanism == "XOAUTH2" || mechanism == "OAUTHBEARER";
    if offered.is_empty() {
        cannot(
            AuthFault::LoginDisabled,
            "the server offers no way to log in (LOGINDISABLED)",
        )
    } else if offered.iter().all(oauth) {
        cannot(AuthFault::OauthRequired, "the server takes OAuth only")
    } else {
        cannot(
            AuthFault::MechanismUnavailable,
            &format!("no mechanism in common; the server offers: {}", listed(offers)),
        )
    }
}

fn listed(offers: &Capabilities) -> String {
    let offered: Vec<String> = offers.mechanisms().take(16).collect();
    match offered.is_empty() {
        true => "none".to_owned(),
        false => parallax_model::text::escape_str(&offered.join(" "), 200),
    }
}

fn cannot(kind: AuthFault, message: &str) -> Fault {
    Fault::new(FaultKind::Auth(kind), message)
}
