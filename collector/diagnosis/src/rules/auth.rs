//! Logins that are refused. One rejected login is tried once, by one agent: the others hold theirs back, and the
//! secret being the same, it would fail there too.

use std::collections::BTreeMap;

use parallax_model::evidence::{AuthenticateEvidence, Evidence};
use parallax_model::fault::{AuthFault, FaultKind};
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::extent::Extent;
use crate::fact;
use crate::matrix::Matrix;
use crate::product::Look;
use crate::trouble::{Trouble, TroubleId, What};
use crate::words;

/// Claim: the server refuses the login for the reason that its response code gives (RFC 5530). It holds for every
/// vantage point that was to use the same secret, unless one of them got in.
/// Disproved by: the same login accepted.
pub(crate) fn rejected(matrix: &Matrix) -> Vec<Candidate> {
    let mut groups: BTreeMap<AuthFault, Vec<TroubleId>> = BTreeMap::new();
    for (id, trouble) in matrix.troubles.iter().enumerate() {
        if let Some(FaultKind::Auth(fault)) = trouble.kind()
            && kind(fault).is_some()
        {
            groups.entry(fault).or_default().push(id);
        }
    }
    let mut held_back = if accepted_anywhere(matrix) {
        Vec::new()
    } else {
        matrix.troubles_where(|trouble| matches!(trouble.what, What::Withheld(_)))
    };
    groups
        .into_iter()
        .filter_map(|(fault, troubles)| {
            let held_back = if about_the_secret(fault) {
                std::mem::take(&mut held_back)
            } else {
                Vec::new()
            };
            Some(candidate(matrix, kind(fault)?, fault, &troubles, &held_back))
        })
        .collect()
}

const fn kind(fault: AuthFault) -> Option<FindingKind> {
    match fault {
        AuthFault::CredentialsRejected | AuthFault::AuthorizationFailed => {
            Some(FindingKind::CredentialsRejected)
        }
        AuthFault::CredentialsExpired => Some(FindingKind::CredentialsExpired),
        AuthFault::AccountDisabled => Some(FindingKind::AccountDisabled),
        AuthFault::ServerNotVerified => Some(FindingKind::TlsIntercepted),
        AuthFault::TokenRejected => Some(FindingKind::CredentialsExpired),
        AuthFault::OauthRequired => Some(FindingKind::OauthRequired),
        AuthFault::MechanismUnavailable => Some(FindingKind::MechanismUnavailable),
        AuthFault::BackendUnavailable => Some(FindingKind::AuthBackendUnavailable),
        AuthFault::LimitReached => Some(FindingKind::ConnectionLimit),
        AuthFault::LoginDisabled | AuthFault::PrivacyRequired => Some(FindingKind::LoginDisabled),
        AuthFault::Other => Some(FindingKind::ServiceDown),
        AuthFault::InsecureChannel | AuthFault::SecretUnavailable => None,
    }
}

/// Whether the refusal concerns the account or the way of logging in, which are the same everywhere.
const fn about_the_secret(fault: AuthFault) -> bool {
    !matches!(fault, AuthFault::LimitReached)
}

fn accepted_anywhere(matrix: &Matrix) -> bool {
    matrix
        .cells()
        .any(|id| matrix.cell(id).passed(StageName::Authenticate))
}

fn candidate(
    matrix: &Matrix,
    kind: FindingKind,
    fault: AuthFault,
    tried: &[TroubleId],
    held_back: &[TroubleId],
) -> Candidate {
    if fault == AuthFault::ServerNotVerified {
        return impostor(matrix, tried, held_back);
    }
    let all: Vec<TroubleId> = tried.iter().chain(held_back).copied().collect();
    let extent = Extent::of(matrix, tried);
    let confidence = match fault {
        AuthFault::Other => 0.4,
        AuthFault::AuthorizationFailed => 0.6,
        _ => extent.stated().max(0.8),
    };
    let found = Candidate::new(matrix, kind, confidence, all.iter().copied())
        .stage(StageName::Authenticate)
        .segment(Segment::Service)
        .summary(summary(matrix, kind, tried))
        .because(fact::first(tried.iter().map(|&id| attempt(matrix, id))))
        .because(tried.iter().find_map(|&id| cause(matrix, id)))
        .because(fact::first(held_back.iter().map(|&id| fact::trouble(matrix, id))))
        .because(super::session::spared(matrix, &extent, StageName::Authenticate))
        .told_apart_by("the same login at another vantage point")
        .next(tried.iter().find_map(|&id| advice(matrix, id)))
        .next(steps(matrix, kind, tried));
    look_alikes(found, &extent)
}

