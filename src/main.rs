//! The program: arguments, exit codes, the error chain.

use std::process::ExitCode;

fn main() -> ExitCode {
    micropayd::cli::main(std::env::args_os())
}
