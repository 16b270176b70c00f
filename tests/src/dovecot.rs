//! A real Dovecot on the mail host: IMAP on 143 with STARTTLS and on 993, both families, two users with mail.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::address;
use crate::lab::Lab;
use crate::namespace::Namespace;
use crate::pki::Credentials;
use crate::process::{self, Process};
use crate::wait;

/// A user the server knows.
pub const USER: &str = "anna";
/// Her password.
pub const PASSWORD: &str = "walnut-7-river";
/// The subjects in her INBOX, oldest first.
pub const SUBJECTS: [&str; 2] = ["Minutes of the meeting", "Re: Minutes of the meeting"];

/// The owner of the mail; an account with this number need not exist.
pub(crate) const MAIL_UID: u32 = 5000;
const TO_GREET: Duration = Duration::from_secs(15);
const CONFIGURATION: &str = include_str!("dovecot.conf");

/// What its configuration says, where that changes.
#[derive(Debug, Clone)]
struct Manner {
    /// As much as a user may keep; hers are a few hundred bytes.
    room: &'static str,
    /// SASL mechanisms.
    mechanisms: &'static str,
    /// Sessions before login that one process takes; 0 is any number.
    sessions: u32,
}

/// As Dovecot comes: a process for each session that nobody logged in to.
const USUAL: Manner = Manner {
    room: "10M",
    mechanisms: "plain login",
    sessions: 1,
};

/// A mail server and its files; stopped when dropped.
pub struct Dovecot {
    directory: PathBuf,
    manner: Manner,
    addresses: [IpAddr; 2],
    process: Option<Process>,
}

impl Dovecot {
    /// Starts a server on the lab's mail host that presents `credentials`, and waits until it greets.
    pub fn start(lab: &Lab, credentials: &Credentials) -> Result<Self> {
        let directory = lab.directory().join("dovecot");
        Self::start_on(&lab.mail, directory, address::MAIL.both(), credentials)
    }

    /// Starts a server with its files in `directory`, and waits until it greets on both addresses of `host`.
    pub fn start_on(
        host: &Namespace,
        directory: PathBuf,
        addresses: [IpAddr; 2],
        credentials: &Credentials,
    ) -> Result<Self> {
        lay_out(&directory)?;
        let mut dovecot = Self {
            directory,
            manner: USUAL,
            addresses,
            process: None,
        };
        dovecot.present(host, credentials)?;
        Ok(dovecot)
    }

    /// Starts the server again, with other credentials.
    pub fn present(&mut self, host: &Namespace, credentials: &Credentials) -> Result<()> {
        self.stop();
        std::fs::write(self.directory.join("chain.pem"), &credentials.chain_pem)?;
        std::fs::write(self.directory.join("key.pem"), &credentials.key_pem)?;
        self.run(host)
    }

    /// Starts the server, and waits until it greets on both addresses and listens on 993. No effect while it runs.
    pub fn run(&mut self, host: &Namespace) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        configure(&self.directory, &self.manner)?;
        let mut command = Command::new("dovecot");
        command
            .arg("-F")
            .arg("-c")
            .arg(self.directory.join("dovecot.conf"));
        let mut process = Process::start(host, "dovecot-start", &self.directory, &command)?;
        self.wait_for_greeting(host, &mut process)?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the server. No effect while it does not run.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts the server again with less room than the users need, or with enough of it.
    pub fn fill(&mut self, host: &Namespace, full: bool) -> Result<()> {
        self.stop();
        self.manner.room = if full { "100B" } else { USUAL.room };
        self.run(host)
    }

    /// Starts the server again with other ways to log in, by their SASL names.
    pub fn offer(&mut self, host: &Namespace, mechanisms: &'static str) -> Result<()> {
        self.stop();
        self.manner.mechanisms = mechanisms;
        self.run(host)
    }

    /// Starts the server again so that it can take many sessions a second: one process for any number of them.
    pub fn hurry(&mut self, host: &Namespace) -> Result<()> {
        self.stop();
        self.manner.sessions = 0;
        self.run(host)
    }

    /// Makes the password database unreadable, or readable again: without it every login fails temporarily.
    pub fn hide_passwords(&self, hidden: bool) -> Result<()> {
        write_passwords(&self.directory, PASSWORD, if hidden { 0o600 } else { 0o644 })
    }

