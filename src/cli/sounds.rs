//! `sounds test`: plays every sound, and says what is said with it.

use clap::Subcommand;

use crate::cli::{Context, DONE, Failure, print};
use crate::config;
use crate::money::Amount;
use crate::sounds::{Sound, play_once};

/// Arguments of `sounds`.
#[derive(clap::Args, Debug)]
pub struct SoundsCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Play every sound with the program of the configuration
    Test(Test),
}

#[derive(clap::Args, Debug)]
struct Test {
    /// The amount that is said
    #[arg(long, default_value = "12.50")]
    amount: Amount,
}

impl SoundsCommand {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let What::Test(Test { amount }) = self.what;
        let settings = config::devices_of(&context.config_path())?.sounds;
        if !settings.plays() {
            let text = "no sounds are set up\nhelp: write command = [\"aplay\", \"-q\"] in [sounds]";
            return Err(Failure::Refused(text.to_owned()).into());
        }
        let sounds =
            [Sound::Scanned, Sound::Refused, Sound::Paid(amount), Sound::NotPaid, Sound::CallManager];
        for sound in sounds {
            print(format!("{} {}", sound.name(), sound.words()).trim_end());
            play_once(&settings, sound)
                .map_err(|error| Failure::Refused(format!("{error}\nhelp: correct sounds.command")))?;
        }
        Ok(DONE)
    }
}
