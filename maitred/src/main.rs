//! The command line and the wiring, nothing else.

fn main() {}
