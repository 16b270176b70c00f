//! The scalars of one message, as FETCH returns them (RFC 9051 section 7.5.2).

use imap_proto::AttributeValue;
use parallax_model::text::from_wire;

use super::scan;
use super::token::Value;

/// A part of a message that was sent. What was in it is not kept: it may be somebody's mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Where in the section the part begins, as in `BODY[HEADER]<0>`.
    pub origin: Option<u64>,
    /// How many bytes came; `None` when the server said NIL.
    pub bytes: Option<usize>,
}

/// The answer to FETCH for one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The message's number in the mailbox.
    pub number: u64,
    /// UID.
    pub uid: Option<u64>,
    /// The flags, in the server's spelling.
    pub flags: Option<Vec<String>>,
    /// INTERNALDATE, as it was received.
    pub internal_date: Option<String>,
    /// RFC822.SIZE, in bytes.
    pub size: Option<u64>,
    /// MODSEQ (RFC 7162).
    pub mod_seq: Option<u64>,
    /// The parts sent, in order.
    pub sections: Vec<Section>,
}

impl Fetched {
    pub(super) fn from_attributes(number: u64, attributes: Vec<AttributeValue<'_>>) -> Self {
        let mut fetched = Self {
            number,
            ..Self::default()
        };
        for attribute in attributes {
            match attribute {
                AttributeValue::Uid(uid) => fetched.uid = Some(uid.into()),
                AttributeValue::Rfc822Size(size) => fetched.size = Some(size.into()),
                AttributeValue::ModSeq(mod_seq) => fetched.mod_seq = Some(mod_seq),
                AttributeValue::InternalDate(date) => fetched.internal_date = Some(date.into_owned()),
                AttributeValue::Flags(flags) => {
                    fetched.flags = Some(flags.into_iter().map(std::borrow::Cow::into_owned).collect());
                }
                AttributeValue::BodySection { index, data, .. } => {
                    fetched.sections.push(Section {
                        origin: index.map(u64::from),
                        bytes: data.map(|data| data.len()),
                    });
                }
                AttributeValue::Rfc822(data)
                | AttributeValue::Rfc822Header(data)
                | AttributeValue::Rfc822Text(data) => {
                    fetched.sections.push(Section {
                        origin: None,
                        bytes: data.map(|data| data.len()),
                    });
                }
                _ => {}
            }
        }
        fetched
    }

    /// From the values behind `FETCH`, with whatever parentheses the server put around them.
    pub(super) fn from_values(number: u64, values: &[Value<'_>]) -> Option<Self> {
        let mut items = values;
        while let [Value::List(inner)] = items {
            items = inner;
        }
        let mut fetched = Self {
            number,
            ..Self::default()
        };
        let mut read = items.is_empty();
        let mut rest = items.iter();
        while let Some(item) = rest.next() {
            match item {
                // Domino wraps single items in parentheses of their own.
                Value::List(wrapped) => {
                    for pair in wrapped.chunks_exact(2) {
                        fetched.take(pair[0].text()?, &pair[1]);
                    }
                }
                // A value that is missing at the end takes nothing away from the items before it.
                _ => {
                    let Some(value) = rest.next() else { break };
                    fetched.take(item.text()?, value);
                }
            }
            read = true;
        }
        read.then_some(fetched)
    }

    fn take(&mut self, item: &[u8], value: &Value<'_>) {
        let is = |name: &str| item.eq_ignore_ascii_case(name.as_bytes());
        if is("UID") {
            self.uid = value.number();
        } else if is("RFC822.SIZE") {
            self.size = value.number();
        } else if is("INTERNALDATE") {
            self.internal_date = value.text().map(from_wire);
        } else if is("FLAGS") {
            self.flags = value.list().map(texts);
        } else if is("MODSEQ") {
            self.mod_seq = value.list().and_then(|list| list.first()?.number());
        } else if is_section(item) {
            self.sections.push(Section {
                origin: origin(item),
                bytes: value.text().map(<[u8]>::len),
            });
        }
    }
}

pub(super) fn texts(values: &[Value<'_>]) -> Vec<String> {
    values.iter().filter_map(Value::name).map(from_wire).collect()
}

fn is_section(item: &[u8]) -> bool {
    let item = item.to_ascii_uppercase();
    item.starts_with(b"BODY[")
        || item.starts_with(b"BINARY[")
        || matches!(&item[..], b"RFC822" | b"RFC822.HEADER" | b"RFC822.TEXT")
}

fn origin(item: &[u8]) -> Option<u64> {
    let item = item.strip_suffix(b">")?;
    let start = item.iter().rposition(|byte| *byte == b'<')?;
    scan::number(&item[start + 1..])
}
