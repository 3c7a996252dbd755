//! `run`: the daemon.

use crate::cli::{Context, SOFTWARE};
use crate::config::{Config, Surroundings};
use crate::service;

pub async fn run(context: &Context) -> anyhow::Result<u8> {
    service::log_to_stderr();
    let config = Config::load(&context.config_path(), &Surroundings::of_process())?;
    for problem in &config.remarks {
        tracing::warn!("{problem}");
    }
    Ok(SOFTWARE)
}
