//! What the engine wants done. Closed: this enum and [`Event`](crate::event::Event) are the whole border.

use std::time::Duration;

use parallax_model::observation::Attempt;
use parallax_model::signal::Signal;
use parallax_model::stage::Stage;

use crate::imap::Outgoing;

/// The next thing to do for a session. All times count from the start of the probe.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one action exists at a time, and is taken apart at once"
)]
pub enum Action {
    /// Open a TCP connection to the session's address and port; answer with `Connected` or `ConnectFailed`.
    Connect {
        /// Give up then.
        until: Duration,
    },
    /// Do a TLS handshake on the open connection; answer with `Handshake`.
    Handshake {
        /// The name for SNI and for the certificate; an address sends no SNI.
        server_name: String,
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
    /// Ask whether this session may try the secret; answer with `LoginGranted` or `LoginWithheld`.
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
