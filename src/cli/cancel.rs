//! `cancel`: asks that a payment be cancelled.

use crate::api::view::Payment;
use crate::cli::client::{Trouble, Where, escaped, typed};
use crate::cli::{Context, DONE, print, print_json};

/// Arguments of `cancel`.
#[derive(clap::Args, Debug)]
pub struct Cancel {
    /// The payment's id or an order number
    id: String,
    #[command(flatten)]
    daemon: Where,
}

impl Cancel {
    pub async fn run(self, context: &Context) -> anyhow::Result<u8> {
        let client = self.daemon.client(context)?;
        let path = format!("/v1/payments/{}/cancel", escaped(&self.id));
        let answer = client.post(&path, None, None).await.map_err(Trouble::into_error)?;
        if context.json {
            print_json(&answer)?;
        } else {
            print(&typed::<Payment>(&answer)?.cashier.text);
        }
        Ok(DONE)
    }
}
