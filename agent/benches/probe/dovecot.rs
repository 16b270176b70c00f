//! A real server: Dovecot with the settings it comes with, as far as a benchmark can leave them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::place::{PASSWORD, Place, USER};
use crate::server;

/// Owner of the mail; an account with this number need not exist.
const MAIL_UID: u32 = 5000;
const TO_LISTEN: Duration = Duration::from_secs(10);

/// A running server; stopped when dropped.
pub(crate) struct Dovecot {
    process: Child,
    pub(crate) place: Place,
    _directory: TempDir,
}

impl Dovecot {
    /// Starts one on loopback; the reason why not, where that can not be: it must be installed, and started by root.
    pub(crate) fn start() -> Result<Self, String> {
        let directory = TempDir::new().map_err(|error| error.to_string())?;
        let (address, root) = lay_out(directory.path()).map_err(|error| error.to_string())?;
        let process = Command::new("dovecot")
            .arg("-F")
            .arg("-c")
            .arg(directory.path().join("dovecot.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("start dovecot: {error}"))?;
        let mut started = Self {
            process,
            place: Place { address, root },
            _directory: directory,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = started.process.try_wait() {
                return Err(format!("dovecot ended ({status})"));
            }
            if began.elapsed() > TO_LISTEN {
                return Err(format!("dovecot does not listen after {TO_LISTEN:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(started)
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its master ends its other processes only when it is asked to end.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn lay_out(here: &Path) -> std::io::Result<(SocketAddr, Vec<u8>)> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let issued = server::issue();
    std::fs::set_permissions(here, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(here.join("chain.pem"), issued.leaf.pem())?;
    std::fs::write(here.join("key.pem"), issued.key.serialize_pem())?;
    std::fs::write(here.join("users"), format!("{USER}:{PASSWORD}\n"))?;
    let mail = here.join("mail").join(USER).join("Maildir");
    for below in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(mail.join(below))?;
    }
    std::fs::write(
        mail.join("cur/1700000000.bench:2,S"),
        "Message-ID: <1@bench>\r\nDate: Mon, 2 Mar 2026 09:00:00 +0000\r\n\r\nNothing.\r\n",
    )?;
    let owner = Some(MAIL_UID);
    for owned in ["", "cur", "new", "tmp", ".."] {
        chown(mail.join(owned), owner, owner)?;
    }
    std::fs::write(here.join("dovecot.conf"), configuration(here, address.port()))?;
    Ok((address, issued.root))
}

fn configuration(here: &Path, port: u16) -> String {
    let here = here.display();
    format!(
        "protocols = imap
listen = 127.0.0.1
base_dir = {here}/run
state_dir = {here}/state
log_path = {here}/log
ssl = required
ssl_cert = <{here}/chain.pem
ssl_key = <{here}/key.pem
mail_location = maildir:~/Maildir
first_valid_uid = {MAIL_UID}
# All of them come from one address, as one user.
mail_max_userip_connections = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {here}/users
}}
userdb {{
  driver = static
  args = uid={MAIL_UID} gid={MAIL_UID} home={here}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"
    )
}