/// The password was never sent, and the other side could not show that it knows it (RFC 5802 section 3): whoever
/// holds the verified certificate is not who keeps the account. Of the kinds there are, interception is the one on
/// which an operator should act first; a server of the same name without the account is the look-alike.
fn impostor(matrix: &Matrix, tried: &[TroubleId], held_back: &[TroubleId]) -> Candidate {
    let extent = Extent::of(matrix, tried);
    let all = tried.iter().chain(held_back).copied();
    Candidate::new(
        matrix,
        FindingKind::TlsIntercepted,
        if extent.partly() { 0.7 } else { 0.55 },
        all,
    )
    .severity(Severity::Critical)
    .stage(StageName::Authenticate)
    .segment(Segment::Unknown)
    .summary(format!(
        "what answers as {} does not know the password of the account: it is another server, or somebody in between",
        matrix.host()
    ))
    .because(fact::first(tried.iter().map(|&id| attempt(matrix, id))))
    .because(fact::first(held_back.iter().map(|&id| fact::trouble(matrix, id))))
    .because(super::session::spared(matrix, &extent, StageName::Authenticate))
    .told_apart_by("the key in the server's own configuration")
    .or(
        FindingKind::Redirected,
        0.2,
        "whether the certificate's key is the one in the server's own configuration",
    )
    .or(
        FindingKind::AuthBackendUnavailable,
        0.1,
        "another client that checks the server's signature (SCRAM) with the same account",
    )
    .next(["until this is understood, log in from there with SCRAM only: PLAIN would hand the password over".to_owned()])
    .next(super::session::by_hand(matrix, tried))
    .next(steps(matrix, FindingKind::TlsIntercepted, tried))
}

/// A server that turns a secret down says so in its answer: where there is none, it was known before, and nothing was
/// sent.
fn not_sent(matrix: &Matrix, id: TroubleId) -> bool {
    let trouble = &matrix.troubles[id];
    let about_the_secret = trouble.kind().is_some_and(FaultKind::is_about_the_secret);
    about_the_secret && facts(matrix, trouble).is_none_or(|facts| facts.reply.is_none())
}

fn summary(matrix: &Matrix, kind: FindingKind, tried: &[TroubleId]) -> String {
    let phrase = match kind {
        FindingKind::CredentialsRejected => "the credential is rejected",
        FindingKind::CredentialsExpired => "the credential has expired",
        FindingKind::AccountDisabled => "the account is disabled",
        FindingKind::OauthRequired => "the server wants OAuth, a password will not do",
        FindingKind::MechanismUnavailable => "no login mechanism in common",
        FindingKind::AuthBackendUnavailable => "the server can't reach its user database",
        FindingKind::ConnectionLimit => "too many connections of this user from this address",
        FindingKind::LoginDisabled => "no login is allowed on this connection",
        _ => "the server refuses, and does not say why",
    };
    let said = tried
        .iter()
        .find_map(|&id| facts(matrix, &matrix.troubles[id])?.reply.as_ref())
        .map(|reply| format!(" ({})", words::reply(reply)))
        .unwrap_or_default();
    let known = if tried.iter().all(|&id| not_sent(matrix, id)) {
        "; it was rejected before and is not sent again"
    } else {
        ""
    };
    format!("login to {} fails: {phrase}{said}{known}", matrix.host())
}

