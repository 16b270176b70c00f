//! The rules, in the order of the stages. Each is a function from the matrix to candidates; its comment says
//! what it claims and what would disprove it.

use crate::candidate::Candidate;
use crate::matrix::Matrix;
use crate::rules::{
    agent, answers, auth, backends, banned, certificate, clock, content, cut, dns, expiry, flows, forged,
    greeting, half_answers, handshake, history, hold, keys, latency, limits, local, mailbox, midway, mtu,
    names, not_tls, proxies, proxy, quality, reach, resolver, session, starttls, status, sync, tamper,
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
    resolver::disagree,
    answers::differ,
    answers::wrong_address,
    forged::forged,
    local::unable,
    reach::unreachable,
    handshake::failed,
    not_tls::other_speech,
    certificate::faulty,
    status::doubtful,
    expiry::expiring,
    keys::differ,
    backends::one_wrong,
    tamper::intercepted,
    tamper::redirected,
    starttls::unavailable,
    starttls::injected,
    starttls::cleartext_login,
    greeting::unwelcome,
    proxy::mismatch,
    session::broken,
    midway::refused,
    hold::forgotten,
    hold::dismissed,
    banned::source,
    banned::other_source_passes,
    mtu::black_hole,
    cut::in_the_handshake,
    names::filtered,
    names::injected,
    flows::some_broken,
    limits::at_once,
    limits::chance,
    limits::half_made,
    quality::lossy,
    content::half_open,
    content::reset_at_the_hello,
    content::answer_lost,
    proxies::dead_behind,
    proxies::in_front,
    history::mailbox_made_anew,
    history::longer_way,
    latency::slow,
    latency::penalised,
    auth::rejected,
    mailbox::faulty,
    mailbox::nearly_full,
    sync::unheard,
];
