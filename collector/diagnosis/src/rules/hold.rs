//! Sessions that are kept open and quiet, and do not last.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use parallax_model::evidence::{Evidence, HoldEvidence};
use parallax_model::experiment::ExperimentKind;
use parallax_model::finding::{FindingKind, Segment, Severity};
use parallax_model::stage::StageName;

use crate::candidate::Candidate;
use crate::command;
use crate::fact;
use crate::matrix::{Cell, Matrix};
use crate::product::Look;
use crate::trouble::TroubleId;
use crate::words;

const TIMEOUTS: Look = Look::new("doveconf -a | grep -E 'login_idle|imap_idle|timeout'")
    .courier("grep TIMEOUT /etc/courier/imapd")
    .cyrus("cyr_info conf-all | grep timeout");

/// A server must bear this much silence of a client that is logged in (RFC 9051 section 5.4), less a minute.
const GRANTED_MS: f64 = 29.0 * 60e3;

/// What was held for less than this is told in tenths of a second.
const TENTHS_MS: f64 = 10e3;

/// One session that was held.
struct Held<'a> {
    vantage: usize,
    socket: SocketAddr,
    facts: &'a HoldEvidence,
}

/// Who ended a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nobody.
    Alive,
    /// The server, and it said so.
    Server,
    /// Somebody who said nothing.
    Path,
}

/// Claim: something on the way forgets or ends connections that are quiet for longer than some time, which lies
/// between the longest quiet that a session survived and the shortest that one did not.
/// Disproved by: a BYE (then the server ends them by itself), or a longer quiet survived on the same way.
pub(crate) fn forgotten(matrix: &Matrix) -> Vec<Candidate> {
    let held = held(matrix);
    let lost: Vec<&Held> = held.iter().filter(|one| end(one.facts) == End::Path).collect();
    let Some(shortest) = shortest(&lost) else {
        return Vec::new();
    };
    let affected: BTreeSet<usize> = lost.iter().map(|one| one.vantage).collect();
    let spared = held.iter().any(|one| {
        end(one.facts) == End::Alive && !affected.contains(&one.vantage) && one.facts.held_ms >= shortest
    });
    let longest = held
        .iter()
        .filter(|one| affected.contains(&one.vantage) && end(one.facts) == End::Alive)
        .map(|one| one.facts.held_ms)
        .max_by(f64::total_cmp);
    let contradicted = longest.is_some_and(|longest| longest >= shortest);
    let closed = lost.iter().all(|one| one.facts.end == "closed");
    let before_login = lost.iter().all(|one| !one.facts.logged_in);
    let confidence = match (contradicted, spared, closed) {
        (true, ..) => 0.4,
        (_, true, _) => 0.85,
        (.., true) if before_login => 0.45,
        (.., true) => 0.6,
        _ if affected.len() > 1 => 0.75,
        _ => 0.65,
    };
    let segment = match (spared, affected.len()) {
        (false, 2..) => Segment::SiteEdge,
        _ => Segment::Unknown,
    };
    let names = matrix.names(&affected);
    let found = Candidate::new(
        matrix,
        FindingKind::IdleTimeoutInPath,
        confidence,
        troubles(matrix, End::Path),
    )
    .severity(Severity::Warning)
    .also(affected.iter().copied())
    .sockets(lost.iter().map(|one| one.socket))
    .stage(StageName::Hold)
    .segment(segment)
    .summary(format!(
        "quiet sessions from {} to {} are lost {}",
        words::list(&names),
        matrix.host(),
        bracket(longest.filter(|_| !contradicted), shortest)
    ))
    .because(fact::first(held.iter().map(|one| line(matrix, one))))
    .because(contradicted.then(|| "a longer quiet was survived too: it is not the time alone".to_owned()))
    .told_apart_by("whether a BYE comes before the end, and the same quiet from another network")
    .or(
        FindingKind::SessionDropped,
        if closed { 0.35 } else { 0.1 },
        "the server's log at the time of the end: whether it closed the connection",
    );
    vec![found.next(steps(matrix, &names, shortest))]
}

/// Claim: the server itself ends quiet sessions, and says so.
/// Disproved by: an end without BYE.
pub(crate) fn dismissed(matrix: &Matrix) -> Vec<Candidate> {
    let held = held(matrix);
    let ended: Vec<&Held> = held.iter().filter(|one| end(one.facts) == End::Server).collect();
    let Some(shortest) = shortest(&ended) else {
        return Vec::new();
    };
    let too_soon = ended
        .iter()
        .any(|one| one.facts.logged_in && one.facts.held_ms < GRANTED_MS);
    let rule = if too_soon {
        "; a client that is logged in has 30 minutes (RFC 9051 section 5.4)"
    } else {
        ""
    };
    let found = Candidate::new(
        matrix,
        FindingKind::ServerSaidBye,
        0.95,
        troubles(matrix, End::Server),
    )
    .severity(if too_soon {
        Severity::Warning
    } else {
        Severity::Info
    })
    .also(ended.iter().map(|one| one.vantage))
    .sockets(ended.iter().map(|one| one.socket))
    .stage(StageName::Hold)
    .segment(Segment::Service)
    .summary(format!(
        "{} itself ends sessions that are quiet for {}{rule}",
        matrix.host(),
        quiet(shortest)
    ))
    .because(fact::first(held.iter().map(|one| line(matrix, one))))
    .told_apart_by("an end without BYE")
    .next(ended.first().map(|one| TIMEOUTS.on(matrix, one.socket.ip())));
    vec![found]
}

