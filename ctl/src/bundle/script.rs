//! The next steps as a script in which every line is a comment.

use parallax_model::run::RunDocument;

use crate::render::words;

const HEAD: &str = "#!/bin/sh
# Every line below is a comment, so that running this file does nothing.
# Read a step, then paste what is behind the `#` where it says: \"on PLACE: COMMAND\".
";

/// The script: the probe again, then the steps of each finding.
pub(super) fn text(document: &RunDocument) -> String {
    let mut text = HEAD.to_owned();
    comment(&mut text, "");
    comment(&mut text, "the same question again:");
    comment(&mut text, &probe(document));
    for (at, finding) in document.findings.iter().enumerate() {
        comment(&mut text, "");
        comment(
            &mut text,
            &format!("{}. {}: {}", at + 1, finding.kind, finding.summary),
        );
        for step in &finding.next_steps {
            comment(&mut text, &format!("  {step}"));
        }
    }
    text
}

fn probe(document: &RunDocument) -> String {
    let target = document.target.input.replace('\'', r"'\''");
    // What was typed may not say how the port was to be spoken to.
    let security = match document.target.endpoints.as_slice() {
        [endpoint] => format!(" --security {}", endpoint.security),
        _ => String::new(),
    };
    let depth = document.depth;
    format!("  ctl probe '{target}'{security} --depth {depth} --from all")
}

/// One line, whatever is in it: what could end it is escaped.
fn comment(text: &mut String, line: &str) {
    text.push_str(format!("# {}", words::safe(line)).trim_end());
    text.push('\n');
}
