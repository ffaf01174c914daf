//! The `w2s-teacher` stage binary.

fn main() {}
