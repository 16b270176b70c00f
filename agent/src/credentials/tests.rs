use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[derive(Debug, Deserialize)]
struct Whole {
    credentials: LocalCredentials,
}

fn read(more: &str) -> Result<LocalCredentials, String> {
    let text =
        format!("[[credentials]]\nname = \"probe\"\nhost = \"IMAP.example.org\"\nuser = \"anna\"\n{more}");
    let whole: Result<Whole, _> = toml::from_str(&text);
    whole
        .map(|whole| whole.credentials)
        .map_err(|error| error.message().to_owned())
}

fn kept(mode: u32, text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn of(path: &Path) -> LocalCredentials {
    read(&format!("file = {path:?}")).unwrap()
}

#[test]
fn a_credential_has_exactly_one_source_and_what_is_wrong_is_said_in_one_line() {
    for (more, told) in [
        ("", "exactly one of file, systemd and env"),
        (
            "file = \"/a\"\nenv = \"A\"",
            "exactly one of file, systemd and env",
        ),
        ("file = \"a\"", "absolute path"),
        ("systemd = \"../a\"", "without a path"),
        ("env = \"A=B\"", "name of a variable"),
        ("password = \"hunter2\"", "unknown field `password`"),
        (
            "env = \"A\"\n[[credentials]]\nname = \"probe\"\nhost = \"a.example\"\nuser = \"b\"\nenv = \"B\"",
            "two of this name",
        ),
    ] {
        let error = read(more).unwrap_err();
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn the_collector_is_told_the_name_the_host_and_the_user() {
    let told: Vec<_> = read("env = \"A\"").unwrap().told().collect();
    let expected = LocalCredential {
        name: "probe".into(),
        host: "imap.example.org".into(),
        user: "anna".into(),
    };
    assert_eq!(told, [expected]);
}

#[test]
fn a_secret_is_read_at_each_use_without_the_end_of_its_line() {
    let (_directory, path) = kept(0o600, "one\r\n");
    let all = of(&path);
    assert_eq!(all.find("probe").unwrap().read().unwrap().expose(), "one");
    fs::write(&path, "two").unwrap();
    assert_eq!(all.find("probe").unwrap().read().unwrap().expose(), "two");
    assert!(all.find("other").is_none());
}

#[test]
fn a_file_that_others_may_read_is_not_used() {
    for (mode, fits) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        let (_directory, path) = kept(mode, "secret");
        let checked = of(&path).check().map_err(|error| error.to_string());
        assert_eq!(checked.is_ok(), fits, "{mode:o}");
        if let Err(error) = checked {
            assert!(error.starts_with("credential probe: "), "{error}");
            assert!(
                error.ends_with(&format!("chmod 0600 {}", path.display())),
                "{error}"
            );
        }
    }
}

#[test]
fn what_holds_no_secret_is_an_error_that_does_not_show_it() {
    for (text, told) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("one\ntwo", "more than one line"),
    ] {
        let (_directory, path) = kept(0o600, text);
        let error = of(&path).check().unwrap_err().to_string();
        assert!(error.ends_with(told), "{error}");
    }
    let (_directory, path) = kept(0o600, &"x".repeat(SECRET_AT_MOST + 1));
    let error = of(&path).check().unwrap_err().to_string();
    assert!(error.ends_with("more than 65536 bytes"), "{error}");
    let (directory, _) = kept(0o600, "");
    let error = of(directory.path()).check().unwrap_err().to_string();
    assert!(error.ends_with("is not a file"), "{error}");
    let missing = read("env = \"PARALLAX_NO_SUCH_VARIABLE\"").unwrap();
    let error = missing.check().unwrap_err().to_string();
    assert!(error.contains("is not set in the agent's environment"), "{error}");
}

#[test]
fn what_systemd_gives_the_unit_is_read_by_its_name() {
    let (directory, _path) = kept(0o440, "from-systemd\n");
    let secret = from_systemd(Some(directory.path().as_os_str()), "secret").unwrap();
    assert_eq!(secret.expose(), "from-systemd");
    let error = from_systemd(None, "secret").unwrap_err();
    assert!(error.contains("LoadCredential=secret:"), "{error}");
}

#[test]
fn what_is_said_of_a_credential_is_where_it_is_and_whether_it_can_be_read() {
    let (_kept, path) = kept(0o640, "hunter2\n");
    for (mode, readable) in [(0o640, false), (0o600, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let own = of(&path);
        let looked_at: Vec<_> = own.looked_at().collect();
        let [(told, place, read)] = looked_at.as_slice() else {
            panic!("{looked_at:?}")
        };
        assert_eq!((told.name.as_str(), told.user.as_str()), ("probe", "anna"));
        assert_eq!(*place, format!("file {}, mode {mode:04o}", path.display()));
        assert_eq!(read.is_ok(), readable, "{read:?}");
        assert!(!format!("{looked_at:?}").contains("hunter2"));
    }
}
