//! `man`: the manual pages, one a command, made of the help texts.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory;

use crate::cli::{Arguments, DONE};

/// Arguments of `man`.
#[derive(clap::Args, Debug)]
pub struct Man {
    /// The directory; it is made if it is not there
    dir: PathBuf,
}

impl Man {
    pub fn run(self) -> anyhow::Result<u8> {
        let about = || format!("manual pages cannot be written to {}", self.dir.display());
        std::fs::create_dir_all(&self.dir).with_context(about)?;
        clap_mangen::generate_to(Arguments::command(), &self.dir).with_context(about)?;
        Ok(DONE)
    }
}
