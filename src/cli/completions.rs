//! `completions`: what a shell completes.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Arguments, DONE, print};

/// Arguments of `completions`.
#[derive(clap::Args, Debug)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub fn run(self) -> anyhow::Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "micropayd", &mut script);
        print(&String::from_utf8(script)?);
        Ok(DONE)
    }
}
