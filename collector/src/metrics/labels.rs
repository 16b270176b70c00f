//! Labels of series: no address, no user, no trace and no text of an error is ever one.

use parallax_model::vantage::AgentName;

use super::latest::Seen;
use crate::store::CheckRecord;

/// Names and values, in the order in which they are shown.
pub(super) type LabelSet = Vec<(&'static str, String)>;

/// Of a check's target.
pub(super) fn target(check: &CheckRecord) -> LabelSet {
    let of = &check.definition.spec.target;
    let joined = |texts: Vec<String>| texts.join("+");
    vec![
        ("check", check.definition.name.to_string()),
        ("target", of.host.to_string()),
        ("instance", instance(check)),
        (
            "port",
            joined(
                of.endpoints
                    .iter()
                    .map(|endpoint| endpoint.port.to_string())
                    .collect(),
            ),
        ),
        (
            "security",
            joined(
                of.endpoints
                    .iter()
                    .map(|endpoint| endpoint.security.to_string())
                    .collect(),
            ),
        ),
    ]
}

/// Of what one agent saw of it; `job` and `instance` as a prober of that name would have them.
pub(super) fn probe(seen: &Seen) -> LabelSet {
    let mut labels = vec![("job", "parallax".to_owned())];
    labels.extend(target(&seen.check));
    labels.push(("probe", seen.part.agent.to_string()));
    labels.push(("region", region(&seen.part.labels)));
    labels.push(("check_name", "imap".to_owned()));
    labels
}

/// Of an agent.
pub(super) fn agent(name: &AgentName) -> LabelSet {
    vec![("probe", name.to_string())]
}

/// Where an agent says that it stands.
pub(super) fn region(labels: &parallax_model::vantage::Labels) -> String {
    labels.get("region").cloned().unwrap_or_default()
}

/// With one more.
pub(super) fn with(mut labels: LabelSet, name: &'static str, value: impl Into<String>) -> LabelSet {
    labels.push((name, value.into()));
    labels
}

fn instance(check: &CheckRecord) -> String {
    let of = &check.definition.spec.target;
    let port = of.endpoints.first().map_or(0, |endpoint| endpoint.port);
    format!("{}:{port}", of.host)
}
