//! Observations in shorthand, and what is expected of their conclusion.

pub mod attempt;
pub mod case;
pub mod chain;
pub mod expect;
pub mod line;
pub mod path;
