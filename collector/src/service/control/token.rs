//! What somebody wants a token for.

use std::time::Duration;

use parallax_model::identity::Role;
use parallax_model::token::TokenNames;
use parallax_proto::v1;
use tonic::Status;

use super::name;
use crate::identity::{DEFAULT_TTL, TokenWish};

/// The longest a token can be good.
const TTL_AT_MOST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads it; what contradicts itself ends here.
pub(super) fn wish(request: v1::CreateTokenRequest) -> Result<TokenWish, Status> {
    let invalid = |what: &str| Status::invalid_argument(what);
    let role = Role::known(&request.role)
        .filter(|&role| role != Role::Collector)
        .ok_or_else(|| invalid("role: write agent, viewer, operator or admin"))?;
    let names = match (request.name.as_str(), request.name_pattern.as_str()) {
        ("", "") => TokenNames::Any,
        (text, "") => TokenNames::Only(name("name", text)?),
        ("", pattern) => TokenNames::Like(
            pattern
                .parse()
                .map_err(|error| Status::invalid_argument(format!("name_pattern: {error}")))?,
        ),
        _ => return Err(invalid("name_pattern: give this or a name, not both")),
    };
    if request.replace && !matches!(names, TokenNames::Only(_)) {
        return Err(invalid(
            "replace: only a token for one name takes it from who has it",
        ));
    }
    let labels = parallax_proto::convert::labels("labels", request.labels)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    if !labels.is_empty() && role != Role::Agent {
        return Err(invalid("labels: only agents have some"));
    }
    let ttl = match request.ttl_s {
        0 => DEFAULT_TTL,
        seconds => Duration::from_secs(seconds.into()),
    };
    if ttl > TTL_AT_MOST {
        return Err(invalid("ttl_s: a token is good for a year at most"));
    }
    Ok(TokenWish {
        role,
        names,
        labels,
        takes_over: request.replace,
        ttl,
        uses: request.uses.max(1),
        by: None,
    })
}
