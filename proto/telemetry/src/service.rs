use std::fs;

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _, TelemetryResourceDetector};
use parallax_model::vantage::{AgentName, Labels};
use uuid::{Uuid, uuid};

use crate::attribute::{AGENT_ID, AGENT_LOCATION, SCHEMA_URL};

/// The label that says where a vantage point is.
const LOCATION_LABEL: &str = "site";

/// The namespace that the OpenTelemetry conventions set for `service.instance.id`.
const INSTANCES: Uuid = uuid!("4d63009a-8d0f-11ee-aad7-4c796ed8e320");

/// Which process speaks: the resource of its spans and its numbers.
#[derive(Debug, Clone)]
pub struct Service {
    /// `parallax-agent`, `parallax-collector` or `parallax-ctl`.
    pub name: &'static str,
    /// Which of them; see [`instance_id`].
    pub instance_id: Uuid,
    /// What else is known of it: `parallax.agent.id`, `parallax.agent.location`.
    pub attributes: Vec<KeyValue>,
}

/// The same instance for the same stable words, such as a SPIFFE ID.
pub fn instance_id(stable: &str) -> Uuid {
    Uuid::new_v5(&INSTANCES, stable.as_bytes())
}

impl Service {
    /// An agent, as itself and the collector name it.
    pub fn agent(name: &AgentName, labels: &Labels) -> Self {
        let mut attributes = vec![KeyValue::new(AGENT_ID, name.to_string())];
        if let Some(location) = labels.get(LOCATION_LABEL) {
            attributes.push(KeyValue::new(AGENT_LOCATION, location.clone()));
        }
        Self {
            name: "parallax-agent",
            instance_id: instance_id(name.as_str()),
            attributes,
        }
    }

    /// What another process knows of it: nothing of its host or its environment.
    pub(crate) fn told(&self) -> Vec<KeyValue> {
        let mut known = self.names();
        known.extend(self.attributes.iter().cloned());
        known
    }

    fn names(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("service.namespace", "parallax"),
            KeyValue::new("service.name", self.name),
            KeyValue::new("service.instance.id", self.instance_id.to_string()),
        ]
    }

    /// What `OTEL_RESOURCE_ATTRIBUTES` says goes above the rest, but an agent's id stays that of its certificate:
    /// the collector passes on no spans that claim another.
    pub(crate) fn resource(self) -> Resource {
        self.resource_with(&EnvResourceDetector::new().detect())
    }

    fn resource_with(self, environment: &Resource) -> Resource {
        let mut known = self.names();
        known.extend([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("host.arch", architecture()),
            KeyValue::new("os.type", operating_system()),
        ]);
        let files = [
            ("host.name", "/proc/sys/kernel/hostname"),
            ("host.id", "/etc/machine-id"),
        ];
        known.extend(
            files
                .into_iter()
                .filter_map(|(key, path)| Some(KeyValue::new(key, first_line(path)?))),
        );
        known.extend(self.attributes);
        let above = environment
            .iter()
            .filter(|(key, _)| **key != Key::from_static_str(AGENT_ID))
            .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        known.extend(above);
        Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_schema_url(known, SCHEMA_URL)
            .build()
    }
}

fn first_line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Rust's names are not those of the conventions.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        other => other,
    }
}

fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_environment_goes_above_all_but_the_agents_id() {
        let service = Service {
            name: "parallax-agent",
            instance_id: instance_id("spiffe://parallax.internal/agent/fra-1"),
            attributes: vec![
                KeyValue::new(AGENT_ID, "fra-1"),
                KeyValue::new("geo.locality.name", "Bonn"),
            ],
        };
        let environment = Resource::builder_empty()
            .with_attributes([
                KeyValue::new(AGENT_ID, "nyc-1"),
                KeyValue::new("geo.locality.name", "Frankfurt"),
                KeyValue::new("deployment.environment.name", "production"),
            ])
            .build();
        let resource = service.resource_with(&environment);
        let value = |key: &'static str| resource.get(&Key::from_static_str(key)).unwrap().to_string();
        assert_eq!(value("parallax.agent.id"), "fra-1");
        assert_eq!(value("geo.locality.name"), "Frankfurt");
        assert_eq!(value("deployment.environment.name"), "production");
        assert_eq!(value("service.namespace"), "parallax");
        assert_eq!(value("service.name"), "parallax-agent");
        assert_eq!(resource.schema_url(), Some(SCHEMA_URL));
    }

    #[test]
    fn an_instance_keeps_its_id() {
        assert_eq!(instance_id("a"), instance_id("a"));
        assert_ne!(instance_id("a"), instance_id("b"));
        assert_eq!(instance_id("a").get_version_num(), 5);
    }
}
