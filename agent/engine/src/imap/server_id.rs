//! Who the server says it is (RFC 2971).

use std::collections::BTreeMap;

use parallax_model::text::from_wire;

use super::frame::Frame;
use super::scan::DataLine;
use super::token::{self, Value};

/// Fields kept; RFC 2971 section 3.3 allows 30.
const FIELDS: usize = 30;

/// Reads `* ID ...`: fields by their names in lower case, those without a value left out. `None` when the line
/// is another one or cannot be read; a server that answers NIL has no fields.
pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<BTreeMap<String, String>> {
    if !line.is("ID") {
        return None;
    }
    let read = token::values(frame, line.arguments).ok()?;
    let fields = match read.values.first()? {
        Value::List(fields) => &fields[..],
        Value::Nil => &[],
        _ => return None,
    };
    let pairs = fields.chunks_exact(2).take(FIELDS);
    Some(
        pairs
            .filter_map(|pair| {
                Some((
                    from_wire(pair[0].text()?).to_ascii_lowercase(),
                    from_wire(pair[1].text()?),
                ))
            })
            .collect(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply};

    fn read(line: &[u8]) -> Option<BTreeMap<String, String>> {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!("{}", line.escape_ascii())
        };
        from_data(&frame, &data)
    }

    #[test]
    fn fields_are_kept_by_name() {
        let fields = read(b"* ID (\"Name\" \"Dovecot\" \"version\" NIL \"os\" {5}\r\nLinux)\r\n").unwrap();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(fields, [("name", "Dovecot"), ("os", "Linux")]);
    }

    #[test]
    fn a_server_may_stay_anonymous() {
        assert_eq!(read(b"* ID NIL\r\n"), Some(BTreeMap::new()));
        assert_eq!(read(b"* ID Dovecot\r\n"), None);
    }
}