fn attempt(matrix: &Matrix, id: TroubleId) -> String {
    let line = fact::trouble(matrix, id);
    if not_sent(matrix, id) {
        return line;
    }
    let first_response = if facts(matrix, &matrix.troubles[id]).is_some_and(|facts| facts.initial_response) {
        ", the first response with the command"
    } else {
        ""
    };
    match facts(matrix, &matrix.troubles[id]) {
        Some(facts) if !facts.mechanism.is_empty() => format!(
            "{line} (tried once with {}{first_response})",
            words::quote(&facts.mechanism)
        ),
        _ => line,
    }
}

fn facts<'a>(matrix: &Matrix<'a>, trouble: &Trouble<'a>) -> Option<&'a AuthenticateEvidence> {
    match fact::stage(matrix, trouble)?.evidence.as_ref()? {
        Evidence::Authenticate(facts) => Some(facts),
        _ => None,
    }
}

fn cause(matrix: &Matrix, id: TroubleId) -> Option<String> {
    let reply = facts(matrix, &matrix.troubles[id])?.reply.as_ref()?;
    let code = reply
        .code
        .as_deref()
        .map_or_else(|| "this answer".to_owned(), words::quote);
    Some(format!("{code} means: {}", words::quote(reply.cause.as_deref()?)))
}

fn advice(matrix: &Matrix, id: TroubleId) -> Option<String> {
    let reply = facts(matrix, &matrix.troubles[id])?.reply.as_ref()?;
    reply.next_step.as_deref().map(words::quote)
}

fn steps(matrix: &Matrix, kind: FindingKind, tried: &[TroubleId]) -> Vec<String> {
    let look = match kind {
        FindingKind::ConnectionLimit => Look::new("doveadm who; doveconf mail_max_userip_connections")
            .courier("grep -E 'MAXPERIP|MAXDAEMONS' /etc/courier/imapd /etc/courier/imapd-ssl")
            .cyrus("cyr_info proc; cyr_info conf | grep maxlogins"),
        FindingKind::AuthBackendUnavailable | FindingKind::ServiceDown => {
            Look::new("journalctl -u dovecot -n 100; doveadm log errors")
                .courier("systemctl status courier-authdaemon; journalctl -u 'courier-*' -n 100")
                .cyrus("journalctl -u cyrus-imapd -u saslauthd -n 100; cyr_info conf | grep '^sasl_'")
        }
        FindingKind::MechanismUnavailable | FindingKind::OauthRequired | FindingKind::LoginDisabled => {
            Look::new("doveconf -a | grep -E 'auth_mechanisms|plaintext_auth|allow_cleartext'")
                .courier("grep -E 'IMAP_CAPABILITY|TLS_REQUIRED' /etc/courier/imapd /etc/courier/imapd-ssl")
                .cyrus("cyr_info conf | grep -E '^sasl_|allowplaintext'")
        }
        _ => Look::new("doveadm auth test USER; journalctl -u dovecot -n 100")
            .courier("authtest USER; journalctl -u 'courier-*' -n 100")
            .cyrus("imtest -a USER localhost; journalctl -u cyrus-imapd -n 100"),
    };
    let known = tried.iter().any(|&id| not_sent(matrix, id));
    let again = "once it is put right, a kept one is sent again after ctl credential retry NAME, a typed one with --retry-login";
    let cell = tried.iter().find_map(|&id| matrix.troubles[id].cell);
    let address = cell.map(|cell| matrix.cell(cell).attempt.address);
    address
        .map(|address| look.on(matrix, address))
        .into_iter()
        .chain(known.then(|| again.to_owned()))
        .collect()
}

fn look_alikes(found: Candidate, extent: &Extent) -> Candidate {
    match found.kind {
        FindingKind::CredentialsRejected if extent.partly() => found.or(
            FindingKind::SourceBanned,
            0.15,
            "a rule about where this account may log in from: the server's log",
        ),
        FindingKind::CredentialsRejected => found.or(
            FindingKind::AuthBackendUnavailable,
            0.05,
            "whether any other account can log in",
        ),
        _ => found,
    }
}
