//! What runs components. It does not decide what they are granted.

pub mod inspection;
