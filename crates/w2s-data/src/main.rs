//! The `w2s-data` stage binary.

fn main() {}
