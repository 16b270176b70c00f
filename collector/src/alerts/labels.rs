//! What names an alert: its labels, and the fingerprint over them.

use std::collections::BTreeMap;

/// 64-bit FNV-1a.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Ends each name and each value. No UTF-8 text holds it.
const SEPARATOR: u8 = 0xff;

/// The same trouble has the same fingerprint, whichever run shows it: 16 hexadecimal digits of FNV-1a over the sorted
/// labels, which is how Alertmanager makes its own.
pub(super) fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let texts = labels.iter().flat_map(|(name, value)| [name, value]);
    let bytes = texts.flat_map(|text| text.bytes().chain([SEPARATOR]));
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{hash:016x}")
}

/// The labels of an alert: the check's own first, then what it is about, which nobody can write over. An empty value
/// is no label.
pub(super) fn labels(own: &BTreeMap<String, String>, about: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = own
        .iter()
        .map(|(name, value)| (label_name(name), value.clone()))
        .collect();
    for (name, value) in about {
        labels.insert((*name).to_owned(), (*value).to_owned());
    }
    labels.retain(|_, value| !value.is_empty());
    labels
}

/// A name that Alertmanager takes: letters, digits and `_`, not beginning with a digit.
fn label_name(name: &str) -> String {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut fitted: String = name
        .chars()
        .map(|letter| if fits(letter) { letter } else { '_' })
        .collect();
    if fitted.starts_with(|letter: char| letter.is_ascii_digit()) {
        fitted.insert(0, '_');
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn a_fingerprint_is_the_one_that_alertmanager_makes() {
        // Of `{alertname="a"}`; the scenario `alerts` compares with a real one.
        let labels = own(&[("alertname", "a")]);
        assert_eq!(fingerprint(&labels).len(), 16);
        assert_eq!(fingerprint(&BTreeMap::new()), "cbf29ce484222325");
        let other = own(&[("alertnam", "ea")]);
        assert_ne!(fingerprint(&labels), fingerprint(&other));
    }

    #[test]
    fn no_label_of_a_check_stands_for_what_the_alert_is_about() {
        let mine = own(&[
            ("team.name", "mail"),
            ("2nd", "x"),
            ("severity", "none"),
            ("empty", ""),
        ]);
        let labels = labels(&mine, &[("severity", "critical"), ("stage", "")]);
        let expected = own(&[("_2nd", "x"), ("severity", "critical"), ("team_name", "mail")]);
        assert_eq!(labels, expected);
    }
}
