//! The rules, in the order of the stages. Each is a function from the matrix to candidates; its comment says
//! what it claims and what would disprove it.

use crate::candidate::Candidate;
use crate::matrix::Matrix;
use crate::rules::{
    agent, answers, auth, banned, certificate, clock, dns, expiry, greeting, half_answers, handshake, keys,
    latency, local, mailbox, not_tls, reach, session, starttls, tamper,
};

/// From what was seen to what it could be.
pub(crate) type Rule = fn(&Matrix) -> Vec<Candidate>;

/// All of them. Their order decides nothing: candidates compete by what they explain.
pub(crate) const RULES: &[Rule] = &[
    agent::missing,
    agent::refused,
    agent::own_faults,
    clock::skewed_validity,
    clock::off,
    dns::unresolved,
    half_answers::partly_unresolved,
    dns::network_down,
    answers::differ,
    answers::wrong_address,
    local::unable,
    reach::unreachable,
    handshake::failed,
    not_tls::other_speech,
    certificate::faulty,
    expiry::expiring,
    keys::differ,
    tamper::intercepted,
    tamper::redirected,
    starttls::unavailable,
    starttls::cleartext_login,
    greeting::unwelcome,
    session::broken,
    banned::source,
    latency::slow,
    auth::rejected,
    mailbox::faulty,
];
