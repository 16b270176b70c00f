//! The keys of every attribute that Parallax exports: those of the OpenTelemetry conventions (schema 1.42.0)
//! and its own under `parallax` and `imap`.

/// The schema of the conventions' keys.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";

/// What kind of failure, of few values; the same on spans and in metrics.
pub const ERROR_TYPE: &str = "error.type";

/// The name asked for.
pub const DNS_QUESTION_NAME: &str = "dns.question.name";
/// The addresses in the answers.
pub const DNS_ANSWERS: &str = "dns.answers";

/// Address of the other end of the connection.
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
/// Port of the other end.
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
/// Address of this end.
pub const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
/// Port of this end.
pub const NETWORK_LOCAL_PORT: &str = "network.local.port";
/// Interface of this end.
pub const NETWORK_INTERFACE_NAME: &str = "network.interface.name";
/// `tcp`.
pub const NETWORK_TRANSPORT: &str = "network.transport";
/// `ipv4` or `ipv6`.
pub const NETWORK_TYPE: &str = "network.type";
/// `imap`.
pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
/// Name or address of the server as it was asked for.
pub const SERVER_ADDRESS: &str = "server.address";
/// Port of the server as it was asked for.
pub const SERVER_PORT: &str = "server.port";

/// `tls`.
pub const TLS_PROTOCOL_NAME: &str = "tls.protocol.name";
/// `1.3`, `1.2`.
pub const TLS_PROTOCOL_VERSION: &str = "tls.protocol.version";
/// Cipher suite by its IANA name.
pub const TLS_CIPHER: &str = "tls.cipher";
/// Key exchange group.
pub const TLS_CURVE: &str = "tls.curve";
/// Whether the handshake came to its end.
pub const TLS_ESTABLISHED: &str = "tls.established";
/// Subject of the server's certificate.
pub const TLS_SERVER_SUBJECT: &str = "tls.server.subject";
/// Its issuer.
pub const TLS_SERVER_ISSUER: &str = "tls.server.issuer";
/// Start of its validity.
pub const TLS_SERVER_NOT_BEFORE: &str = "tls.server.not_before";
/// End of its validity.
pub const TLS_SERVER_NOT_AFTER: &str = "tls.server.not_after";
/// Its SHA-256, upper case.
pub const TLS_SERVER_SHA256: &str = "tls.server.hash.sha256";

/// `grpc`.
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
/// `package.Service/Method`.
pub const RPC_METHOD: &str = "rpc.method";
/// gRPC status by name: `OK`, `DEADLINE_EXCEEDED`.
pub const RPC_STATUS_CODE: &str = "rpc.response.status_code";
/// `service.name` of the process called.
pub const SERVICE_PEER_NAME: &str = "service.peer.name";

/// Name of the program's file.
pub const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
/// Exit status.
pub const PROCESS_EXIT_CODE: &str = "process.exit.code";
/// Process id.
pub const PROCESS_PID: &str = "process.pid";
/// `test`: no person stands behind the request.
pub const USER_AGENT_SYNTHETIC_TYPE: &str = "user_agent.synthetic.type";

/// UUID of the run.
pub const RUN_ID: &str = "parallax.run.id";
/// `adhoc`, `schedule` or `http`.
pub const TRIGGER: &str = "parallax.trigger";
/// Name of the target.
pub const TARGET_NAME: &str = "parallax.target.name";
/// Name of the agent.
pub const AGENT_ID: &str = "parallax.agent.id";
/// Its vantage point.
pub const AGENT_LOCATION: &str = "parallax.agent.location";
/// Agents asked.
pub const AGENTS_SELECTED: &str = "parallax.agents.selected";
/// Agents that reported a failure.
pub const AGENTS_FAILED: &str = "parallax.agents.failed";
/// Stage of the probe.
pub const STAGE: &str = "parallax.stage";
/// `ok`, `degraded`, `failed`.
pub const OUTCOME: &str = "parallax.outcome";
/// `healthy`, `partial`, `down`, `inconclusive`.
pub const VERDICT: &str = "parallax.verdict";
/// `requested` or `follow_up`.
pub const ATTEMPT_PURPOSE: &str = "parallax.attempt.purpose";
/// What was varied.
pub const EXPERIMENT: &str = "parallax.experiment";

/// SYNs sent again.
pub const SYN_RETRANSMITS: &str = "parallax.tcp.syn_retransmits";
/// Whether the resolver asked beside the host's own says the same.
pub const DNS_AGREES: &str = "parallax.dns.agrees";
/// DNSSEC as far as the resolver tells: `authenticated`, `not_authenticated`, `bogus`.
pub const DNS_DNSSEC: &str = "parallax.dns.dnssec";
/// How a held session ended: `alive`, `bye`, `closed`, `reset`, `silent`.
pub const HOLD_END: &str = "parallax.hold.end";
/// How long it was held, milliseconds.
pub const HOLD_MS: &str = "parallax.hold.duration_ms";

/// `tls`, `starttls`, `plaintext`.
pub const IMAP_SECURITY: &str = "imap.security";
/// Command in upper case, without arguments.
pub const IMAP_COMMAND_NAME: &str = "imap.command.name";
/// `OK`, `NO`, `BAD`, `PREAUTH`, `BYE`.
pub const IMAP_RESPONSE_STATUS: &str = "imap.response.status";
/// Name of the bracketed code.
pub const IMAP_RESPONSE_CODE: &str = "imap.response.code";
/// SASL mechanism, or `LOGIN`.
pub const IMAP_AUTH_MECHANISM: &str = "imap.auth.mechanism";
/// Capabilities as announced.
pub const IMAP_CAPABILITIES: &str = "imap.capabilities";
/// Milliseconds from the last byte of a message to the server's answer.
pub const IMAP_APPEND_STORED_MS: &str = "imap.append.stored_ms";
/// Whether a message came back as it was sent.
pub const IMAP_APPEND_INTACT: &str = "imap.append.intact";
/// Changes as another session learned of them, `exists:idle`.
pub const IMAP_SYNC_SEEN: &str = "imap.sync.seen";
/// The slowest of them, milliseconds.
pub const IMAP_SYNC_LATENCY_MS: &str = "imap.sync.latency_ms";
/// Whether the server offers IDLE.
pub const IMAP_IDLE_OFFERED: &str = "imap.idle.offered";
