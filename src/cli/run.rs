//! `run`: the daemon. Assembles the terminal from the configuration.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use crate::cli::{Context, DONE};
use crate::config::{self, Config, Surroundings};
use crate::gateway::http::{self, Http, Identity};
use crate::gateway::wechat::Wechat;
use crate::terminal::desk::Setup;
use crate::terminal::{self, Parts, receipt_of};
use crate::{display, printer, service};

pub async fn run(context: &Context) -> anyhow::Result<u8> {
    service::log_to_stderr();
    service::keep_memory_private().context("memory cannot be kept private")?;
    let config = Config::load(&context.config_path(), &Surroundings::of_process())?;
    for problem in &config.remarks {
        tracing::warn!("{problem}");
    }
    let parts = parts(config)?;
    // A task of its own: waking the future that the runtime blocks on costs a system call for each input.
    tokio::spawn(terminal::run(parts)).await??;
    Ok(DONE)
}

/// The line to the gateway and its codec. Nothing is sent yet.
pub fn gateway(wechat: config::Wechat) -> anyhow::Result<(Http, Wechat)> {
    let identity = wechat.identity.map(|identity| Identity::new(identity.chain, identity.key)).transpose()?;
    let http = Http::new(http::Settings {
        base_urls: wechat.base_urls,
        roots: wechat.roots,
        identity,
        connect_timeout: wechat.connect_timeout,
        request_timeout: wechat.request_timeout,
    })?;
    let codec = Wechat::new(wechat.merchant).context("the merchant's settings are not usable")?;
    Ok((http, codec))
}

fn parts(config: Config) -> anyhow::Result<Parts> {
    let not_ready = config.refuses_sales();
    let Config { terminal, wechat, policy, limits, scanners, printer, display, sounds, api, journal, .. } =
        config;
    let sandbox = wechat.is_bench();
    let (http, gateway) = gateway(wechat)?;
    let prints = printer.kind != printer::Kind::None;
    let paper = printer.paper().map_err(|why| anyhow!("{why}"))?;
    let setup = Setup {
        terminal: terminal.id,
        store_name: terminal.store_name,
        subject: terminal.subject,
        policy,
        language: terminal.language,
        max_amount: Some(limits.max_amount),
        max_refund: Some(limits.max_refund),
        prints,
        opens_drawer: printer.drawer.is_some(),
        sandbox,
        not_ready,
        gateway: Arc::new(gateway),
    };
    // The preview shows the receipt as it came out last.
    let facts = setup.facts();
    let latest = move |sale: &_| receipt_of(sale, &facts);
    let (paper, latest) = (Arc::new(paper), Arc::new(latest));
    let (text_paper, text_latest) = (Arc::clone(&paper), Arc::clone(&latest));
    Ok(Parts {
        setup,
        journal,
        http,
        scanners,
        printer: prints.then_some(printer),
        display: (display.kind != display::Kind::None).then_some(display),
        sounds: sounds.plays().then_some(sounds),
        api,
        receipt_text: Arc::new(move |sale| Some(text_paper.text(&text_latest(sale)?))),
        receipt_picture: Arc::new(move |sale| Some(paper.png(&latest(sale)?))),
    })
}
