//! The program: arguments, exit codes, the error chain.

fn main() {}
