//! Real servers beside Dovecot, in its place on the mail host: IMAP on 143 with STARTTLS and on 993.
//!
//! Debian lets one IMAP server be installed. The packages of these two are only unpacked, by `tests/run`, and lie
//! over the system's files in a mount namespace that ends with the server. Its processes are in a namespace of
//! their own too, so that none outlives it, whatever user it became.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::dovecot::{self, MAIL_UID, PASSWORD, USER};
use crate::lab::Lab;
use crate::pki::Credentials;
use crate::process::Process;
use crate::{address, wait};

/// The variable that names the directory with the unpacked packages.
const UNPACKED: &str = "PARALLAX_SERVERS";
const TO_GREET: Duration = Duration::from_secs(30);

/// A product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Courier IMAP: no SPECIAL-USE, no ID, everything below `INBOX.`.
    Courier,
    /// Cyrus IMAP: everything below `INBOX.`, three namespaces, many capabilities.
    Cyrus,
}

/// A mail server and its files; stopped when dropped.
pub struct OtherServer {
    process: Option<Process>,
}

impl Product {
    /// Why this product can not be run here, or nothing.
    pub fn missing(self) -> Option<String> {
        let found = self
            .packages()
            .is_some_and(|directory| directory.join("usr").is_dir());
        (!found).then(|| {
            format!(
                "{} is not unpacked: use tests/run, or set {UNPACKED}",
                self.name()
            )
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Courier => "courier",
            Self::Cyrus => "cyrus",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Courier => include_str!("courier.sh"),
            Self::Cyrus => include_str!("cyrus.sh"),
        }
    }

    fn packages(self) -> Option<PathBuf> {
        Some(Path::new(&std::env::var_os(UNPACKED)?).join(self.name()))
    }
}

impl OtherServer {
    /// Starts `product` on the lab's mail host, where nothing else may listen, and waits until it greets.
    pub fn start(lab: &Lab, product: Product, credentials: &Credentials) -> Result<Self> {
        let packages = product
            .packages()
            .with_context(|| format!("{UNPACKED} is not set"))?;
        ensure!(
            packages.join("usr").is_dir(),
            "no packages in {}",
            packages.display()
        );
        let directory = lab.directory().join(product.name());
        lay_out(&directory, credentials)?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .args(["sh", "-c", product.script()])
            .env("PACKAGES", packages)
            .env("HERE", &directory)
            .env("USER", USER)
            .env("PASSWORD", PASSWORD)
            .env("MAIL_UID", MAIL_UID.to_string());
        let mut process = Process::start(&lab.mail, product.name(), &directory, &command)?;
        wait::until(&format!("greeting of {}", product.name()), TO_GREET, || {
            if let Some(status) = process.ended()? {
                bail!("it ended ({status})");
            }
            let ready = product == Product::Courier || directory.join("delivered").exists();
            Ok((ready && listens(lab)).then_some(()))
        })
        .with_context(|| process.tail())?;
        Ok(Self {
            process: Some(process),
        })
    }
}

impl Drop for OtherServer {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }
}

fn lay_out(directory: &Path, credentials: &Credentials) -> Result<()> {
    let messages = directory.join("messages");
    std::fs::create_dir_all(&messages)?;
    std::fs::write(directory.join("chain.pem"), &credentials.chain_pem)?;
    std::fs::write(directory.join("key.pem"), &credentials.key_pem)?;
    for (number, subject) in dovecot::SUBJECTS.iter().enumerate() {
        std::fs::write(
            messages.join(number.to_string()),
            dovecot::message(number, subject),
        )?;
    }
    let mail = directory.join("mail");
    std::fs::create_dir(&mail)?;
    chown(&mail, Some(MAIL_UID), Some(MAIL_UID))?;
    dovecot::deliver(&mail.join(USER))
}

fn listens(lab: &Lab) -> bool {
    let answers = |address: IpAddr, port| {
        lab.mail
            .run(move || TcpStream::connect(SocketAddr::new(address, port)).is_ok())
    };
    address::MAIL
        .both()
        .into_iter()
        .all(|address| dovecot::greeting_at(&lab.mail, address).starts_with("* OK") && answers(address, 993))
}
