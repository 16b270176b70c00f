//! Model to wire and back.
