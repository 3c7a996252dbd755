//! `display test`: everything that the customer's display ever shows, one after the other.

use std::time::Duration;

use clap::Subcommand;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::cli::{Context, DONE, Failure, print};
use crate::config;
use crate::display::{Display, Kind, Scene};
use crate::input::Input;
use crate::money::Amount;

/// A port opens at once or not at all.
const REPORT_WITHIN: Duration = Duration::from_secs(5);

/// Longer than anybody looks.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// Arguments of `display`.
#[derive(clap::Args, Debug)]
pub struct DisplayCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show a sale on the display of the configuration; stop the daemon first, it holds the display
    Test(Test),
}

#[derive(clap::Args, Debug)]
struct Test {
    /// The amount to show
    #[arg(long, default_value = "12.50")]
    amount: Amount,
    /// How many seconds each step is shown
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    each: u64,
}

impl DisplayCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Test(Test { amount, each }) = self.what;
        let each = Duration::from_secs(each);
        let mut settings = config::devices_of(&context.config_path())?.display;
        if settings.kind == Kind::None {
            let text = "no display is set up\nhelp: write kind and path in [display]";
            return Err(Failure::Refused(text.to_owned()).into());
        }
        // Each step stays until the next one.
        (settings.paid_for, settings.refused_for) = (LONG, LONG);
        let (inbox, mut inputs) = mpsc::channel(16);
        let display = Display::start(settings, inbox)?;
        match timeout(REPORT_WITHIN, inputs.recv()).await {
            Ok(Some(Input::Device(device))) if device.ready => {}
            Ok(Some(Input::Device(device))) => {
                return Err(Failure::Refused(format!("{}\nhelp: {HELP}", device.trouble)).into());
            }
            _ => return Err(Failure::Refused(format!("display does not open\nhelp: {HELP}")).into()),
        }
        for (name, scene) in [
            ("what is to be paid", Scene::Total(amount)),
            ("a password is wanted", Scene::Password(amount)),
            ("paid", Scene::Paid(amount)),
            ("not paid", Scene::NotPaid(amount)),
            ("nothing", Scene::Empty),
        ] {
            print(name);
            display.show(scene);
            sleep(each).await;
        }
        print("if the digits are wrong, correct baud; if only the lamps are, correct dialect");
        Ok(DONE)
    }
}

const HELP: &str = "stop the daemon, look at the cable, correct [display]";
