//! The leon daemon.

fn main() {}
