//! The page in the text format of before OpenMetrics, which is all that some readers know.

/// Rewrites a page: counters and infos are named as their samples are, exemplars and the end mark are left out.
pub(crate) fn classic(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len());
    let mut family = Family::default();
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            family = Family {
                help: help.to_owned(),
                ..Family::named(name)
            };
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "unknown"));
            if family.name != name {
                family = Family::named(name);
            }
            family.head(kind, &mut page);
        } else if !line.starts_with('#') {
            page.push_str(without_exemplar(line));
            page.push('\n');
        }
    }
    page
}

#[derive(Debug, Default)]
struct Family {
    name: String,
    help: String,
}

impl Family {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            help: String::new(),
        }
    }

    fn head(&self, kind: &str, page: &mut String) {
        let (ending, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            "stateset" => ("", "gauge"),
            same => ("", same),
        };
        let name = format!("{}{ending}", self.name);
        if !self.help.is_empty() {
            page.push_str(&format!("# HELP {name} {}\n", self.help));
        }
        page.push_str(&format!("# TYPE {name} {kind}\n"));
    }
}

/// A sample up to its exemplar. What looks like one inside a label's value is none.
fn without_exemplar(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line[..at].trim_end(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_those_of_the_samples() {
        let page = "# HELP runs Runs answered.\n# TYPE runs counter\n# UNIT runs things\nruns_total 3\n\
                    # HELP build The program.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n# EOF\n";
        assert_eq!(
            classic(page),
            "# HELP runs_total Runs answered.\n# TYPE runs_total counter\nruns_total 3\n\
             # HELP build_info The program.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n"
        );
    }

    #[test]
    fn an_exemplar_goes_and_a_label_that_looks_like_one_stays() {
        for (line, left) in [
            (
                "a_bucket{le=\"1\"} 3 # {trace_id=\"ab\"} 0.5 1.0",
                "a_bucket{le=\"1\"} 3",
            ),
            (r#"a{b="x \" # {y"} 1"#, r#"a{b="x \" # {y"} 1"#),
            ("a 1", "a 1"),
        ] {
            assert_eq!(without_exemplar(line), left);
        }
    }
}
