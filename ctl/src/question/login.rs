//! Who logs in, how, and with what.

use std::io;

use parallax_model::credential::{ClientIdentity, Secret};
use parallax_model::spec::{Depth, LoginSpec};
use parallax_model::target::{Security, Target};

use super::files;
use crate::args::ProbeArgs;
use crate::exit::Trouble;
use crate::password;

/// The login, and the secrets that go to the agents sealed.
pub(super) struct Login {
    /// What the agents are told.
    pub(super) spec: Option<LoginSpec>,
    /// Password or token; empty with EXTERNAL.
    pub(super) secret: Option<Secret>,
    /// The client certificate and its key.
    pub(super) client_identity: Option<ClientIdentity>,
}

impl Login {
    /// Reads what the arguments name; the password last, and only where all else is well.
    pub(super) fn read(args: &ProbeArgs, target: &Target, depth: Depth) -> Result<Self, Trouble> {
        check(args)?;
        check_certificate_is_shown(args, target, depth)?;
        let certificate = args.client_certificate.as_deref();
        let client_identity = certificate.map(files::client_identity).transpose()?;
        let secret = if args.password_stdin {
            Some(password::read(io::stdin().lock())?)
        } else {
            args.is_external().then(|| Secret::new(String::new()))
        };
        let spec = args.logs_in().then(|| LoginSpec {
            user: args.user.clone().unwrap_or_default(),
            mechanism: args.mechanism,
        });
        Ok(Self {
            spec,
            secret,
            client_identity,
        })
    }
}

fn check(args: &ProbeArgs) -> Result<(), Trouble> {
    if args.is_external() {
        if args.password_stdin {
            return Err(
                Trouble::new("--mechanism EXTERNAL takes no password").hint("leave --password-stdin out")
            );
        }
        if args.client_certificate.is_none() {
            return Err(
                Trouble::new("--mechanism EXTERNAL logs in by a client certificate")
                    .hint("add --client-certificate FILE"),
            );
        }
        return Ok(());
    }
    match (args.mechanism, &args.user) {
        (Some(mechanism), None) => Err(Trouble::new(format!("--mechanism {mechanism} needs a user"))
            .hint("add --user USER --password-stdin")),
        (_, Some(_)) if !args.password_stdin => Err(Trouble::new("--user needs a password")
            .hint("add --password-stdin, or log in by --mechanism EXTERNAL --client-certificate FILE")),
        _ => Ok(()),
    }
}

fn check_certificate_is_shown(args: &ProbeArgs, target: &Target, depth: Depth) -> Result<(), Trouble> {
    if args.client_certificate.is_none() {
        return Ok(());
    }
    let in_clear = |security| security == Security::Plaintext;
    if target
        .endpoints
        .iter()
        .all(|endpoint| in_clear(endpoint.security))
    {
        return Err(Trouble::new(
            "--client-certificate is shown in TLS only, and there is none at this endpoint",
        )
        .hint("use --security tls or starttls"));
    }
    if depth < Depth::Tls {
        return Err(
            Trouble::new(format!("--client-certificate: --depth {depth} ends before TLS"))
                .hint("use --depth tls or deeper"),
        );
    }
    Ok(())
}
