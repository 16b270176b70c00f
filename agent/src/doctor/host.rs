//! What the host itself brings.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use parallax_engine::path::{Answer, Shot};
use parallax_model::spec::FamilyChoice;
use tokio::time::Instant;

use crate::agent::SPOOL_DIR;
use crate::capture;
use crate::credentials::LocalCredentials;
use crate::doctor::Check;
use crate::driver::dns::Files;
use crate::driver::path::{Carrier, Flow, SUPPORTED};
use crate::driver::tls::{Trust, read_anchors};
use crate::policy::Policy;
use crate::spool::SpoolLimits;

/// Addresses for documentation (RFC 5737, RFC 3849): asked for a route, never sent to.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// Every resolver answers for it, one way or the other (RFC 6761 section 6.3), and nobody learns from it.
const HARMLESS_NAME: &str = "localhost";
/// Capability 13 of capabilities(7).
const CAP_NET_RAW: u64 = 1 << 13;

pub(super) fn state_dir(path: &Path) -> Check {
    const SUBJECT: &str = "state directory";
    let shown = path.display();
    if !path.exists() {
        // A relative path has ancestors only when it is whole.
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let above = whole.ancestors().skip(1).find(|above| above.exists());
        return match above.map(writable) {
            Some(Ok(())) => Check::ok(SUBJECT, format!("{shown} will be made at the first start")),
            Some(Err(error)) => Check::fail(SUBJECT, format!("{shown} can not be made: {error}")),
            None => Check::fail(SUBJECT, format!("{shown} can not be made")),
        };
    }
    match writable(path) {
        Ok(()) => Check::ok(SUBJECT, format!("{shown} is writable")),
        Err(error) => Check::fail(SUBJECT, format!("{shown} is not writable: {error}")),
    }
}

/// Results that wait for the collector, and whether the disk has the room that they may take.
pub(super) fn spool(state_dir: &Path, limits: SpoolLimits) -> Check {
    const SUBJECT: &str = "spool";
    let taken = used(&state_dir.join(SPOOL_DIR));
    let there = std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    let there = there.ancestors().find(|above| above.exists());
    let free = there
        .and_then(|there| statvfs(there).ok())
        .map(|disk| disk.blocks_available() * disk.fragment_size());
    let (taken, most) = (mebibytes(taken), mebibytes(limits.max_bytes));
    match free.map(mebibytes) {
        Some(free) if free + taken < most => Check::warn(
            SUBJECT,
            format!(
                "may take {most:.0} MiB, and the disk has {free:.0} MiB free: results of checks are dropped when it is \
                 full; free some, or lower max_bytes of [spool]"
            ),
        ),
        _ => Check::ok(SUBJECT, format!("takes {taken:.1} of {most:.0} MiB")),
    }
}

fn used(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|file| file.len())
        .sum()
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What operators compare before they seal a secret to this agent.
pub(super) fn sealing_key(state_dir: &Path) -> Option<Check> {
    const SUBJECT: &str = "sealing key";
    match crate::agent::fingerprint(state_dir) {
        Ok(fingerprint) => Some(Check::ok(SUBJECT, fingerprint?)),
        Err(error) => Some(Check::fail(SUBJECT, error.to_string())),
    }
}

/// What this agent logs in with by itself: never a value.
pub(super) fn credentials(own: &LocalCredentials) -> Vec<Check> {
    const SUBJECT: &str = "credential";
    own.looked_at()
        .map(|(told, place, read)| {
            let what = format!("{} for {} at {}: {place}", told.name, told.user, told.host);
            match read {
                Ok(()) => Check::ok(SUBJECT, format!("{what}, can be read")),
                Err(error) => Check::warn(
                    SUBJECT,
                    format!("{what}; a login with it is refused: {}", error.problem()),
                ),
            }
        })
        .collect()
}

fn writable(directory: &Path) -> std::io::Result<()> {
    let file = directory.join(format!(".parallax-doctor-{}", std::process::id()));
    fs::write(&file, b"")?;
    fs::remove_file(&file)
}

pub(super) async fn resolver() -> Check {
    const SUBJECT: &str = "resolver";
    let configuration = Files::default().configuration();
    if configuration.resolvers.is_empty() {
        return Check::fail(
            SUBJECT,
            "/etc/resolv.conf names none: targets can be probed by address only",
        );
    }
    let until = Instant::now() + Duration::from_secs(6);
    let queries = configuration.ask(HARMLESS_NAME, FamilyChoice::Ipv4, until).await;
    let answered = queries.iter().find(|query| query.rcode.is_some());
    match (answered, queries.last()) {
        (Some(query), _) => {
            let took = query.duration.as_secs_f64() * 1e3;
            let silent = queries.iter().take_while(|query| query.rcode.is_none()).count();
            let note = format!("{} answers in {took:.1} ms", query.resolver);
            match silent {
                0 => Check::ok(SUBJECT, note),
                _ => Check::warn(
                    SUBJECT,
                    format!("{note}, after {silent} questions without an answer"),
                ),
            }
        }
        (None, Some(query)) => {
            let what = query.fault.as_ref().map_or("no answer", |fault| &fault.message);
            Check::fail(SUBJECT, what)
        }
        (None, None) => Check::fail(SUBJECT, "no answer in time"),
    }
}

