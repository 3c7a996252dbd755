//! The one lane of all tests that play the daemon's own desk against the simulated gateway's front: its merchant, its codec,
//! its settings. The same each time: no chance, no clock, no fault.

use std::sync::Arc;

use micropayd::gateway::Gateway;
use micropayd::gateway::wechat::{Secret, Settings, SignType, Wechat};
use micropayd::ids::TerminalId;
use micropayd::payment::Policy;
use micropayd::payment::cashier::Language;
use micropayd::simulator::front::Merchant;
use micropayd::terminal::desk::Setup;

const APP_ID: &str = "wx8888888888888888";
const MCH_ID: &str = "1900000109";
const KEY: &str = "192006250b4c09247ec02edce69f6a2d";

/// Its merchant, as the gateway knows it.
pub fn merchant() -> Merchant {
    Merchant { app_id: APP_ID.to_owned(), mch_id: MCH_ID.to_owned(), api_key: KEY.to_owned() }
}

/// Its own side of the same.
pub fn codec() -> Wechat {
    let settings = Settings {
        app_id: APP_ID.to_owned(),
        mch_id: MCH_ID.to_owned(),
        sub_app_id: None,
        sub_mch_id: None,
        sign_type: SignType::HmacSha256,
        api_key: Secret::parse(KEY).expect("a key"),
        ip: "127.0.0.1".parse().expect("an address"),
        device: None,
        has_client_certificate: true,
    };
    Wechat::new(settings).expect("settings")
}

/// What payers see.
pub const SUBJECT: &str = "朝阳门店-消费";

pub fn terminal() -> TerminalId {
    "T01".parse().expect("a terminal")
}

/// What the desk is started with.
pub fn setup(gateway: &Arc<dyn Gateway>, language: Language) -> Setup {
    Setup {
        terminal: terminal(),
        store_name: "朝阳门店".to_owned(),
        subject: SUBJECT.to_owned(),
        policy: Policy::default(),
        language,
        max_amount: None,
        max_refund: None,
        prints: true,
        opens_drawer: true,
        sandbox: false,
        not_ready: None,
        gateway: Arc::clone(gateway),
    }
}
