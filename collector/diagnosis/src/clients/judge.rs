//! One family's needs against what one attempt shows.

use parallax_model::client::ClientOutcome;

use super::family::{Family, Need, What, Without};
use super::offer::{Capabilities, Certificate, Offer};
use crate::words;

/// What one attempt says of one family.
pub(super) struct Judgement {
    pub(super) outcome: ClientOutcome,
    /// Why not everything, a line each.
    pub(super) because: Vec<String>,
    /// Whether a failure is about the certificate alone.
    pub(super) only_certificate: bool,
}

enum Met {
    Yes,
    /// What is there instead.
    No(String),
    /// What was not seen.
    Unseen(&'static str),
}

/// What matters for the login alone: Cyrus drops it from the list behind it.
const FOR_THE_LOGIN: [&str; 1] = ["SASL-IR"];

const UNTIL_LOGIN: &str = "a server may announce it after the login only";

/// Judges one family. What was not seen is neither there nor missing.
pub(super) fn judge(family: &Family, offer: &Offer, host: &str) -> Judgement {
    let mut fails = Vec::new();
    let mut lacks = Vec::new();
    let mut unseen: Vec<(&'static str, Vec<String>)> = Vec::new();
    let mut only_certificate = true;
    for need in &family.needs {
        match (met(family, need, offer, host), need.without) {
            (Met::Yes, _) => {}
            (Met::No(instead), Without::Fails) => {
                only_certificate &= need.what == What::Certificate;
                fails.push(format!("{instead}: {}", need.lost));
            }
            (Met::No(instead), Without::Degraded) => lacks.push(format!("{instead}: {}", need.lost)),
            (Met::Unseen(why), _) => match unseen.iter_mut().find(|(other, _)| *other == why) {
                Some((_, names)) => names.push(name(need)),
                None => unseen.push((why, vec![name(need)])),
            },
        }
    }
    let outcome = match (fails.is_empty(), lacks.is_empty(), unseen.is_empty()) {
        (false, ..) => ClientOutcome::Fails,
        (_, false, _) if logs_in(family, offer, host) => ClientOutcome::Degraded,
        (_, true, true) => ClientOutcome::Works,
        _ => ClientOutcome::Unknown,
    };
    only_certificate &= !fails.is_empty();
    let mut because = fails;
    because.extend(lacks);
    because.extend(
        unseen
            .iter()
            .map(|(why, names)| format!("not seen: {} ({why})", words::list(names))),
    );
    Judgement {
        outcome,
        because,
        only_certificate,
    }
}

/// Whether everything that decides is known to be there.
fn logs_in(family: &Family, offer: &Offer, host: &str) -> bool {
    let decisive = family.needs.iter().filter(|need| need.without == Without::Fails);
    decisive
        .map(|need| met(family, need, offer, host))
        .all(|met| matches!(met, Met::Yes))
}

fn name(need: &Need) -> String {
    match need.what {
        What::TlsVersion => "the TLS version".to_owned(),
        What::Certificate => "the certificate".to_owned(),
        What::Security => "the kind of TLS".to_owned(),
        What::Protocol => "the protocol".to_owned(),
        What::Mechanism => "the ways to log in".to_owned(),
        What::Role => format!("a mailbox for {}", need.one_of.join(" or ")),
        What::Capability => need.one_of.join(" or "),
    }
}

fn met(family: &Family, need: &Need, offer: &Offer, host: &str) -> Met {
    match need.what {
        What::TlsVersion => match &offer.version {
            None => Met::Unseen("no handshake came to an end"),
            Some(version) if need.one_of.contains(version) => Met::Yes,
            Some(version) => Met::No(format!("the server speaks {}", words::quote(version))),
        },
        What::Security if need.one_of.iter().any(|one| one == offer.security.as_str()) => Met::Yes,
        What::Security => Met::No(format!("{} was probed", offer.security)),
        What::Certificate => match &offer.certificate {
            Certificate::Good => Met::Yes,
            Certificate::Unseen => Met::Unseen("no handshake came to an end"),
            Certificate::Bad(faults) => Met::No(format!(
                "the certificate is not acceptable ({})",
                words::list(faults)
            )),
        },
        What::Protocol => match &offer.before {
            None => Met::Unseen("the probe did not come to the capabilities"),
            Some(there) if need.one_of.iter().any(|one| there.has(one)) => Met::Yes,
            Some(_) => Met::No(format!("{} is not announced", need.one_of.join(" or "))),
        },
        What::Mechanism => match &offer.before {
            None => Met::Unseen("the probe did not come to the capabilities"),
            Some(there) => mechanism(family, need, there, host),
        },
        What::Capability => capability(need, offer),
        What::Role => match &offer.roles {
            None => Met::Unseen("the probe did not come to the list of mailboxes"),
            Some(roles) if need.one_of.iter().any(|one| roles.contains(one)) => Met::Yes,
            Some(_) => Met::No(format!("no mailbox is marked as {}", need.one_of.join(" or "))),
        },
    }
}

fn capability(need: &Need, offer: &Offer) -> Met {
    let has = |there: &Capabilities| need.one_of.iter().any(|one| there.has(one));
    let spent = need
        .one_of
        .iter()
        .all(|one| FOR_THE_LOGIN.contains(&one.as_str()));
    if spent && offer.before.as_ref().is_some_and(has) {
        return Met::Yes;
    }
    match (&offer.after, &offer.before) {
        (Some(after), _) if has(after) => Met::Yes,
        (Some(_), _) => Met::No(format!("{} is not offered", need.one_of.join(" or "))),
        (None, Some(before)) if has(before) => Met::Yes,
        (None, Some(_)) => Met::Unseen(UNTIL_LOGIN),
        (None, None) => Met::Unseen("the probe did not come to the capabilities"),
    }
}

fn mechanism(family: &Family, need: &Need, there: &Capabilities, host: &str) -> Met {
    let offered = there.mechanisms();
    let common: Vec<&String> = need
        .one_of
        .iter()
        .filter(|one| offered.iter().any(|other| other.eq_ignore_ascii_case(one)))
        .collect();
    let oauth = |one: &str| matches!(one, "XOAUTH2" | "OAUTHBEARER");
    if common
        .iter()
        .any(|one| !oauth(one) || family.speaks_oauth_with(host))
    {
        return Met::Yes;
    }
    if !common.is_empty() {
        return Met::No(format!(
            "the server wants OAuth, which it speaks with certain providers only, and not with {host}"
        ));
    }
    let offered: Vec<String> = offered.iter().map(|one| words::quote(one)).collect();
    Met::No(if offered.is_empty() {
        "the server offers no way to log in".to_owned()
    } else {
        format!(
            "the server offers {}, and none of them is among what it speaks",
            words::list(&offered)
        )
    })
}
