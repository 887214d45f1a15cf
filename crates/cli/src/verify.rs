//! `batchwright verify`.

use std::process::ExitCode;

use anyhow::Context as _;
use batchwright_core::{Plan, PlanError, Rank, verify};

use crate::arguments::Verify;
use crate::failure::{Failure, Result};
use crate::{open, print};

pub(crate) fn run(arguments: &Verify) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let opened = open::data(&arguments.configuration, &config)?;
    let plan = opened.training.plan();
    let world = arguments.ranks.map_or(plan.rank().world, usize::from);
    let plans: Vec<Plan> = (0..world)
        .map(|index| plan.for_rank(Rank { index, world }))
        .collect::<std::result::Result<_, PlanError>>()
        .with_context(|| format!("cannot plan for {world} ranks"))
        .map_err(Failure::usage)?;
    for epoch in 0..arguments.epochs {
        let proof = verify(&plans, epoch).map_err(|error| Failure::ours(error.into()))?;
        if arguments.json {
            print(&serde_json::to_string(&proof).map_err(|error| Failure::ours(error.into()))?)?;
            continue;
        }
        print(&format!(
            "epoch {epoch}: {} samples over {world} ranks in {:?} batches: {} once, {} never, {} more than once \
             ({} positions dropped, {} padded)",
            proof.samples,
            proof.batches,
            proof.once,
            proof.never,
            proof.repeated,
            proof.dropped,
            proof.padded
        ))?;
    }
    if !arguments.json {
        print("every position comes exactly once, and every sample as often as the sampler promises")?;
    }
    Ok(ExitCode::SUCCESS)
}
