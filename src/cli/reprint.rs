//! `reprint`: orders another receipt, marked as a copy.

use crate::api::view::Payment;
use crate::cli::client::{Trouble, Where, escaped, typed};
use crate::cli::list::word;
use crate::cli::{Context, DONE, print, print_json};

/// Arguments of `reprint`.
#[derive(clap::Args, Debug)]
pub struct Reprint {
    /// The payment's id or an order number
    id: String,
    #[command(flatten)]
    daemon: Where,
}

impl Reprint {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let client = self.daemon.client(context)?;
        let path = format!("/v1/payments/{}/receipts", escaped(&self.id));
        let answer = client.post(&path, None, None).await.map_err(Trouble::into_error)?;
        if context.json {
            print_json(&answer)?;
        } else {
            let receipt = typed::<Payment>(&answer)?.receipt;
            print(&format!("receipt {} is {}", receipt.copies, word(&receipt.state)));
        }
        Ok(DONE)
    }
}
