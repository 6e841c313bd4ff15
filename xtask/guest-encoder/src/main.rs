//! Encoder.
fn main() {}
