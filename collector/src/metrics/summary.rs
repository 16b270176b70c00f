//! Summaries without quantiles: so many of so many. The registry has no type for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use parallax_telemetry::label_value;

use super::labels::LabelSet;

/// How many were, and how many of these worked, by labels.
#[derive(Debug, Default)]
pub(super) struct Summary(BTreeMap<LabelSet, (u64, u64)>);

impl Summary {
    pub(super) fn observe(&mut self, labels: LabelSet, worked: bool) {
        let (sum, count) = self.0.entry(labels).or_default();
        *sum += u64::from(worked);
        *count += 1;
    }

    /// The family as it stands on a page; nothing where there is no series.
    pub(super) fn text(&self, name: &str, help: &str) -> String {
        let mut text = String::new();
        if self.0.is_empty() {
            return text;
        }
        // Writing to text does not fail.
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} summary");
        for (labels, (sum, count)) in &self.0 {
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", label_value(value)))
                .collect();
            let labels = labels.join(",");
            let _ = writeln!(
                text,
                "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_worked_is_counted_of_what_was() {
        let mut summary = Summary::default();
        assert_eq!(summary.text("tries", "Tries"), "");
        for worked in [true, false, true] {
            summary.observe(vec![("probe", "a\"b".to_owned())], worked);
        }
        assert_eq!(
            summary.text("tries", "Tries"),
            "# HELP tries Tries.\n# TYPE tries summary\ntries_sum{probe=\"a\\\"b\"} 2\ntries_count{probe=\"a\\\"b\"} 3\n"
        );
    }
}
