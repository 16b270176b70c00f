//! Where packets get to: traces of a path, decided here and shot by the driver.
//!
//! A machine is used as a session is: it says what to send next, and is told what came back. It knows no socket and
//! no clock; times are from the start of the probe. What answered is evidence, and what was silent is none: a trace
//! never says where something was dropped, only who answered.

mod distance;
mod hop;
mod pacer;
mod shot;
mod trace;

pub use distance::{AnswerTtl, Question};
pub use pacer::{Lane, Pacer};
pub use shot::{Answer, IcmpAnswer, Shot, Step};
pub use trace::{Trace, Traced, Wish};

#[cfg(test)]
mod tests;
