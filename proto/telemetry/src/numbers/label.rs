//! The value of a label, as it is written on a page.

/// The text between the quotation marks of a label: backslash, quotation mark and line feed escaped, as the text formats
/// of Prometheus and OpenMetrics (section 5.1) have it.
pub fn label_value(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::line::{Line, Sample};
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["", "plain", "CN=\"a\\b\"\nx 1", "\\", "\\n", "ä, } # {"] {
            let line = format!("info{{subject=\"{}\"}} 1", label_value(text));
            let Line::Sample(Sample { labels, .. }) = Line::read(&line) else {
                panic!("{line}");
            };
            assert_eq!(labels, [("subject".to_owned(), text.to_owned())], "{line}");
        }
    }
}
