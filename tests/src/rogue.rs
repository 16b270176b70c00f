//! Somebody who has taken the collector, its keys and its address, and a thief who waits for what comes of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parallax_identity::{Authority, Identity, accept, server_config};
use parallax_model::identity::{Role, SpiffeId};
use parallax_proto::v1;
use parallax_proto::v1::agent_link_server::{AgentLink, AgentLinkServer};
use parallax_proto::v1::agent_message::Message as FromAgent;
use parallax_proto::v1::collector_message::Message as ToAgent;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, copy_bidirectional, duplex,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::background::{self, Background};
use crate::namespace::Namespace;
use crate::pki::Credentials;

/// Longer than any order of the rogue's takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that every agent takes for its collector.
pub struct Rogue {
    orders: tokio::sync::broadcast::Sender<v1::Order>,
    heard: mpsc::Receiver<FromAgent>,
    /// What the agent seals to.
    pub sealing_key: Vec<u8>,
    _server: Background,
}

impl Rogue {
    /// Serves with what was stolen from a collector's data directory, until an agent has said hello.
    pub fn start(host: &Namespace, stolen: &Path, (name, port): (&str, u16)) -> Result<Self> {
        let authority = Authority::load_or_create(stolen)?;
        let spiffe = SpiffeId::built_in(Role::Collector, "collector".parse()?);
        let identity = authority.issue_server(&spiffe, &[name.to_owned()])?;
        let (told, heard) = mpsc::channel();
        let (orders, _) = tokio::sync::broadcast::channel(16_384);
        let link = Link {
            orders: orders.clone(),
            told,
        };
        let server = Background::start(host, move || serve(port, &identity, link))?;
        let mut rogue = Self {
            orders,
            heard,
            sealing_key: Vec::new(),
            _server: server,
        };
        rogue.sealing_key = match rogue.next()? {
            FromAgent::Hello(hello) => hello.sealing_key,
            other => anyhow::bail!("{other:?} is no hello"),
        };
        Ok(rogue)
    }

    /// Orders this and waits for the one state in which it ends.
    pub fn order(&self, order: v1::Order) -> Result<FromAgent> {
        let id = order.order_id.clone();
        self.send(order)?;
        self.end_of(&id)
    }

    /// Orders this.
    pub fn send(&self, order: v1::Order) -> Result<()> {
        self.orders.send(order).ok().context("no agent is there")?;
        Ok(())
    }

    /// How an order ended.
    pub fn end_of(&self, id: &str) -> Result<FromAgent> {
        loop {
            match self.next()? {
                FromAgent::Refused(refused) if refused.order_id == id => {
                    return Ok(FromAgent::Refused(refused));
                }
                FromAgent::Done(done) if done.order_id == id => return Ok(FromAgent::Done(done)),
                _ => {}
            }
        }
    }

    /// Takes what has ended, until so many have.
    pub fn ends(&self, many: usize) -> Result<usize> {
        let mut ended = 0;
        while ended < many {
            if matches!(self.next()?, FromAgent::Refused(_) | FromAgent::Done(_)) {
                ended += 1;
            }
        }
        Ok(ended)
    }

    fn next(&self) -> Result<FromAgent> {
        self.heard
            .recv_timeout(PATIENCE)
            .context("the agent says nothing")
    }
}

fn serve(port: u16, identity: &Identity, link: Link) -> Result<impl Future<Output = ()> + use<>> {
    let listener =
        std::net::TcpListener::bind(("::", port)).with_context(|| format!("bind TCP port {port}"))?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let config = server_config(identity, Duration::ZERO)?;
    let (incoming, connections) = tokio::sync::mpsc::channel::<std::io::Result<DuplexStream>>(16);
    let served = Server::builder()
        .add_service(AgentLinkServer::new(link))
        .serve_with_incoming(ReceiverStream::new(connections));
    Ok(async move {
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (config, incoming) = (Arc::clone(&config), incoming.clone());
                tokio::spawn(async move {
                    let Ok(mut tls) = accept(config, tcp).await else {
                        return;
                    };
                    let (mut outside, inside) = duplex(64 * 1024);
                    if incoming.send(Ok(inside)).await.is_ok() {
                        // It ends with the agent or with the rogue.
                        let _ = copy_bidirectional(&mut tls, &mut outside).await;
                    }
                });
            }
        });
        // It ends with the rogue.
        let _ = served.await;
    })
}