    /// Gives [`USER`] another password, of another length than the last.
    pub fn set_password(&self, password: &str) -> Result<()> {
        write_passwords(&self.directory, password, 0o644)
    }

    /// How many passwords the server has refused so far.
    pub fn refused_passwords(&self) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains("Password mismatch"))
            .count()
    }

    /// Everything the server has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("dovecot.log")
    }

    fn wait_for_greeting(&self, host: &Namespace, process: &mut Process) -> Result<()> {
        let [v4, v6] = self.addresses;
        let greets = |address: IpAddr| greeting_at(host, address).starts_with("* OK");
        let listens = |address| host.run(move || TcpStream::connect(SocketAddr::new(address, 993)).is_ok());
        wait::until("greeting of Dovecot", TO_GREET, || {
            if let Some(status) = process.ended()? {
                bail!("Dovecot ended ({status})\n{}\n{}", process.tail(), self.tail());
            }
            Ok((greets(v4) && greets(v6) && listens(v4) && listens(v6)).then_some(()))
        })
        .with_context(|| self.tail())
    }

    fn tail(&self) -> String {
        process::tail("dovecot", &self.log_file())
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        self.stop();
    }
}

fn lay_out(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))?;
    write_passwords(directory, PASSWORD, 0o644)?;
    std::fs::create_dir(directory.join("mail"))?;
    for user in [USER, "bert"] {
        deliver(&directory.join("mail").join(user))?;
    }
    Ok(())
}

fn configure(directory: &Path, manner: &Manner) -> Result<()> {
    let configuration = CONFIGURATION
        .replace("{HERE}", &directory.display().to_string())
        .replace("{MAIL_UID}", &MAIL_UID.to_string())
        .replace("{ROOM}", manner.room)
        .replace("{MECHANISMS}", manner.mechanisms)
        .replace("{SESSIONS}", &manner.sessions.to_string());
    std::fs::write(directory.join("dovecot.conf"), configuration)?;
    Ok(())
}

/// Dovecot opens the file again only when its size has changed, hence the mark.
fn write_passwords(directory: &Path, password: &str, mode: u32) -> Result<()> {
    let path = directory.join("users");
    let mark = if mode & 0o004 == 0 {
        "# for root only\n"
    } else {
        ""
    };
    std::fs::write(&path, format!("{mark}{USER}:{password}\nbert:pebble-3-lantern\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Lays a user's two messages into her Maildir.
pub(crate) fn deliver(home: &Path) -> Result<()> {
    let maildir = home.join("Maildir");
    for below in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(below))?;
        give_away(&maildir.join(below))?;
    }
    give_away(home)?;
    give_away(&maildir)?;
    for (number, subject) in SUBJECTS.iter().enumerate() {
        let path = maildir.join("cur").join(format!("17000000{number:02}.lab:2,S"));
        std::fs::write(&path, message(number, subject))?;
        give_away(&path)?;
    }
    Ok(())
}

fn give_away(path: &Path) -> Result<()> {
    let owner = Some(MAIL_UID);
    chown(path, owner, owner).with_context(|| format!("give {} to the mail's owner", path.display()))
}

/// The message of that subject.
pub(crate) fn message(number: usize, subject: &str) -> String {
    format!(
        "From: Bert <bert@lab.example>\r\nTo: Anna <anna@lab.example>\r\nSubject: {subject}\r\n\
         Date: Mon, 2 Mar 2026 09:{number:02}:00 +0000\r\nMessage-ID: <{number}@lab.example>\r\n\
         \r\nNothing was decided.\r\n"
    )
}

/// What the mail host says first on port 143, as seen by itself.
pub(crate) fn greeting_at(host: &Namespace, address: IpAddr) -> String {
    host.run(move || greeting(address))
}

fn greeting(address: IpAddr) -> String {
    let patience = Duration::from_secs(2);
    let mut line = [0; 512];
    let read = TcpStream::connect(SocketAddr::new(address, 143)).and_then(|mut stream| {
        stream.set_read_timeout(Some(patience))?;
        stream.read(&mut line)
    });
    String::from_utf8_lossy(&line[..read.unwrap_or(0)]).into_owned()
}
