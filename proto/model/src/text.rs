//! Server text made safe to show.

/// Escapes text from a server for a terminal or a log: C0, DEL, C1, bidirectional and zero-width characters
/// and bytes that are not UTF-8 become `\xNN` or `\u{NNNN}`; what is longer than `max` characters is cut with
/// `…(+N)`, N counting the bytes left out.
pub fn escape(bytes: &[u8], max: usize) -> String {
    let mut shown = String::with_capacity(bytes.len().min(max));
    let mut length = 0;
    let mut consumed = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if length >= max {
                return cut(shown, bytes.len() - consumed);
            }
            push_char(&mut shown, character);
            length += 1;
            consumed += character.len_utf8();
        }
        for byte in chunk.invalid() {
            if length >= max {
                return cut(shown, bytes.len() - consumed);
            }
            shown.push_str(&format!("\\x{byte:02x}"));
            length += 1;
            consumed += 1;
        }
    }
    shown
}

/// [`escape`] for text that is already a string.
pub fn escape_str(text: &str, max: usize) -> String {
    escape(text.as_bytes(), max)
}

/// Keeps server bytes as a string for the run document: UTF-8 as it is, other bytes as `\xNN`; nothing is cut.
pub fn from_wire(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Makes JSON safe to show and leaves its meaning: what [`escape`] escapes and JSON allows as it is can only stand in
/// strings, where `\uNNNN` is the same (RFC 8259 section 7).
pub fn escape_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_c1(character) || is_unseen(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

fn push_char(shown: &mut String, character: char) {
    match character {
        '\\' => shown.push_str("\\\\"),
        '\0'..='\u{1f}' => shown.push_str(&format!("\\x{:02x}", u32::from(character))),
        _ if is_c1(character) => shown.push_str(&format!("\\x{:02x}", u32::from(character))),
        _ if is_unseen(character) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
        _ => shown.push(character),
    }
}

/// DEL and C1, which a terminal may obey.
const fn is_c1(character: char) -> bool {
    matches!(character, '\u{7f}'..='\u{9f}')
}

/// Characters without a shape of their own, that hide or reorder others.
const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn cut(mut shown: String, left: usize) -> String {
    shown.push_str(&format!("…(+{left})"));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_never_reach_a_terminal() {
        assert_eq!(escape(b"a\x1b[2Jb", 64), "a\\x1b[2Jb");
        assert_eq!(
            escape("x\u{202e}y\u{200b}z".as_bytes(), 64),
            "x\\u{202e}y\\u{200b}z"
        );
        assert_eq!(escape(b"caf\xe9", 64), "caf\\xe9");
        assert_eq!(escape("\u{9b}31m".as_bytes(), 64), "\\x9b31m");
    }

    #[test]
    fn json_is_safe_to_show_and_means_the_same() {
        let json = "{\"text\": \"caf\u{e9} \u{9b}2J \u{202e}x \u{e0041} \\u001b\"}";
        assert_eq!(
            escape_json(json),
            "{\"text\": \"caf\u{e9} \\u009b2J \\u202ex \\udb40\\udc41 \\u001b\"}"
        );
    }

    #[test]
    fn long_text_is_cut_and_says_how_much_is_missing() {
        assert_eq!(escape(b"abcdef", 4), "abcd…(+2)");
        assert_eq!(escape(b"abcd", 4), "abcd");
    }
}
