//! What a NO, BAD or BYE means at each place.

use parallax_model::evidence::ImapReply;
use parallax_model::fault::{AuthFault, Fault, FaultKind, ImapFault, MailboxFault};
use parallax_model::text::escape_str;

use crate::imap::vendor_text::VendorText;
use crate::imap::{ResponseCode, Status, StatusLine};
use crate::wire::Wire;

/// Characters of a server's text in a message.
const QUOTED: usize = 200;

/// A refusal outside login and mailbox.
pub(super) fn of_command(line: &StatusLine<'_>, wire: &Wire) -> Fault {
    let kind = match line.status {
        Status::No => ImapFault::No,
        Status::Bad => ImapFault::Bad,
        Status::Bye => ImapFault::Bye,
        Status::Ok | Status::PreAuth => ImapFault::ProtocolError,
    };
    said(FaultKind::Imap(kind), line, wire)
}

/// A refused login.
pub(super) fn of_login(line: &StatusLine<'_>, wire: &Wire) -> Fault {
    let by_code = code(line).and_then(login_code);
    let by_text = || VendorText::login_fault(line.text);
    match (by_code.or_else(by_text), line.status) {
        (Some(kind), _) => said(FaultKind::Auth(kind), line, wire),
        (None, Status::No) => said(FaultKind::Auth(unnamed_login(line)), line, wire),
        (None, _) => of_command(line, wire),
    }
}

/// A session that ends in place of an answer to a login: some servers say so what others say with NO.
pub(super) fn of_login_by_bye(reply: &ImapReply) -> Option<AuthFault> {
    let code = reply
        .code
        .as_ref()
        .map(|code| ResponseCode::named(code.as_bytes()));
    let by_text = || VendorText::login_fault(reply.text.as_bytes());
    code.as_ref().and_then(login_code).or_else(by_text)
}

/// A refused command on a mailbox.
pub(super) fn of_mailbox(line: &StatusLine<'_>, wire: &Wire) -> Fault {
    let by_code = code(line).and_then(mailbox_code);
    let by_text = || VendorText::mailbox_fault(line.text);
    match (by_code.or_else(by_text), line.status) {
        (Some(kind), _) => said(FaultKind::Mailbox(kind), line, wire),
        (None, Status::No) => said(FaultKind::Mailbox(MailboxFault::Refused), line, wire),
        (None, _) => of_command(line, wire),
    }
}

