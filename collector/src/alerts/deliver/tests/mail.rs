//! A mail server's other end: it takes what it is given.

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::*;

async fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&mails);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(take(stream, Arc::clone(&kept)));
        }
    });
    (port, mails)
}

async fn take(stream: TcpStream, mails: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 lab ESMTP\r\n").await?;
    let (mut mail, mut in_data) = (String::new(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if in_data {
            if line == ".\r\n" {
                mails.lock().await.push(std::mem::take(&mut mail));
                in_data = false;
                stream.write_all(b"250 taken\r\n").await?;
            } else {
                mail.push_str(&line);
            }
            continue;
        }
        let answer: &[u8] = match line.get(..4) {
            Some("EHLO") => b"250 lab\r\n",
            Some("DATA") => {
                in_data = true;
                b"354 go on\r\n"
            }
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}

fn mailbox(url: &str) -> Receiver {
    Receiver {
        name: "mail".to_owned(),
        smtp: Some(url.to_owned()),
        from: Some("Parallax <parallax@example.org>".to_owned()),
        to: vec!["ops@example.org".to_owned()],
        ..Receiver::default()
    }
}

#[tokio::test]
async fn the_end_is_in_the_thread_of_the_beginning() {
    let (port, mails) = server().await;
    let sender = Sender::new(vec![mailbox(&format!("smtp://127.0.0.1:{port}"))]).await;
    let alert = firing();
    sender.tell(&alert).await;
    sender.tell(&resolved(&alert)).await;
    let mails = until("two mails", async || {
        let mails = mails.lock().await.clone();
        (mails.len() == 2).then_some(mails)
    })
    .await;
    let header = |mail: &str, name: &str| {
        let lines = mail.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| *known == name);
        found
            .next()
            .map(|(_, value)| value.to_owned())
            .unwrap_or_else(|| panic!("no {name} in {mail}"))
    };
    let first = header(&mails[0], "Message-ID");
    assert!(
        first.contains(&alert.fingerprint) && first.ends_with("@example.org>"),
        "{first}"
    );
    assert_eq!(header(&mails[1], "References"), first);
    assert_ne!(header(&mails[1], "Message-ID"), first);
    assert!(header(&mails[0], "Subject").starts_with("[FIRING] ImapTargetFailing"));
    assert!(header(&mails[1], "Subject").starts_with("[RESOLVED] ImapTargetFailing"));
    assert!(mails[0].contains("https://traces.example.org/"), "{}", mails[0]);
}

/// RFC 3207: a server that offers no STARTTLS gets nothing, unless it is on this host.
#[tokio::test]
async fn nothing_leaves_this_host_without_tls() {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = take(stream, Arc::default()).await;
    });
    parallax_identity::install_provider();
    let receiver = mailbox("smtp://mail.example.org");
    let mail = Mail::to_address("mail.example.org", "127.0.0.2", port, &receiver).unwrap();
    let refusal = mail.send(&firing()).await.unwrap_err();
    let (Refusal::Later(problem) | Refusal::Final(problem)) = refusal;
    assert!(problem.to_lowercase().contains("starttls"), "{problem}");
}
