//! The program: arguments, exit codes, the error chain.

use std::process::ExitCode;

#[global_allocator]
static MEMORY: micropayd::service::Wiping = micropayd::service::Wiping;

fn main() -> ExitCode {
    micropayd::cli::main(std::env::args_os())
}
