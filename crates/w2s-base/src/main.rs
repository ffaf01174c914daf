//! The `w2s-base` stage binary.

fn main() {}
