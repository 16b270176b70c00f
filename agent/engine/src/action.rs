//! What the engine wants done. Closed: this enum and [`Event`](crate::event::Event) are the whole border.

use std::net::IpAddr;
use std::time::Duration;

use parallax_model::observation::Attempt;
use parallax_model::signal::Signal;
use parallax_model::stage::Stage;

use crate::imap::Outgoing;

/// What a TLS connection is for. The two are kept apart by type: in the engine by [`Verified`], in the driver by its
/// streams, of which only the strict one opens an [`Outgoing`] with a secret in it.
///
/// [`Verified`]: crate::handshake::Verified
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It goes on whatever chain is presented, so that all of it can be seen; no secret can ever be sent over it.
    Evidence,
    /// It breaks off unless the chain leads to a trust anchor and names the host, now; a secret may follow.
    Strict,
}

/// How a TCP connection is opened, where not as usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dial {
    /// The address of this host that it comes from; without one, the kernel's choice.
    pub source: Option<IpAddr>,
    /// The largest segment announced and sent (the MSS option of RFC 9293 section 3.7.1), in bytes.
    pub mss: Option<u16>,
}

/// What a ClientHello says, where not as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The name in it.
    pub name: NameShown,
    /// Leaves the protocol out (ALPN, RFC 7301).
    pub without_alpn: bool,
    /// Offers post-quantum key exchange first, as new clients do: then it needs more than one segment.
    pub large: bool,
}

/// The server name in a ClientHello (RFC 6066 section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NameShown {
    /// The host asked for; an address is not sent.
    #[default]
    Host,
    /// None.
    Nothing,
    /// Another one. Whatever certificate it brings is none of the host's.
    Other(String),
}

impl NameShown {
    /// Whether the server is asked for what it shows to the host's clients.
    pub const fn is_the_hosts(&self) -> bool {
        matches!(self, Self::Host)
    }
}

/// The next thing to do for a session. All times count from the start of the probe.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one action exists at a time, and is taken apart at once"
)]
pub enum Action {
    /// Open a TCP connection to the session's address and port; answer with `Connected` or `ConnectFailed`.
    Connect {
        /// How it is opened.
        dial: Dial,
        /// Give up then.
        until: Duration,
    },
    /// Do a TLS handshake on the open connection; answer with `Handshake`.
    Handshake {
        /// The name for SNI and for the certificate; an address sends no SNI.
        server_name: String,
        /// What the ClientHello says.
        hello: Hello,
        /// What the connection is for.
        connection: Connection,
        /// Give up then.
        until: Duration,
    },
    /// Write these bytes; answer with `Sent` or `Failed`.
    Send {
        /// What to write; it masks its own secrets wherever it is shown.
        bytes: Outgoing,
        /// Give up then.
        until: Duration,
    },
    /// Wait for bytes; answer with `Received`, `Closed`, `Failed` or `TimedOut`.
    Receive {
        /// Give up then.
        until: Duration,
    },
    /// Ask whether this session may try the secret; answer with `LoginGranted`, `LoginWithheld` or `LoginKnown`.
    AskLogin {
        /// Give up then, with `LoginWithheld`.
        until: Duration,
    },
    /// Tell the other session of a synchronisation; there is no answer.
    Tell(Signal),
    /// A stage has ended; pass it on and come back at once, there is no answer.
    Report(Stage),
    /// Close the connection; there is no answer.
    Close,
    /// Everything is done; the session wants nothing more.
    Finish(Attempt),
}