/// `NO [NONEXISTENT] no such mailbox`, escaped and cut.
pub(super) fn quote(reply: &ImapReply) -> String {
    let code = reply
        .code
        .as_ref()
        .map(|code| format!("[{}]", escape_str(code, QUOTED)));
    let text = escape_str(&reply.text, QUOTED);
    let words = [Some(reply.status.clone()), code, Some(text)];
    let words: Vec<_> = words
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// A refused command that writes.
pub(super) fn of_change(line: &StatusLine<'_>, wire: &Wire) -> Fault {
    let mut fault = of_mailbox(line, wire);
    let size_of_something_else = code(line) == Some(&ResponseCode::Limit) && wire.asking() != "APPEND";
    if let Some(kind) = code(line)
        .and_then(stored_code)
        .filter(|_| !size_of_something_else)
    {
        fault.kind = FaultKind::Mailbox(kind);
    }
    fault
}

/// The line in its own words.
pub(super) fn raw(reply: &ImapReply) -> String {
    let code = reply
        .code
        .as_ref()
        .map_or_else(String::new, |code| format!(" [{code}]"));
    format!("{}{code} {}", reply.status, reply.text)
}

fn said(kind: FaultKind, line: &StatusLine<'_>, wire: &Wire) -> Fault {
    let reply = wire.evidence(line);
    let asked = match wire.asking() {
        "" => "greeting",
        command => command,
    };
    Fault::new(kind, format!("{asked} at {}: {}", wire.peer, quote(&reply))).with_raw(raw(&reply))
}

fn code<'l>(line: &'l StatusLine<'_>) -> Option<&'l ResponseCode> {
    line.code.as_ref().map(|code| &code.name)
}

pub(super) fn login_code(code: &ResponseCode) -> Option<AuthFault> {
    match code {
        ResponseCode::AuthenticationFailed => Some(AuthFault::CredentialsRejected),
        ResponseCode::AuthorizationFailed => Some(AuthFault::AuthorizationFailed),
        ResponseCode::Expired => Some(AuthFault::CredentialsExpired),
        ResponseCode::ContactAdmin | ResponseCode::WebAlert => Some(AuthFault::AccountDisabled),
        ResponseCode::Unavailable | ResponseCode::ServerBug | ResponseCode::TempFail => {
            Some(AuthFault::BackendUnavailable)
        }
        ResponseCode::Limit | ResponseCode::InUse | ResponseCode::Throttled | ResponseCode::OverQuota => {
            Some(AuthFault::LimitReached)
        }
        ResponseCode::PrivacyRequired => Some(AuthFault::PrivacyRequired),
        ResponseCode::Referral => Some(AuthFault::Other),
        _ => None,
    }
}

/// A refusal that nothing explains is taken for what it mostly is; one that wants to be read by a person is not.
fn unnamed_login(line: &StatusLine<'_>) -> AuthFault {
    match code(line) {
        None | Some(ResponseCode::Alert) => AuthFault::CredentialsRejected,
        Some(_) => AuthFault::Other,
    }
}

/// What a code makes of a command that stores a message, where that is another thing than elsewhere.
pub(super) fn stored_code(code: &ResponseCode) -> Option<MailboxFault> {
    match code {
        ResponseCode::ReadOnly => Some(MailboxFault::ReadOnly),
        ResponseCode::TooBig | ResponseCode::Limit => Some(MailboxFault::TooBig),
        _ => None,
    }
}

pub(super) fn mailbox_code(code: &ResponseCode) -> Option<MailboxFault> {
    match code {
        ResponseCode::NonExistent | ResponseCode::TryCreate => Some(MailboxFault::Missing),
        ResponseCode::NoPerm => Some(MailboxFault::PermissionDenied),
        ResponseCode::Unavailable
        | ResponseCode::Limit
        | ResponseCode::Throttled
        | ResponseCode::TempFail => Some(MailboxFault::Unavailable),
        ResponseCode::InUse => Some(MailboxFault::InUse),
        ResponseCode::Corruption => Some(MailboxFault::Corruption),
        ResponseCode::OverQuota => Some(MailboxFault::OverQuota),
        ResponseCode::ServerBug => Some(MailboxFault::ServerBug),
        ResponseCode::ExpungeIssued | ResponseCode::UnknownCte | ResponseCode::Referral => {
            Some(MailboxFault::Other)
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply};
    use std::net::SocketAddr;

    fn fault(line: &str, of: fn(&StatusLine<'_>, &Wire) -> Fault) -> Fault {
        let wire = Wire::new(SocketAddr::from(([192, 0, 2, 1], 993)), 0);
        let mut framer = Framer::new(Limits::default());
        framer.push(format!("a1 {line}\r\n").as_bytes());
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Tagged { line, .. } = Reply::of(&frame) else {
            panic!("{line}")
        };
        of(&line, &wire)
    }

    fn login(line: &str) -> &'static str {
        fault(line, of_login).kind.as_str()
    }

    fn mailbox(line: &str) -> &'static str {
        fault(line, of_mailbox).kind.as_str()
    }

    #[test]
    fn a_login_is_judged_by_its_code_before_its_text() {
        assert_eq!(
            login("NO [AUTHENTICATIONFAILED] rate limit"),
            "credentials_rejected"
        );
        assert_eq!(login("NO [UNAVAILABLE] later"), "backend_unavailable");
        assert_eq!(
            login("BAD [UNAVAILABLE] Service temporarily unavailable"),
            "backend_unavailable"
        );
        assert_eq!(login("NO [CONTACTADMIN] x"), "account_disabled");
        assert_eq!(login("NO [LIMIT] x"), "limit_reached");
        assert_eq!(login("NO [X-UNHEARD] x"), "other");
    }

    #[test]
    fn the_texts_of_servers_without_codes_are_known() {
        assert_eq!(login("NO AUTHENTICATE failed."), "credentials_rejected");
        assert_eq!(login("NO Basic authentication is disabled."), "oauth_required");
        assert_eq!(
            login("NO [ALERT] Too many simultaneous connections. (Failure)"),
            "limit_reached"
        );
        assert_eq!(
            login("NO Temporary authentication failure (rate-limit)"),
            "limit_reached"
        );
        assert_eq!(login("BAD what?"), "bad");
    }

    #[test]
    fn an_outage_behind_courier_and_cyrus_is_no_wrong_password() {
        for (answer, kind) in [
            ("NO Login failed: generic failure", "backend_unavailable"),
            ("NO generic failure", "backend_unavailable"),
            ("NO bad protocol / cancel", "mechanism_unavailable"),
            ("NO no mechanism available", "mechanism_unavailable"),
            ("NO Login failed: authentication failure", "credentials_rejected"),
            ("NO authentication failure", "credentials_rejected"),
            ("NO Login failed.", "credentials_rejected"),
            ("NO Temporary authentication failure.", "backend_unavailable"),
        ] {
            assert_eq!(login(answer), kind, "{answer}");
        }
    }

    #[test]
    fn a_mailbox_that_is_missing_is_told_from_one_that_is_closed_to_us() {
        assert_eq!(mailbox("NO Mailbox doesn't exist: x"), "missing");
        assert_eq!(mailbox("NO [NONEXISTENT] x"), "missing");
        assert_eq!(mailbox("NO [NOPERM] x"), "permission_denied");
        assert_eq!(mailbox("NO x"), "refused");
        assert_eq!(mailbox("BAD x"), "bad");
    }

    #[test]
    fn a_servers_text_is_escaped_in_messages_and_kept_in_its_own_words() {
        let fault = fault("NO [NOPERM] \u{1b}[2J", of_mailbox);
        assert!(
            fault.message.ends_with("NO [NOPERM] \\x1b[2J"),
            "{}",
            fault.message
        );
        assert_eq!(fault.raw.unwrap(), "NO [NOPERM] \u{1b}[2J");
    }
}
