//! `micropayd demo`: a whole shop on this machine, without an account and without hardware.

pub mod line;
mod page;
pub mod paper;
pub mod stage;
mod stories;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::service::Signals;
use stage::Stage;

/// `micropayd demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// Where the demo's page listens; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700")]
    listen: SocketAddr,
    /// Play one of each story to the terminal, print the receipts, and end
    #[arg(long)]
    once: bool,
}

/// Sets the stage and plays on it.
pub async fn run(args: DemoArgs) -> Result<()> {
    anyhow::ensure!(args.listen.ip().is_loopback(), "the demo listens on loopback only, got {}", args.listen);
    let dir = std::env::temp_dir().join(format!("micropayd-demo-{}", std::process::id()));
    // Before there is a daemon that could outlive the demo.
    let mut signals = Signals::listen()?;
    let stage = Arc::new(Stage::start(dir, std::env::current_exe()?).await?);
    let played =
        async { if args.once { stories::play(&stage).await } else { show(&stage, args.listen).await } };
    let ended = tokio::select! {
        ended = played => ended,
        _ = signals.next() => if args.once { Err(anyhow::anyhow!("interrupted")) } else { Ok(()) },
    };
    stage.strike().await;
    ended
}

async fn show(stage: &Arc<Stage>, listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen on {listen}\nhelp: name a free one with --listen 127.0.0.1:0"))?;
    println!("演示已就绪，请用浏览器打开 The demo is ready, open in a browser:\n");
    println!("    http://{}/\n", listener.local_addr()?);
    println!("收银台 cashier's page: {}   结束 end: Ctrl-C", stage.console());
    page::serve(Arc::clone(stage), listener).await
}
