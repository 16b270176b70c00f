//! Tags: which reply belongs to which command.

use std::fmt;

/// The tag of one command (RFC 9051 section 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag as it goes to the server.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a reply carries this tag. Case counts (RFC 9051 section 2.2.1 lets servers repeat it only).
    pub fn is(&self, received: &[u8]) -> bool {
        self.0.as_bytes() == received
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the tags of one connection: letters of its own, then a number, as in `qzkb0001`.
///
/// The letters differ from connection to connection, so that a reply left over from another session, as proxies
/// have been seen to deliver, is not taken for ours.
#[derive(Debug, Clone)]
pub struct Tags {
    prefix: [u8; 4],
    next: u32,
}

impl Tags {
    /// Tags whose letters come from `seed`, which the driver takes from its random numbers.
    pub fn new(seed: u32) -> Self {
        let mut rest = seed;
        let prefix = std::array::from_fn(|_| {
            let letter = b'a' + (rest % 26) as u8;
            rest /= 26;
            letter
        });
        Self { prefix, next: 1 }
    }

    /// The next tag.
    pub fn next_tag(&mut self) -> Tag {
        let letters: String = self.prefix.iter().copied().map(char::from).collect();
        let tag = Tag(format!("{letters}{:04}", self.next));
        self.next = self.next.wrapping_add(1);
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_count_up_behind_letters_of_their_connection() {
        let mut tags = Tags::new(0);
        assert_eq!(tags.next_tag().as_str(), "aaaa0001");
        assert_eq!(tags.next_tag().as_str(), "aaaa0002");
        assert_ne!(Tags::new(4_711).next_tag(), Tags::new(4_712).next_tag());
    }

    #[test]
    fn only_the_same_tag_answers() {
        let tag = Tags::new(0).next_tag();
        assert!(tag.is(b"aaaa0001"));
        assert!(!tag.is(b"AAAA0001") && !tag.is(b"aaaa00011"));
    }
}
