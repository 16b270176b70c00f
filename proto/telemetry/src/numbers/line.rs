//! One line of a page.

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// `# HELP name text`
    Help(&'a str, &'a str),
    /// `# TYPE name kind`
    Type(&'a str, &'a str),
    /// A number.
    Sample(Sample<'a>),
    /// Nothing that is asked for.
    Other,
}

/// `name{labels} value`, and an exemplar after it.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    pub(super) labels: Labels,
    pub(super) value: &'a str,
    pub(super) exemplar: Option<Exemplar<'a>>,
}

/// `# {labels} value seconds`
#[derive(Debug, PartialEq)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Labels,
    pub(super) value: &'a str,
    /// Since 1970.
    pub(super) seconds: Option<&'a str>,
}

/// Names and values, in their order.
pub(super) type Labels = Vec<(String, String)>;

impl<'a> Line<'a> {
    pub(super) fn read(line: &'a str) -> Self {
        let words = |rest: &'a str| rest.split_once(' ').unwrap_or((rest, ""));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = words(rest);
            Self::Help(name, help)
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = words(rest);
            Self::Type(name, kind)
        } else if line.starts_with('#') {
            Self::Other
        } else {
            sample(line).map_or(Self::Other, Self::Sample)
        }
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    let (value, exemplar) = match rest.split_once(" # {") {
        Some((value, exemplar)) => (value, Some(exemplar)),
        None => (rest, None),
    };
    let mut words = value.split_ascii_whitespace();
    let value = words.next()?;
    Some(Sample {
        name,
        labels,
        value,
        exemplar: exemplar.and_then(self::exemplar),
    })
}

fn exemplar(text: &str) -> Option<Exemplar<'_>> {
    let (labels, rest) = labels(text)?;
    let mut words = rest.split_ascii_whitespace();
    Some(Exemplar {
        labels,
        value: words.next()?,
        seconds: words.next(),
    })
}

/// What is between the braces, the first of which is gone already, and what follows them.
fn labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        labels.push((name.to_owned(), value));
        text = rest;
    }
}

/// Up to the closing quotation mark, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pairs(labels: &Labels) -> Vec<(&str, &str)> {
        let pairs = labels.iter();
        pairs
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn a_sample_is_read_with_everything_it_says() {
        let line = r#"a_bucket{le="0.5",subject="CN=\"a\\b\"\n}, x"} 3 # {trace_id="ab"} 0.25 17.5"#;
        let Line::Sample(sample) = Line::read(line) else {
            panic!("{:?}", Line::read(line));
        };
        assert_eq!((sample.name, sample.value), ("a_bucket", "3"));
        assert_eq!(
            pairs(&sample.labels),
            [("le", "0.5"), ("subject", "CN=\"a\\b\"\n}, x")]
        );
        let exemplar = sample.exemplar.unwrap();
        assert_eq!(pairs(&exemplar.labels), [("trace_id", "ab")]);
        assert_eq!((exemplar.value, exemplar.seconds), ("0.25", Some("17.5")));
    }

    #[test]
    fn a_label_that_looks_like_an_exemplar_is_none() {
        let Line::Sample(sample) = Line::read("a{b=\"1 # {c\"} 2") else {
            panic!();
        };
        assert_eq!(pairs(&sample.labels), [("b", "1 # {c")]);
        assert_eq!((sample.value, sample.exemplar), ("2", None));
    }

    #[test]
    fn heads_are_told_from_the_rest() {
        assert_eq!(Line::read("# HELP a What it is."), Line::Help("a", "What it is."));
        assert_eq!(Line::read("# TYPE a counter"), Line::Type("a", "counter"));
        for other in [
            "",
            "# EOF",
            "# UNIT a seconds",
            "a",
            "a{b=\"c",
            "a{b} 1",
            "a{b=\"c\\",
        ] {
            assert_eq!(Line::read(other), Line::Other, "{other:?}");
        }
    }
}
