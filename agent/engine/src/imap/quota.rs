//! How full a mailbox's quota roots are (RFC 9208 section 4.2, RFC 2087).

use parallax_model::text::from_wire;

use super::frame::Frame;
use super::scan::DataLine;
use super::token;

/// Resources of one root that are kept.
const RESOURCES: usize = 16;

/// One line `* QUOTA root (resource usage limit ...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The root's name, as it was received; a user's own.
    pub root: Vec<u8>,
    /// Resource in upper case, usage, limit.
    pub resources: Vec<(String, u64, u64)>,
}

impl Quota {
    /// From `* QUOTA ...`; `None` when the line is another one or cannot be read.
    pub fn from_data(frame: &Frame, line: &DataLine<'_>) -> Option<Self> {
        if !line.is("QUOTA") {
            return None;
        }
        let read = token::values(frame, line.arguments).ok()?;
        let [root, resources, ..] = &read.values[..] else {
            return None;
        };
        let resources = resources.list()?.chunks_exact(3).take(RESOURCES);
        Some(Self {
            root: root.name()?.to_vec(),
            resources: resources
                .filter_map(|three| {
                    let name = from_wire(three[0].text()?).to_ascii_uppercase();
                    Some((name, three[1].number()?, three[2].number()?))
                })
                .collect(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::imap::{Framer, Limits, Reply};

    fn read(line: &[u8]) -> Option<Quota> {
        let mut framer = Framer::new(Limits::default());
        framer.push(line);
        let frame = framer.next_frame().unwrap().unwrap();
        let Reply::Data(data) = Reply::of(&frame) else {
            panic!()
        };
        Quota::from_data(&frame, &data)
    }

    #[test]
    fn resources_are_read_with_usage_and_limit() {
        let quota = read(b"* QUOTA \"User quota\" (STORAGE 10 512 message 3 100)\r\n").unwrap();
        assert_eq!(quota.root, b"User quota");
        assert_eq!(
            quota.resources,
            [("STORAGE".to_owned(), 10, 512), ("MESSAGE".to_owned(), 3, 100)]
        );
    }

    #[test]
    fn a_root_without_limits_and_a_line_that_lies_are_told_apart() {
        assert_eq!(read(b"* QUOTA \"\" ()\r\n").unwrap().resources, []);
        assert_eq!(read(b"* QUOTA root\r\n"), None);
        assert_eq!(
            read(b"* QUOTA root (STORAGE x 1 MESSAGE 1)\r\n")
                .unwrap()
                .resources,
            []
        );
        assert_eq!(read(b"* QUOTAROOT INBOX root\r\n"), None);
    }
}
