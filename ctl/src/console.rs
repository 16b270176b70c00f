//! Standard output and standard error, and whether somebody looks at them.

use std::io::{self, IsTerminal as _, Write as _};

use crate::render::Canvas;

/// Columns of a terminal that does not say.
const USUAL_WIDTH: usize = 80;

/// What standard output is.
pub(crate) fn canvas() -> Canvas {
    if !io::stdout().is_terminal() {
        return Canvas::PLAIN;
    }
    let size = terminal_size::terminal_size_of(io::stdout());
    Canvas {
        width: Some(size.map_or(USUAL_WIDTH, |(width, _)| width.0.into())),
        colour: colour_is_wanted(),
    }
}

/// What standard error is, and its height, if it is a terminal that can move its cursor.
pub(crate) fn progress_canvas() -> Option<(Canvas, usize)> {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if !io::stderr().is_terminal() || is_dumb {
        return None;
    }
    let (width, height) = terminal_size::terminal_size_of(io::stderr())?;
    let canvas = Canvas {
        width: Some(width.0.into()),
        colour: colour_is_wanted(),
    };
    Some((canvas, height.0.into()))
}

/// Writes to standard output. Whoever closed the pipe has read enough: that is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes to standard error. If that fails there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// <https://no-color.org>: any value but the empty one says no.
fn colour_is_wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !refused && !is_dumb
}
