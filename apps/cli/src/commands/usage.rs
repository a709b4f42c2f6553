//! `batchai usage`: what is used of what may be used.

use crate::context::Context;
use crate::exit::Exit;
use crate::resources::Usage;
use anyhow::Result;
use clap::Args;

/// What a region's clusters use of what they may use
#[derive(Args)]
pub struct Arguments {
    /// Region
    #[arg(short, long, default_value = "local")]
    location: String,
    /// Also what is not used at all
    #[arg(long)]
    all: bool,
}

pub async fn run(context: Context, arguments: Arguments) -> Result<Exit> {
    let mut answers = context.client.list(&context.scope.usages(&arguments.location)).await?;
    if !arguments.all {
        let mut used = Vec::new();
        for answer in answers {
            let usage: Usage = answer.read()?;
            if usage.current_value > 0 {
                used.push(answer);
            }
        }
        answers = used;
    }
    let none = format!("Nothing is used in {}; --all shows the limits.", arguments.location);
    context.output.list::<Usage>(answers, &none)?;
    Ok(Exit::SUCCESS)
}
