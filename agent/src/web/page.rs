//! A page in the text format of Prometheus.

use std::fmt::Write as _;

use parallax_telemetry::label_value;

/// What a family is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Gauge,
    Counter,
}

#[derive(Debug, Default)]
pub(super) struct Page(String);

impl Page {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to text does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", label_value(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A family of one sample.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_stays_inside_its_label() {
        let mut page = Page::default();
        page.family("info", Kind::Gauge, "What it is.");
        page.sample("info", &[("subject", "CN=\"a\\b\"\nx 1"), ("issuer", "")], 1.0);
        assert_eq!(
            page.into_text(),
            "# HELP info What it is.\n# TYPE info gauge\ninfo{subject=\"CN=\\\"a\\\\b\\\"\\nx 1\",issuer=\"\"} 1\n"
        );
    }
}
