//! The vocabulary of Parallax: what is asked, what was seen, what it means.
//!
//! Plain values only. No socket, no clock, no runtime: time comes in as a value, and everything here can be
//! built, compared and replayed without a network. The serde shapes are those of the run document.

pub mod alert;
pub mod audit;
pub mod bucket;
pub mod capture;
pub mod certificate;
pub mod check;
pub mod client;
pub mod credential;
pub mod evidence;
pub mod experiment;
pub mod fault;
pub mod finding;
pub mod history;
pub mod identity;
mod kinds;
pub mod millis;
pub mod observation;
pub mod path;
pub mod refusal;
pub mod round;
pub mod run;
pub mod selector;
pub mod signal;
pub mod spec;
pub mod stage;
pub mod target;
pub mod text;
pub mod token;
pub mod vantage;
