//! The `hop3` executable.
fn main() {}
