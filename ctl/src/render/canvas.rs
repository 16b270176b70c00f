//! What is drawn on: how wide, and whether in colour.

use unicode_width::UnicodeWidthStr;

/// Where a rendering goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Canvas {
    /// Columns of the terminal; nothing is wrapped or left out without.
    pub(crate) width: Option<usize>,
    /// Whether colours are understood. They never say what the words do not.
    pub(crate) colour: bool,
}

impl Canvas {
    /// A pipe or a file.
    pub(crate) const PLAIN: Self = Self {
        width: None,
        colour: false,
    };

    /// Text in a tone, where colours are understood.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        match tone.code() {
            Some(code) if self.colour && !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    /// Whether a line of so many columns fits.
    pub(crate) fn fits(self, columns: usize) -> bool {
        self.width.is_none_or(|width| columns <= width)
    }
}

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// A heading, or a name to find first.
    Strong,
    /// Beside the point.
    Faint,
    /// As it should be.
    Good,
    /// To be seen.
    Warning,
    /// Wrong.
    Bad,
}

impl Tone {
    /// SGR parameters (ECMA-48 section 8.3.117); the eight colours that every theme has.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("32"),
            Self::Warning => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// Columns that text takes on a terminal.
pub(crate) fn columns(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Cuts text that takes more than `limit` columns; the cut is seen as `…`.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if columns(text) <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        let mut longer = kept.clone();
        longer.push(character);
        if columns(&longer) + 1 > limit {
            break;
        }
        kept = longer;
    }
    kept.push('…');
    kept
}

/// Breaks text into lines of at most `width` columns, at spaces where there are any.
pub(crate) fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    match width {
        Some(width) => pieces(text, width.max(16)),
        None => vec![text.to_owned()],
    }
}

/// Breaks text that begins at a column, so that its lines end with the terminal.
pub(crate) fn hang(text: &str, start: usize, canvas: Canvas) -> Vec<String> {
    wrap(text, canvas.width.map(|width| width.saturating_sub(start)))
}

/// A fact with its name before it, in columns of that width; what does not fit stands below itself.
pub(crate) fn fact(name: &str, width: usize, said: &str, canvas: Canvas) -> Vec<String> {
    let lines = hang(said, width + 1, canvas).into_iter().enumerate();
    lines
        .map(|(at, line)| {
            let name = if at == 0 { name } else { "" };
            format!("{} {line}", canvas.paint(Tone::Faint, &format!("{name:<width$}")))
        })
        .collect()
}

/// Text in lines of at most `width` columns, narrow as that may be.
pub(crate) fn pieces(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let needed = columns(&line) + usize::from(!line.is_empty()) + columns(word);
        if needed <= width {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        line = break_word(word, width, &mut lines);
    }
    lines.push(line);
    lines
}

/// The last piece of a word; those before it go into `lines`.
fn break_word(word: &str, width: usize, lines: &mut Vec<String>) -> String {
    let mut piece = String::new();
    for character in word.chars() {
        piece.push(character);
        if columns(&piece) > width {
            piece.pop();
            lines.push(std::mem::replace(&mut piece, character.to_string()));
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_long_words_in_the_middle() {
        assert_eq!(wrap("one two three four", Some(16)), ["one two three", "four"]);
        assert_eq!(
            wrap("abcdefghijklmnopqrst", Some(16)),
            ["abcdefghijklmnop", "qrst"]
        );
        assert_eq!(wrap("as it is", None), ["as it is"]);
        assert_eq!(wrap("", Some(20)), [""]);
    }

    #[test]
    fn wide_characters_count_as_two() {
        assert_eq!(columns("日本"), 4);
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("short", 5), "short");
    }

    #[test]
    fn colour_is_for_terminals_only() {
        let colour = Canvas {
            width: Some(80),
            colour: true,
        };
        assert_eq!(colour.paint(Tone::Bad, "refused"), "\x1b[1;31mrefused\x1b[0m");
        assert_eq!(Canvas::PLAIN.paint(Tone::Bad, "refused"), "refused");
    }
}
