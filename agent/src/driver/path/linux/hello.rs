//! The first bytes on an open connection, with a time to live of their own.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use parallax_engine::path::{Answer, Shot};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::driver::errno;
use crate::driver::errqueue;
use crate::driver::path::Flow;
use crate::driver::path::linux::starttls::{self, Until};
use crate::driver::path::linux::{options, syn};

/// For the connection, which is not what is looked at.
const TO_OPEN: Duration = Duration::from_secs(1);

/// `before` is how far the dialogue goes before.
pub(super) async fn shoot(flow: &mut Flow, hello: &[u8], before: Option<Until>, shot: Shot) -> Answer {
    let usual = Shot::arriving(TO_OPEN);
    let (stream, _) = match syn::open(flow, usual).await {
        Ok(open) => open,
        // Without a connection nothing is said about what would be sent on it.
        Err(Answer::NotSent(errno)) => return Answer::NotSent(errno),
        Err(_) => return Answer::NotSent("ENOTCONN".to_owned()),
    };
    if let Some(before) = before
        && starttls::talk(&stream, before).await.is_none()
    {
        return Answer::NotSent("ENOTCONN".to_owned());
    }
    let v4 = flow.peer.is_ipv4();
    let answer = say(&stream, hello, shot, v4).await;
    // The reset that closes it is to arrive.
    let _ = options::set_ttl(&stream, v4, Shot::FAR);
    answer.unwrap_or_else(|error| Answer::NotSent(errno::name(&error)))
}

async fn say(stream: &TcpStream, hello: &[u8], shot: Shot, v4: bool) -> io::Result<Answer> {
    options::set_ttl(stream, v4, shot.ttl)?;
    if let Some(least) = shot.least {
        options::set_least(stream, v4, least)?;
    }
    let sent = Instant::now();
    stream.try_write(hello)?;
    // Between two hosts without a way between them the error comes while the segment is sent, and is then told only to
    // who asks (measured); else it would be heard when the segment is sent again.
    if let Some(error) = stream.take_error()? {
        return Ok(failed(stream, &error, sent.elapsed()));
    }
    let answer = timeout(shot.wait, answer(stream, sent)).await;
    Ok(answer.unwrap_or(Answer::Silence))
}

async fn answer(stream: &TcpStream, sent: Instant) -> Answer {
    let mut byte = [0_u8; 1];
    let heard = stream.async_io(Interest::READABLE | Interest::ERROR, || {
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.try_read(&mut byte) {
            // The error may have come with the very wish to read.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = errqueue::entries(stream.as_fd());
                Err(error)
            }
            other => other,
        }
    });
    let heard = heard.await;
    let rtt = sent.elapsed();
    match heard {
        Ok(_) => Answer::Answered { rtt },
        Err(error) => failed(stream, &error, rtt),
    }
}

fn failed(stream: &TcpStream, error: &io::Error, rtt: Duration) -> Answer {
    match error.raw_os_error() {
        // Of an open connection the kernel tells the error and not its sender.
        Some(libc::EHOSTUNREACH) => Answer::Expired { rtt },
        _ => syn::failed(stream, error, rtt),
    }
}
