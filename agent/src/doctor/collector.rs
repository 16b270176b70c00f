//! The collector, and this agent's standing with it.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use parallax_identity::{Dialer, Identity, explain};
use parallax_proto::v1::RenewRequest;
use parallax_proto::v1::identity_client::IdentityClient;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::clock;
use crate::config::Config;
use crate::doctor::Check;

const PATIENCE: Duration = Duration::from_secs(5);
/// Certificates and schedules bear this much; beyond it verdicts about certificates become doubtful.
const OFFSET: i64 = 5;
const IDENTITY: &str = "identity";
const COLLECTOR: &str = "collector";
const CLOCK: &str = "clock";

pub(super) async fn checks(config: &Config) -> Vec<Check> {
    let found = match &config.own {
        Some(own) => own.clone().into_files().identity().map(Some),
        None => Identity::load(&config.state_dir),
    };
    match found {
        Err(error) => vec![Check::fail(IDENTITY, error.to_string()), reachable(config).await],
        Ok(None) => vec![
            Check::warn(IDENTITY, "none yet: the first start needs a join token"),
            reachable(config).await,
        ],
        Ok(Some(identity)) => {
            let mut checks = vec![kept(&identity)];
            checks.extend(trusted(config, &identity).await);
            checks
        }
    }
}

fn kept(identity: &Identity) -> Check {
    let until = Timestamp::from_microsecond(clock::wall_us(identity.not_after()))
        .map(|until| until.to_string())
        .unwrap_or_default();
    let note = format!("{}, until {until}", identity.spiffe());
    if identity.has_expired(SystemTime::now()) {
        Check::fail(
            IDENTITY,
            format!("{note}: expired, join again with a new token or renew its file"),
        )
    } else {
        Check::ok(IDENTITY, note)
    }
}

/// Without an identity there is nothing to prove to each other.
async fn reachable(config: &Config) -> Check {
    let address = &config.collector;
    let connect = TcpStream::connect((address.host().to_owned(), address.port()));
    match timeout(PATIENCE, connect).await {
        Ok(Ok(_)) => Check::ok(
            COLLECTOR,
            format!("{address} can be reached; whether it is the right one shows when joining"),
        ),
        Ok(Err(error)) => Check::fail(COLLECTOR, format!("{address} can not be reached: {error}")),
        Err(_) => Check::fail(COLLECTOR, format!("{address} can not be reached: no answer")),
    }
}

async fn trusted(config: &Config, identity: &Identity) -> Vec<Check> {
    let dialer = match Dialer::new(config.collector.clone(), identity) {
        Ok(dialer) => dialer,
        Err(error) => return vec![Check::fail(COLLECTOR, error.to_string())],
    };
    let channel = match dialer.connect().await {
        Ok(channel) => channel,
        Err(error) => return vec![Check::fail(COLLECTOR, error.to_string())],
    };
    // Asks for nothing: the refusal shows that both sides know each other, and what time it is there. Opening a link
    // would take the place of the agent that runs here already.
    let began = SystemTime::now();
    let mut client = IdentityClient::new(channel);
    let asked = client.renew(RenewRequest::default());
    let status = match timeout(PATIENCE, asked).await {
        Err(_) => {
            return vec![Check::fail(
                COLLECTOR,
                format!("{} does not answer", config.collector),
            )];
        }
        Ok(Ok(_)) => Status::new(Code::Ok, ""),
        Ok(Err(status)) => status,
    };
    match status.code() {
        // A collector without a CA of its own renews nothing, and says so after it has seen who asks.
        Code::Ok | Code::InvalidArgument | Code::FailedPrecondition => vec![
            Check::ok(
                COLLECTOR,
                format!("{} is reached; both sides know each other", config.collector),
            ),
            offset(&status, began),
        ],
        _ => vec![Check::fail(
            COLLECTOR,
            format!("{} turns this agent away: {}", config.collector, explain(&status)),
        )],
    }
}

/// From the date of the answer, which counts whole seconds (RFC 9110 section 6.6.1).
fn offset(status: &Status, now: SystemTime) -> Check {
    let theirs = status
        .metadata()
        .get("date")
        .and_then(|date| date.to_str().ok())
        .and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let Some(theirs) = theirs else {
        return Check::warn(CLOCK, "the collector's answer has no date to compare with");
    };
    let ahead = clock::wall_us(now) / 1_000_000 - theirs.as_second();
    match ahead {
        0 => Check::ok(CLOCK, "as the collector's, to the second"),
        1.. if ahead <= OFFSET => Check::ok(CLOCK, format!("{ahead} s ahead of the collector's")),
        ..=-1 if ahead >= -OFFSET => Check::ok(CLOCK, format!("{} s behind the collector's", -ahead)),
        1.. => Check::warn(CLOCK, format!("{ahead} s ahead of the collector's: set it right")),
        ..=-1 => Check::warn(
            CLOCK,
            format!("{} s behind the collector's: set it right", -ahead),
        ),
    }
}
