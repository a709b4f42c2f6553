//! `batchai usage`: shows quotas and their usage.

use crate::context::Context;
use crate::exit::Exit;
use anyhow::Result;
use clap::Args;
use resources::Usage;

/// Show quota usage
#[derive(Args)]
pub struct Arguments {
    /// Region
    #[arg(short, long, default_value = "local")]
    location: String,
    /// Include quotas without usage
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
    let none = format!("No usage in {}. To list the quotas, add --all.", arguments.location);
    context.output.list::<Usage>(answers, &none)?;
    Ok(Exit::SUCCESS)
}
