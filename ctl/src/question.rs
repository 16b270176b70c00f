//! From what was typed to what is meant.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use parallax_identity::seal::seal;
use parallax_model::credential::{SealContext, Secret};
use parallax_model::selector::Selector;
use parallax_model::spec::{DEFAULT_TIMEOUT, Depth, FamilyChoice, LoginSpec, ProbeSpec};
use parallax_model::target::Target;
use parallax_model::vantage::Labels;
use parallax_proto::v1;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::args::ProbeArgs;
use crate::exit::Trouble;
use crate::password;

/// What is asked of whom.
#[derive(Debug)]
pub(crate) struct Question {
    /// What each vantage point is to do.
    pub(crate) spec: ProbeSpec,
    /// Which vantage points.
    pub(crate) selector: Selector,
    limit: u32,
    follow_up: bool,
    /// Whether only the choice of vantage points is wanted.
    pub(crate) dry_run: bool,
    secret: Option<Secret>,
}

impl Question {
    /// Reads the arguments, the files they name and the password; each fault is said before anything is asked.
    pub(crate) fn read(args: &ProbeArgs, anchors_in_config: &[PathBuf]) -> Result<Self, Trouble> {
        refuse_what_is_not_there(args)?;
        let target = Target::parse(&args.target, args.security)?;
        let family = args.family();
        check_addresses(&args.address, family)?;
        let depth = depth(args)?;
        let selector = args.selector()?;
        let mut anchors = Vec::new();
        for file in anchors_in_config.iter().chain(&args.ca_file) {
            anchors.extend(read_anchors(file)?);
        }
        // Last: nothing waits for a password that will not be needed.
        let secret = args
            .password_stdin
            .then(|| password::read(io::stdin().lock()))
            .transpose()?;
        Ok(Self {
            spec: ProbeSpec {
                options: Default::default(),
                target,
                depth,
                family,
                addresses: args.address.clone(),
                timeout: args.timeout.unwrap_or(DEFAULT_TIMEOUT),
                login: args.user.as_ref().map(|user| LoginSpec {
                    user: user.clone(),
                    mechanism: args.mechanism,
                }),
                anchors,
            },
            selector,
            limit: args.limit.unwrap_or_default(),
            follow_up: !args.no_follow_up,
            dry_run: args.dry_run,
            secret,
        })
    }

    /// Whether agents must be listed before the question can be put.
    pub(crate) const fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// The question on the wire; the secret is sealed to each of `agents` that is chosen, and goes no other way.
    pub(crate) fn request(&self, agents: &[v1::Agent]) -> Result<v1::RunProbeRequest, Trouble> {
        Ok(v1::RunProbeRequest {
            client_identities: Default::default(),
            spec: Some((&self.spec).into()),
            from: self.selector.to_texts(),
            limit: self.limit,
            follow_up: self.follow_up,
            secrets: self.sealed(agents)?,
            dry_run: self.dry_run,
        })
    }

    fn sealed(&self, agents: &[v1::Agent]) -> Result<HashMap<String, v1::SealedSecret>, Trouble> {
        let (Some(secret), Some(login)) = (&self.secret, &self.spec.login) else {
            return Ok(HashMap::new());
        };
        let host = self.spec.target.host.to_string();
        let context = SealContext {
            host: &host,
            user: &login.user,
        };
        let chosen = agents.iter().filter(|agent| {
            let labels: Labels = agent.labels.clone().into_iter().collect();
            !agent.sealing_key.is_empty() && self.selector.matches(&agent.name, &labels)
        });
        chosen
            .map(|agent| {
                let sealed = seal(&agent.sealing_key, &context, secret)?;
                Ok((agent.name.clone(), (&sealed).into()))
            })
            .collect()
    }
}

