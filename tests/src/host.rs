//! What the lab needs of the host it runs on.

use std::io::Write;
use std::process::Command;
use std::sync::OnceLock;

use crate::lab::Lab;

/// The variable that makes a test fail where it could not run: set it to `required`.
pub const REQUIRED: &str = "PARALLAX_LAB";

const REMEDY: &str = "run as root, or under unshare --map-root-user --map-auto";
/// The mail server's users and the owner of the mail have lower numbers.
const USERS: u64 = 10_000;

const TOOLS: [(&str, &str); 4] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("dovecot", "dovecot-imapd"),
    ("setpriv", "util-linux"),
];

/// Whether a test that needs the lab can run. If not, the reason is printed, once per test, and the test should
/// return; where `PARALLAX_LAB=required` is set this panics instead.
pub fn lab_can_run() -> bool {
    let Some(reason) = missing() else { return true };
    let required = std::env::var(REQUIRED).is_ok_and(|value| value == "required");
    assert!(!required, "the lab is required, but {reason}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not by `eprintln!`: the output of a test that passes is not shown.
    let _ = writeln!(std::io::stderr(), "ignored {test}: {reason}");
    false
}

/// What this host lacks for the lab, in one line, or nothing.
pub fn missing() -> Option<&'static str> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(look).as_deref()
}

/// Where programs are looked up: administrators' tools are not on every user's path.
pub fn path() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

fn look() -> Option<String> {
    for (tool, package) in TOOLS {
        if Command::new(tool)
            .arg("--version")
            .env("PATH", path())
            .output()
            .is_err()
        {
            return Some(format!(
                "{tool} is not installed (Debian: apt-get install {package})"
            ));
        }
    }
    let Err(error) = Lab::new(&["edge-try"]) else {
        return one_user();
    };
    Some(format!("namespaces can not be made here ({error:#}): {REMEDY}"))
}

/// A mail server takes several users.
fn one_user() -> Option<String> {
    let map = std::fs::read_to_string("/proc/self/uid_map").ok()?;
    let count = |line: &str| line.split_whitespace().nth(2)?.parse::<u64>().ok();
    let users: u64 = map.lines().filter_map(count).sum();
    (users < USERS).then(|| format!("this user namespace has {users} user ids: {REMEDY}"))
}
