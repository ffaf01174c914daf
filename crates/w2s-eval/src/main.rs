//! The `w2s-eval` stage binary.

fn main() {}