fn refuse_what_is_not_there(args: &ProbeArgs) -> Result<(), Trouble> {
    if args.path.as_deref() == Some("always") {
        return Err(Trouble::new("--path always: this version does not trace paths").hint("use --path auto"));
    }
    if args.depth == Some(Depth::Sync) {
        return Err(
            Trouble::new("--depth sync: this version does not write to mailboxes")
                .hint("use --depth mailbox, which reads"),
        );
    }
    Ok(())
}

fn check_addresses(addresses: &[IpAddr], family: FamilyChoice) -> Result<(), Trouble> {
    match addresses.iter().find(|address| !family.admits(**address)) {
        Some(address) => Err(Trouble::new(format!(
            "--address {address} is not of the family asked for with -4 or -6"
        ))),
        None => Ok(()),
    }
}

fn depth(args: &ProbeArgs) -> Result<Depth, Trouble> {
    let has_login = args.user.is_some();
    match args.depth {
        None if has_login => Ok(Depth::Mailbox),
        None => Ok(Depth::Greeting),
        Some(depth) if has_login && depth < Depth::Login => Err(Trouble::new(format!(
            "--depth {depth} ends before the login that --user asks for"
        ))
        .hint("leave --user out, or use --depth login or mailbox")),
        Some(depth) if !has_login && depth >= Depth::Login => {
            Err(Trouble::new(format!("--depth {depth} needs a credential"))
                .hint("add --user USER --password-stdin"))
        }
        Some(depth) => Ok(depth),
    }
}

fn read_anchors(file: &Path) -> Result<Vec<Vec<u8>>, Trouble> {
    let wrong = |error: &dyn std::fmt::Display| {
        Trouble::new(format!("--ca-file {}: {error}", file.display()))
            .hint("give a file with CERTIFICATE blocks in PEM")
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
    let anchors: Vec<_> = certificates
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(&error))?;
    if anchors.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok(anchors)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::{Cli, Command, parse};

    fn question(line: &str) -> Result<Question, Trouble> {
        let words = format!("ctl probe {line}");
        let Ok(Cli {
            command: Some(Command::Probe(args)),
            ..
        }) = parse(words.split(' ').map(OsString::from))
        else {
            panic!("{line}")
        };
        Question::read(&args, &[])
    }

    #[test]
    fn a_bare_target_is_asked_for_its_greeting_by_everybody() {
        let question = question("imap.example.org").unwrap();
        assert_eq!(question.spec.depth, Depth::Greeting);
        assert_eq!(question.spec.timeout, DEFAULT_TIMEOUT);
        let request = question.request(&[]).unwrap();
        assert_eq!(request.from, ["all"]);
        assert!(request.follow_up && request.secrets.is_empty());
    }

    #[test]
    fn what_contradicts_itself_is_said_before_anything_is_asked() {
        for line in [
            "imap://",
            "x -4 --address ::1",
            "x --depth login",
            "x --depth sync",
            "x --path always",
            "x --from a,,b",
            "x --ca-file /nonexistent",
            "imaps://x --security starttls",
        ] {
            let trouble = question(line).unwrap_err();
            assert!(trouble.lines().starts_with("error: "), "{line}");
        }
    }

    #[test]
    fn a_secret_goes_sealed_to_the_chosen_agents_alone() {
        parallax_identity::install_provider();
        let key = parallax_identity::seal::SealingKey::generate().unwrap();
        let agent = |name: &str| v1::Agent {
            name: name.to_owned(),
            sealing_key: key.public().to_vec(),
            ..v1::Agent::default()
        };
        let mut question = question("mail.example.org --from fra-*").unwrap();
        question.spec.login = Some(LoginSpec {
            user: "probe".into(),
            mechanism: None,
        });
        question.secret = Some(Secret::new("hunter2".into()));
        let request = question.request(&[agent("fra-1"), agent("ams-1")]).unwrap();
        assert_eq!(request.secrets.keys().collect::<Vec<_>>(), ["fra-1"]);
        assert!(!format!("{request:?} {question:?}").contains("hunter2"));
    }
}