/// One family is enough to work; the other is then missing from every result.
pub(super) fn routes() -> Vec<Check> {
    let (v4, v6) = (route(FAR_V4), route(FAR_V6));
    let neither = v4.is_err() && v6.is_err();
    let check = |subject, route: std::io::Result<IpAddr>| match route {
        Ok(source) => Check::ok(subject, format!("a route from {source}")),
        Err(error) if neither => Check::fail(subject, format!("no route: {error}")),
        Err(error) => Check::warn(
            subject,
            format!("no route ({error}): targets fail over it from here"),
        ),
    };
    vec![check("IPv4", v4), check("IPv6", v6)]
}

/// Asks the kernel for the way without sending anything.
fn route(far: IpAddr) -> std::io::Result<IpAddr> {
    let any = match far {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(SocketAddr::new(far, 9))?;
    Ok(socket.local_addr()?.ip())
}

pub(super) fn trust(ca_files: &[PathBuf]) -> Vec<Check> {
    let broken = ca_files
        .iter()
        .filter_map(|path| read_anchors(path).err())
        .map(|error| Check::fail("--ca-file", error.to_string()));
    let mut checks: Vec<_> = broken.collect();
    checks.push(match Trust::new(&[]).of_this_host() {
        0 => Check::warn(
            "trust store",
            "this host has none: certificates are judged by the built-in list alone (install ca-certificates)",
        ),
        anchors => Check::ok("trust store", format!("{anchors} anchors of this host, beside the built-in list")),
    });
    checks
}

pub(super) fn raw_sockets() -> Check {
    const SUBJECT: &str = "CAP_NET_RAW";
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let held = match effective {
        Some(bits) if bits & CAP_NET_RAW != 0 => "held",
        Some(_) => "not held",
        None => "this system does not say",
    };
    Check::ok(SUBJECT, format!("{held}; no probe needs it, only captures do"))
}

/// Whether the packets of a probe can be recorded. Without it everything else works.
pub(super) fn captures(policy: &Policy) -> Check {
    const SUBJECT: &str = "captures";
    match capture::possible(policy) {
        Ok(()) => Check::ok(
            SUBJECT,
            "yes: packets of a probe are recorded where an operator asks for them",
        ),
        Err(why) if policy.capture => Check::warn(
            SUBJECT,
            format!("no: {why} (AmbientCapabilities=CAP_NET_RAW in its unit, or setcap cap_net_raw+ep)"),
        ),
        Err(why) => Check::ok(SUBJECT, format!("no: {why}")),
    }
}

/// Whether the way to a target can be traced, which needs no privilege: asked of this host itself.
pub(super) async fn paths(policy: &Policy) -> Check {
    const SUBJECT: &str = "paths";
    if !SUPPORTED {
        return Check::warn(SUBJECT, "no: this system does not tell who sent an ICMP error");
    }
    if let Err(forbidden) = policy.admits_trace() {
        return Check::warn(SUBJECT, format!("no: {forbidden}"));
    }
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
    let closed = match closed {
        Ok(closed) => closed,
        Err(error) => return Check::warn(SUBJECT, format!("no: {error}")),
    };
    let shot = Shot {
        ttl: 1,
        least: None,
        wait: Duration::from_secs(1),
    };
    match Flow::new(closed, Carrier::Datagram(None)).shoot(shot).await {
        Answer::Icmp(_) => Check::ok(SUBJECT, "yes: traced without privileges where something fails"),
        Answer::NotSent(errno) => {
            Check::warn(SUBJECT, format!("no: a datagram to this host fails ({errno})"))
        }
        _ => Check::warn(
            SUBJECT,
            "no: no ICMP error came of a datagram to a closed port of this host; a local filter may drop them",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    #[tokio::test]
    async fn paths_are_traced_here_unless_the_policy_forbids_it() {
        let mut policy = Policy::default();
        assert_eq!(paths(&policy).await.state, State::Ok);
        policy.experiments = false;
        let forbidden = paths(&policy).await;
        assert_eq!(forbidden.state, State::Warn);
        assert!(forbidden.note.starts_with("no: "), "{}", forbidden.note);
    }

    #[tokio::test]
    async fn captures_are_nothing_to_warn_of_unless_the_policy_wants_them() {
        let refused = captures(&Policy::default());
        assert_eq!(refused.state, State::Ok);
        assert_eq!(refused.note, "no: this agent's policy has capture = false");
        let wanted = captures(&Policy {
            capture: true,
            ..Policy::default()
        });
        let (expected, word) = match capture::possible(&Policy::allow_all()) {
            Ok(()) => (State::Ok, "yes: "),
            Err(_) => (State::Warn, "no: the agent has no CAP_NET_RAW on this host"),
        };
        assert_eq!(wanted.state, expected);
        assert!(wanted.note.starts_with(word), "{}", wanted.note);
    }

    #[test]
    fn a_state_directory_that_can_be_made_or_written_is_fine() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(state_dir(directory.path()).state, State::Ok);
        assert_eq!(state_dir(&directory.path().join("a/b")).state, State::Ok);
        assert_eq!(state_dir(Path::new("not-made-yet")).state, State::Ok);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        assert_eq!(state_dir(&file).state, State::Fail);
        assert_eq!(state_dir(&file.join("below")).state, State::Fail);
    }
}
