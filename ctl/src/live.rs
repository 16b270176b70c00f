//! Progress on a terminal while a run is on, redrawn in place and gone at the end.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use crate::console;
use crate::render::live::frame;
use crate::view::RunView;

/// A run that is over sooner needs no progress.
const FIRST_AFTER: Duration = Duration::from_millis(150);

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const ERASE_BELOW: &str = "\x1b[J";
const ERASE_REST_OF_LINE: &str = "\x1b[K";

/// The progress of one run. Nothing is left of it when it is dropped, however the command ends.
pub(crate) struct Live {
    began: Instant,
    enabled: bool,
    drawn: usize,
}

impl Live {
    /// Progress from now on; `wanted` is false where standard output is in the way.
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            began: Instant::now(),
            enabled: wanted && console::progress_canvas().is_some(),
            drawn: 0,
        }
    }

    /// Draws what is known now over what was drawn before.
    pub(crate) fn draw(&mut self, view: &RunView) {
        let elapsed = self.began.elapsed();
        if !self.enabled || elapsed < FIRST_AFTER {
            return;
        }
        // Asked each time: the window may have been resized.
        let Some((canvas, height)) = console::progress_canvas() else {
            return;
        };
        let lines = frame(view, elapsed, height, canvas);
        // Each line is overwritten, not erased first: nothing flickers.
        let text: String = lines
            .iter()
            .flat_map(|line| [line.as_str(), ERASE_REST_OF_LINE, "\n"])
            .collect();
        self.write(&format!("{HIDE_CURSOR}{}{text}{ERASE_BELOW}", self.back()));
        self.drawn = lines.len();
    }

    /// Takes everything away again.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            self.write(&format!("{}{ERASE_BELOW}{SHOW_CURSOR}", self.back()));
            self.drawn = 0;
        }
    }

    /// To where the drawing began.
    fn back(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\r"),
        }
    }

    fn write(&mut self, text: &str) {
        let mut terminal = io::stderr().lock();
        let written = terminal
            .write_all(text.as_bytes())
            .and_then(|()| terminal.flush());
        self.enabled &= written.is_ok();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}
