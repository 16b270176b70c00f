//! The identity that a login takes the place of: it is kept beside, as a home of its own.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parallax_identity::Identity;

use crate::config::Config;
use crate::exit::Trouble;
use crate::known_agents;

/// Keeps the identity at home before another is written over it, and says so: where it is, and how to get it back. The
/// same identity at the same collector, once more, takes nobody's place.
pub(crate) fn set_aside(config: &Config, new: &Identity) -> Result<Option<String>, Trouble> {
    // One that can't be read is of use to nobody.
    let Ok(Some(old)) = Identity::load(&config.home) else {
        return Ok(None);
    };
    if old.spiffe() == new.spiffe() && old.anchors() == new.anchors() {
        return Ok(None);
    }
    let (name, role) = (&old.spiffe().name, old.spiffe().role);
    let place = place(&config.home, &format!("replaced-{role}-{name}"), Timestamp::now());
    old.save(&place)?;
    copy(&config.home, &place, known_agents::FILE)?;
    let aside = Config {
        home: place.clone(),
        ..config.clone()
    };
    let at = match &config.collector {
        Some(collector) => {
            aside.keep_collector(collector, None)?;
            format!(" at {collector}")
        }
        None => String::new(),
    };
    let place = place.display();
    Ok(Some(format!(
        "note: this takes the place of {name} ({role}){at}, whose identity is kept: ctl --home {place} ...; to get it \
         back: cp -a {place}/. {}\n",
        config.home.display()
    )))
}

/// A directory that is not there yet.
fn place(home: &Path, name: &str, now: Timestamp) -> PathBuf {
    let first = home.join(format!("{name}-{}", now.strftime("%Y%m%dT%H%M%SZ")));
    let more = (2..).map(|number| {
        let mut next = first.clone().into_os_string();
        next.push(format!("-{number}"));
        PathBuf::from(next)
    });
    let mut places = std::iter::once(first.clone()).chain(more);
    places.find(|place| !place.exists()).unwrap_or(first)
}

fn copy(from: &Path, to: &Path, file: &str) -> Result<(), Trouble> {
    match std::fs::copy(from.join(file), to.join(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Trouble::new(format!("copy {file} to {}: {error}", to.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use parallax_identity::{Authority, LocalKey};
    use parallax_telemetry::logs::LogFormat;

    use super::*;

    fn identity(authority: &Authority, role: &str, name: &str) -> Identity {
        let id: parallax_model::identity::SpiffeId = format!("spiffe://parallax.internal/{role}/{name}")
            .parse()
            .unwrap();
        let key = LocalKey::generate().unwrap();
        let chain = authority
            .issue(&key.csr(&id.name).unwrap(), &id, Duration::from_secs(3600))
            .unwrap();
        Identity::new(&key, chain, vec![authority.certificate().to_vec()]).unwrap()
    }

    #[test]
    fn whose_place_is_taken_is_kept_as_a_home_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            home: directory.path().to_owned(),
            collector: Some("mon.example.org".parse().unwrap()),
            own: None,
            log_format: LogFormat::Text,
            log: None,
            ca_file: Vec::new(),
        };
        parallax_identity::install_provider();
        let authority = Authority::ephemeral().unwrap();
        let ada = identity(&authority, "admin", "ada");
        assert_eq!(set_aside(&config, &ada).unwrap(), None, "nobody was there");
        ada.save(&config.home).unwrap();
        let again = identity(&authority, "admin", "ada");
        assert_eq!(set_aside(&config, &again).unwrap(), None, "nobody else comes");

        let said = set_aside(&config, &identity(&authority, "operator", "eve"))
            .unwrap()
            .unwrap();
        assert!(
            said.contains("the place of ada (admin) at mon.example.org:7143"),
            "{said}"
        );
        let place = std::fs::read_dir(&config.home)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().contains("replaced-admin-ada-"))
            .unwrap();
        assert!(
            said.contains(&format!("ctl --home {} ", place.display())),
            "{said}"
        );
        let kept = Identity::load(&place).unwrap().unwrap();
        assert_eq!(kept.chain(), ada.chain());
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(place.clone()), mode(place.join("key.pem"))), (0o700, 0o600));
        let written = std::fs::read_to_string(place.join("config.toml")).unwrap();
        assert_eq!(written, "collector = \"mon.example.org:7143\"\n");
        let second = set_aside(&config, &identity(&authority, "operator", "eve")).unwrap();
        assert_ne!(second.unwrap(), said, "and the next beside it");
    }
}
