//! Decides the next step of a probe; touches nothing
