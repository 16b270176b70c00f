//! A webhook's other end, on loopback.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it answers when it does not answer at all.
const NOTHING: u16 = 0;

/// Takes posts, and answers with the status that it was told.
pub(super) struct Hook {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

struct Seen {
    status: u16,
    posts: Vec<Post>,
}

/// What was posted.
#[derive(Debug, Clone)]
pub(super) struct Post {
    head: String,
    pub(super) body: Vec<u8>,
}

impl Post {
    pub(super) fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found
            .next()
            .map(|(_, value)| value.to_owned())
            .unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status that it tells.
    pub(super) fn status(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["status"].as_str().unwrap().to_owned()
    }
}

impl Hook {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen {
            status: 200,
            posts: Vec::new(),
        }));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream, Arc::clone(&shared)));
            }
        });
        Self { port, seen, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(super) fn answer(&self, status: u16) {
        self.seen.lock().unwrap().status = status;
    }

    /// Takes posts and says nothing.
    pub(super) fn hold(&self) {
        self.answer(NOTHING);
    }

    pub(super) fn posts(&self) -> Vec<Post> {
        self.seen.lock().unwrap().posts.clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(mut stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    while let Some(post) = read(&mut stream).await {
        let status = {
            let mut seen = seen.lock().unwrap();
            seen.posts.push(post);
            seen.status
        };
        if status == NOTHING {
            return std::future::pending().await;
        }
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Post> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await.ok()? {
            0 => return None,
            length => bytes.extend_from_slice(&chunk[..length]),
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse::<usize>().unwrap());
        let begin = head.len() + 4;
        if bytes.len() >= begin + length {
            return Some(Post {
                head: head.to_owned(),
                body: bytes[begin..begin + length].to_vec(),
            });
        }
    }
}