fn held<'a>(matrix: &Matrix<'a>) -> Vec<Held<'a>> {
    let mut held: Vec<Held> = matrix
        .answered()
        .flat_map(|index| {
            let vantage = matrix.vantage(index);
            vantage
                .cells
                .iter()
                .chain(vantage.experiments(ExperimentKind::Hold))
                .filter_map(move |cell| {
                    Some(Held {
                        vantage: index,
                        socket: cell.socket(),
                        facts: facts(cell)?,
                    })
                })
                .collect::<Vec<_>>()
        })
        .collect();
    held.sort_by(|one, other| {
        (matrix.name(one.vantage), one.socket)
            .cmp(&(matrix.name(other.vantage), other.socket))
            .then(one.facts.held_ms.total_cmp(&other.facts.held_ms))
    });
    held
}

fn facts<'a>(cell: &Cell<'a>) -> Option<&'a HoldEvidence> {
    match cell.attempt.stage(StageName::Hold)?.evidence.as_ref()? {
        Evidence::Hold(facts) => Some(facts),
        _ => None,
    }
}

fn end(facts: &HoldEvidence) -> End {
    match facts.end.as_str() {
        "bye" => End::Server,
        "closed" | "reset" | "silent" => End::Path,
        _ => End::Alive,
    }
}

fn troubles(matrix: &Matrix, by: End) -> Vec<TroubleId> {
    matrix.troubles_where(|trouble| {
        trouble.stage == Some(StageName::Hold)
            && trouble.fault().is_some()
            && trouble
                .cell
                .and_then(|cell| facts(matrix.cell(cell)))
                .is_some_and(|facts| end(facts) == by)
    })
}

fn shortest(held: &[&Held]) -> Option<f64> {
    held.iter().map(|one| one.facts.held_ms).min_by(f64::total_cmp)
}

fn bracket(longest: Option<f64>, shortest: f64) -> String {
    match longest {
        Some(longest) => format!(
            "after a quiet of between {} and {}",
            quiet(longest),
            quiet(shortest)
        ),
        None => format!("after a quiet of {} or less", quiet(shortest)),
    }
}

fn line(matrix: &Matrix, one: &Held) -> String {
    let ending = match one.facts.end.as_str() {
        "alive" => "it is alive".to_owned(),
        "bye" => match &one.facts.bye {
            Some(bye) => format!("the server said {}", words::reply(bye)),
            None => "the server said BYE".to_owned(),
        },
        "closed" => "it was closed without BYE".to_owned(),
        "reset" => "it was reset".to_owned(),
        "silent" => "nothing answers any more".to_owned(),
        other => words::quote(other),
    };
    format!(
        "{}: a session with {} was quiet for {}: {ending}",
        matrix.name(one.vantage),
        one.socket,
        quiet(one.facts.held_ms)
    )
}

/// Tenths count where a ladder has rungs of less than ten seconds.
fn quiet(millis: f64) -> String {
    if millis < TENTHS_MS {
        return format!("{:.1} seconds", millis / 1e3);
    }
    words::span(
        parallax_model::millis::to_duration(millis)
            .as_secs()
            .cast_signed(),
    )
}

fn steps(matrix: &Matrix, names: &[&str], shortest: f64) -> Vec<String> {
    vec![
        command::on(
            "every firewall and address translation on the way",
            "sysctl net.netfilter.nf_conntrack_tcp_timeout_established; conntrack -L -p tcp | grep -E 'dport=(143|993)'",
        ),
        format!(
            "have the server send something more often than every {}: doveconf imap_idle_notify_interval",
            quiet(shortest)
        ),
        format!(
            "{} --hold 30m   # beside {}",
            command::probe_from_all(matrix),
            words::list(names)
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_quiet_is_told_in_tenths_and_a_long_one_in_its_own_unit() {
        assert_eq!(quiet(400.0), "0.4 seconds");
        assert_eq!(
            bracket(Some(600.0), 3_000.0),
            "after a quiet of between 0.6 seconds and 3.0 seconds"
        );
        assert_eq!(quiet(12_000.0), "12 seconds");
        assert_eq!(quiet(600_000.0), "10 minutes");
    }
}
