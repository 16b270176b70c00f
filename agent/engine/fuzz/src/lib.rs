//! What each fuzz target does with bytes, and what must hold of it. The ordinary tests of the engine include this file
//! and replay the inputs, so that no nightly toolchain is needed to keep what was found.

pub mod certificate;
pub mod framer;
pub mod hello;
pub mod sasl;
pub mod scanner;
pub mod tokenizer;

/// A target's name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target by its name.
pub const TARGETS: [Target; 6] = [
    ("certificate", certificate::run),
    ("framer", framer::run),
    ("hello", hello::run),
    ("sasl", sasl::run),
    ("scanner", scanner::run),
    ("tokenizer", tokenizer::run),
];

/// Whether nothing in a text moves a terminal's cursor or hides from a reader.
fn is_plain(text: &str) -> bool {
    text.chars().all(|character| {
        let unseen =
            matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !character.is_control() && !unseen
    })
}
