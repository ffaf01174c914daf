//! The `w2s-student` stage binary.

fn main() {}
