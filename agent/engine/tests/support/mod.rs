//! Reads dialogues and plays them.

pub(crate) mod expect;
pub(crate) mod play;
pub(crate) mod script;
pub(crate) mod world;
