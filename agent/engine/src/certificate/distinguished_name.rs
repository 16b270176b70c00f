//! Distinguished names as text, in the manner of RFC 4514.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Characters of one name; longer ones are cut.
const LENGTH: usize = 512;

/// The short names of RFC 4514 section 3, and of the mail address that old certificates carry.
const TYPES: [(&str, &str); 10] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The name, most specific part first: `CN=imap.example.org,O=Example`.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in name.iter() {
        let attributes: Vec<_> = part.iter().map(attribute).collect();
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    let text = parts.join(",");
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let name = TYPES
        .iter()
        .find(|(known, _)| *known == oid)
        .map_or(oid.as_str(), |(_, name)| name);
    format!("{name}={}", escaped(&value(attribute.attr_value())))
}

/// The value of any of ASN.1's string types; of anything else, the bytes as text.
fn value(any: &Any<'_>) -> String {
    match any.tag() {
        Tag::BmpString => {
            let units = any
                .data
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        Tag::T61String => any.data.iter().copied().map(char::from).collect(),
        _ => String::from_utf8_lossy(any.data).into_owned(),
    }
}

/// RFC 4514 section 2.4.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            '\0' => text.push_str("\\00"),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_read_as_another_part_is_escaped() {
        assert_eq!(escaped("Example, Inc.+x"), "Example\\, Inc.\\+x");
        assert_eq!(escaped(" #a "), "\\ #a\\ ");
        assert_eq!(escaped("#a\0"), "\\#a\\00");
    }
}
