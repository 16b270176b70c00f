//! What the collector may order, and who may change that.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::config::StatedPolicy;
use crate::credentials::LocalCredentials;
use crate::doctor::Check;
use crate::policy::Policy;

/// The policy as it was understood.
pub(super) fn understood(policy: &Policy, credentials: &LocalCredentials) -> Check {
    const SUBJECT: &str = "policy";
    if policy.allow.is_empty() {
        return Check::warn(SUBJECT, "allows nothing: every probe is refused");
    }
    if policy.deny.is_empty() {
        return Check::warn(SUBJECT, format!("{policy}: this host and metadata services too"));
    }
    if let Some(unknown) = policy.login.names().find(|name| credentials.find(name).is_none()) {
        return Check::warn(
            SUBJECT,
            format!("{policy}: no [[credentials]] has the name {unknown:?}"),
        );
    }
    Check::ok(SUBJECT, policy.to_string())
}

/// Whether whoever takes the agent over could lift its policy, by writing where that is said.
pub(super) fn writers(stated: &StatedPolicy, state_dir: &Path) -> Option<Check> {
    Some(writers_of(stated.place.file()?, agents_user(state_dir)))
}

/// The doctor may be somebody else: the agent is whose its state is.
fn agents_user(state_dir: &Path) -> u32 {
    fs::metadata(state_dir).map_or_else(|_| nix::unistd::geteuid().as_raw(), |state| state.uid())
}

fn writers_of(file: &Path, agent: u32) -> Check {
    const SUBJECT: &str = "policy file";
    let shown = file.display();
    if agent == 0 {
        return Check::warn(
            SUBJECT,
            format!("{shown}: the agent runs as root, which may change it: give the agent a user of its own"),
        );
    }
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let real = fs::canonicalize(file).unwrap_or_else(|_| whole.clone());
    let places = real.ancestors().chain(whole.ancestors().skip(1));
    for place in places {
        let Ok(metadata) = fs::metadata(place) else {
            continue;
        };
        if let Some(who) = writer(&metadata, agent) {
            return Check::warn(
                SUBJECT,
                format!(
                    "{shown} can be changed by {who}, who may write {place}: chown root and chmod go-w",
                    place = place.display()
                ),
            );
        }
    }
    Check::ok(SUBJECT, format!("{shown}; the agent's user can not change it"))
}

/// Who but root may write it. An owner who may not gives himself leave; a sticky directory keeps what is others'.
fn writer(metadata: &Metadata, agent: u32) -> Option<&'static str> {
    const GROUP: u32 = 0o020;
    const WORLD: u32 = 0o002;
    const STICKY: u32 = 0o1000;
    let mode = metadata.mode();
    if metadata.uid() == agent {
        return Some("the agent's own user");
    }
    if metadata.is_dir() && mode & STICKY != 0 {
        return None;
    }
    match (mode & WORLD != 0, mode & GROUP != 0) {
        (true, _) => Some("everybody"),
        (false, true) => Some("its group"),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use parallax_model::spec::Depth;

    use super::*;
    use crate::doctor::State;
    use crate::policy::Logins;

    #[test]
    fn the_policy_is_said_as_it_was_understood_and_one_without_denials_is_warned_of() {
        let mut strict = Policy::default();
        let none = LocalCredentials::default();
        let understood = |policy: &Policy| understood(policy, &none);
        let said = understood(&strict);
        assert_eq!(said.state, State::Ok);
        assert!(
            said.note.starts_with("allows *:143,993; denies 127.0.0.0/8 "),
            "{}",
            said.note
        );
        strict.login = Logins::Own(["probe".to_owned()].into());
        strict.max_depth = Depth::Login;
        let said = understood(&strict);
        assert_eq!(said.state, State::Warn);
        let limits =
            "; max_depth = \"login\"; login = [\"probe\"]: no [[credentials]] has the name \"probe\"";
        assert!(said.note.ends_with(limits), "{}", said.note);
        strict.deny.clear();
        assert_eq!(understood(&strict).state, State::Warn);
        strict.allow.clear();
        assert!(understood(&strict).note.contains("nothing"));
    }

    #[test]
    fn a_policy_that_the_agents_user_its_group_or_everybody_may_write_is_warned_of() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.toml");
        fs::write(&file, "").unwrap();
        let owner = fs::metadata(&file).unwrap().uid();
        let somebody = owner + 4242;
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let said = |agent| writers_of(&file, agent);
        for (directory_mode, file_mode, who) in [
            (0o755, 0o644, None),
            (0o755, 0o664, Some("its group")),
            (0o755, 0o646, Some("everybody")),
            (0o775, 0o644, Some("its group")),
            (0o777, 0o644, Some("everybody")),
        ] {
            set(directory.path(), directory_mode);
            set(&file, file_mode);
            let check = said(somebody);
            assert_eq!(check.state, if who.is_some() { State::Warn } else { State::Ok });
            assert!(
                check.note.contains(who.unwrap_or("can not change")),
                "{}",
                check.note
            );
        }
        set(directory.path(), 0o755);
        assert!(said(0).note.contains("runs as root"));
        if owner != 0 {
            assert!(said(owner).note.contains("own user"));
        }
    }
}
