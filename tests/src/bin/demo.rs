//! Program entry.

fn main() {}