/// What an agent's link is with a rogue at its other end.
struct Link {
    orders: tokio::sync::broadcast::Sender<v1::Order>,
    told: mpsc::Sender<FromAgent>,
}

#[tonic::async_trait]
impl AgentLink for Link {
    type OpenStream = ReceiverStream<Result<v1::CollectorMessage, Status>>;

    async fn open(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        let mut said = request.into_inner();
        let mut orders = self.orders.subscribe();
        let told = self.told.clone();
        let (answers, stream) = tokio::sync::mpsc::channel(64);
        tokio::spawn(async move {
            loop {
                let answer = tokio::select! {
                    Ok(order) = orders.recv() => ToAgent::Order(order),
                    Ok(Some(message)) = said.message() => {
                        let Some(message) = message.message else { continue };
                        let answer = reply(&message);
                        // Whoever asked has what it waited for, and listens no more.
                        let _ = told.send(message);
                        let Some(answer) = answer else { continue };
                        answer
                    }
                    else => return,
                };
                let answer = v1::CollectorMessage {
                    message: Some(answer),
                };
                if answers.send(Ok(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// What keeps an agent trusting; every login is granted.
fn reply(message: &FromAgent) -> Option<ToAgent> {
    match message {
        FromAgent::Hello(_) => Some(ToAgent::Welcome(v1::Welcome {
            heartbeat_interval_ms: 600_000,
            heartbeat_timeout_ms: 1_800_000,
            ..v1::Welcome::default()
        })),
        FromAgent::LoginAsked(asked) => Some(ToAgent::LoginAnswer(v1::LoginAnswer {
            order_id: asked.order_id.clone(),
            granted: true,
            ..v1::LoginAnswer::default()
        })),
        _ => None,
    }
}

/// A mail server of a thief's: it agrees to everything, and keeps every byte that it can read.
pub struct Thief {
    heard: Arc<Mutex<Vec<u8>>>,
    _server: Background,
}

impl Thief {
    /// Listens at a port.
    pub fn listen(host: &Namespace, port: u16) -> Result<Self> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let server = Background::start(host, move || {
            background::accept(&[port], move |stream| steal(stream, Arc::clone(&kept)))
        })?;
        Ok(Self {
            heard,
            _server: server,
        })
    }

    /// Listens at a port, behind TLS with these credentials.
    pub fn listen_with_tls(host: &Namespace, port: u16, credentials: &Credentials) -> Result<Self> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let acceptor = credentials.acceptor()?;
        let server = Background::start(host, move || {
            background::accept(&[port], move |stream| {
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&kept));
                async move { steal(acceptor.accept(stream).await?, kept).await }
            })
        })?;
        Ok(Self {
            heard,
            _server: server,
        })
    }

    /// What was said to it.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn steal(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    kept: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    stream
        .write_all(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN] welcome\r\n")
        .await?;
    let mut said = [0; 4096];
    loop {
        let many = stream.read(&mut said).await?;
        if many == 0 {
            return Ok(());
        }
        let mut answer = Vec::new();
        for line in said[..many].split(|byte| *byte == b'\n') {
            let tag = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            if !tag.is_empty() {
                answer.extend([tag, b" OK done\r\n"].concat());
            }
        }
        kept.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(&said[..many]);
        stream.write_all(&answer).await?;
    }
}

/// Counts packets that a host must not send: those that these matches of nftables speak of.
pub struct Counted<'a> {
    host: &'a Namespace,
}

impl<'a> Counted<'a> {
    /// Counts from now on.
    pub fn at(host: &'a Namespace, matches: &[&str]) -> Result<Self> {
        let rules: Vec<String> = matches
            .iter()
            .map(|one| format!("add rule inet forbidden out {one} counter name seen\n"))
            .collect();
        let script = format!(
            "add table inet forbidden\nadd counter inet forbidden seen\n\
             add chain inet forbidden out {{ type filter hook output priority -300; }}\n{}",
            rules.concat()
        );
        host.feed("nft", &["-f", "-"], script)?;
        Ok(Self { host })
    }

    /// How many there were.
    pub fn packets(&self) -> Result<u64> {
        let mut command = std::process::Command::new("nft");
        command.args(["list", "counter", "inet", "forbidden", "seen"]);
        let output = self.host.output(command)?;
        ensure!(output.status.success(), "list a counter");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut words = text
            .split_whitespace()
            .skip_while(|word| *word != "packets")
            .skip(1);
        words
            .next()
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("no count in {text}"))
    }
}
