//! An agent speaks for itself alone: in the name of no other, and in no numbers but an agent's.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use parallax_model::vantage::AgentName;

use crate::relay::{Export, points};

/// The attribute of a resource that names the agent.
const AGENT_ID: &str = "parallax.agent.id";

/// The attribute of a data point that names the agent, as on the pages.
const PROBE: &str = "probe";

/// What the numbers of an agent's page are called. What targets are like is the collector's to say: rules alert on it.
const OF_AGENTS: &str = "parallax_agent_";
const OF_EVERYBODY: &str = "parallax_build_info";

/// Says what is not the agent's own.
pub(super) fn check(export: &Export, agent: &AgentName) -> Result<(), String> {
    let only = |what: &str| format!("{agent} may send {what}");
    let named = || only(&format!("only what has {AGENT_ID}={agent} in its resource"));
    match export {
        Export::Spans(request) => {
            let mut resources = request.resource_spans.iter().map(|spans| &spans.resource);
            resources
                .all(|resource| names(resource.as_ref(), agent))
                .then_some(())
                .ok_or_else(named)
        }
        Export::Metrics(request) => {
            for of in &request.resource_metrics {
                if !names(of.resource.as_ref(), agent) {
                    return Err(named());
                }
                let mut metrics = of.scope_metrics.iter().flat_map(|scope| &scope.metrics);
                if !metrics.clone().all(is_of_agents) {
                    return Err(only(&format!("only metrics that begin with {OF_AGENTS}")));
                }
                if !metrics.all(|metric| is_about(metric, agent)) {
                    return Err(only(&format!("no metrics with another {PROBE} than {agent}")));
                }
            }
            Ok(())
        }
    }
}

/// Whether a resource names the agent, once.
fn names(resource: Option<&Resource>, agent: &AgentName) -> bool {
    let attributes = resource.into_iter().flat_map(|resource| &resource.attributes);
    let mut said = attributes.filter(|attribute| attribute.key == AGENT_ID);
    said.next().is_some_and(|id| is(id, agent)) && said.next().is_none()
}

fn is_of_agents(metric: &Metric) -> bool {
    metric.name.starts_with(OF_AGENTS) || metric.name == OF_EVERYBODY
}

fn is_about(metric: &Metric, agent: &AgentName) -> bool {
    let mut attributes = points::of(metric).flatten();
    attributes.all(|attribute| attribute.key != PROBE || is(attribute, agent))
}

fn is(attribute: &KeyValue, agent: &AgentName) -> bool {
    let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
    matches!(value, Some(Value::StringValue(name)) if name == agent.as_str())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, ResourceMetrics, ScopeMetrics};
    use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

    use super::*;

    fn text(key: &str, value: &str) -> KeyValue {
        KeyValue {
            key: key.into(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(value.to_owned())),
            }),
            ..KeyValue::default()
        }
    }

    fn resource(ids: &[&str]) -> Option<Resource> {
        Some(Resource {
            attributes: ids.iter().map(|id| text(AGENT_ID, id)).collect(),
            ..Resource::default()
        })
    }

    fn spans(ids: &[&str]) -> Export {
        Export::Spans(ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: resource(ids),
                ..ResourceSpans::default()
            }],
        })
    }

    fn metrics(ids: &[&str], name: &str, probes: &[&str]) -> Export {
        let point = |probe: &&str| NumberDataPoint {
            attributes: vec![text(PROBE, probe)],
            ..NumberDataPoint::default()
        };
        let metric = Metric {
            name: name.into(),
            data: Some(Data::Gauge(Gauge {
                data_points: probes.iter().map(point).collect(),
            })),
            ..Metric::default()
        };
        Export::Metrics(ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: resource(ids),
                scope_metrics: vec![ScopeMetrics {
                    metrics: vec![metric],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        })
    }

    fn may(export: &Export) -> bool {
        check(export, &"fra-1".parse().unwrap()).is_ok()
    }

    #[test]
    fn an_agent_speaks_for_itself_alone() {
        let ids: [(&[&str], bool); 4] = [
            (&["fra-1"], true),
            (&["ams-1"], false),
            (&[], false),
            (&["fra-1", "ams-1"], false),
        ];
        for (ids, own) in ids {
            assert_eq!(may(&spans(ids)), own, "{ids:?}");
            let numbers = metrics(ids, "parallax_agent_checks", &["fra-1"]);
            assert_eq!(may(&numbers), own, "{ids:?}");
        }
        let nobody = ResourceMetrics::default();
        assert!(!may(&Export::Metrics(ExportMetricsServiceRequest {
            resource_metrics: vec![nobody],
        })));
    }

    #[test]
    fn an_agent_tells_the_numbers_of_an_agent_and_of_no_other_one() {
        for (name, probes, own) in [
            ("parallax_agent_checks", &["fra-1"][..], true),
            ("parallax_build_info", &[], true),
            ("parallax_agent_checks", &["fra-1", "ams-1"], false),
            ("parallax_build_info", &["ams-1"], false),
            ("parallax_target_up", &["fra-1"], false),
            ("probe_success", &["fra-1"], false),
            ("up", &[], false),
        ] {
            assert_eq!(may(&metrics(&["fra-1"], name, probes)), own, "{name} {probes:?}");
        }
    }
}
