//! The way to the first bytes behind STARTTLS (RFC 9051 section 6.2.1).

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::driver::tcp;

/// The command.
pub(super) const COMMAND: &[u8] = b"1 STARTTLS\r\n";
const GO_AHEAD: &[u8] = b"1 OK";

/// For the whole dialogue, which is not what is looked at.
const TIME: Duration = Duration::from_secs(1);
/// Whoever says more than this says nothing of use.
const MOST: usize = 8 * 1024;

/// How far the dialogue goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The server has greeted.
    Greeting,
    /// The server has taken the command.
    GoAhead,
}

/// Talks so far; nothing where the server does not.
pub(super) async fn talk(stream: &TcpStream, until: Until) -> Option<()> {
    let talking = async {
        line(stream, |line| line.starts_with(b"* ")).await?;
        if until == Until::GoAhead {
            stream.try_write(COMMAND).ok()?;
            let answer = line(stream, |line| line.starts_with(b"1 ")).await?;
            return answer.starts_with(GO_AHEAD).then_some(());
        }
        Some(())
    };
    timeout(TIME, talking).await.ok()?
}

/// The first whole line that is meant.
async fn line(stream: &TcpStream, is_meant: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.len() < MOST {
        let bytes = tcp::read(stream).await.ok()?;
        if bytes.is_empty() {
            return None;
        }
        heard.extend(bytes);
        let whole = heard.split_inclusive(|byte| *byte == b'\n');
        let mut whole = whole.filter(|line| line.ends_with(b"\n"));
        if let Some(line) = whole.find(|line| is_meant(line)) {
            return Some(line.to_vec());
        }
    }
    None
}
