//! `batchwright verify`.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use batchwright_config::{SampleBatches, Samples};
use batchwright_core::{Context, Plan, PlanError, Rank, verify};
use batchwright_pairs::{PairSource as _, TripletSource as _};
use serde::Serialize;

use crate::arguments::Verify;
use crate::failure::{Failure, Result};
use crate::{learned, open, print};

/// What the tuples of an epoch are, each looked at.
#[derive(Debug, Default, Serialize)]
struct Tuples {
    /// How many.
    count: u64,
    /// Pairs that are positives; of triplets each has one.
    positives: u64,
    /// Tuples that the rules do not allow: a false negative or positive.
    wrong: u64,
}

pub(crate) fn run(arguments: &Verify) -> Result<ExitCode> {
    let config = open::config(&arguments.configuration)?;
    let opened = open::data(&arguments.configuration, &config)?;
    let epochs = arguments.from..arguments.from.saturating_add(arguments.epochs);
    learned::take_up(&opened, arguments.learned.checkpoint.as_deref(), epochs.clone())?;
    let plan = opened.training.plan();
    let world = arguments.ranks.map_or(plan.rank().world, usize::from);
    let plans: Vec<Plan> = (0..world)
        .map(|index| plan.for_rank(Rank { index, world }))
        .collect::<std::result::Result<_, PlanError>>()
        .with_context(|| format!("cannot plan for {world} ranks"))
        .map_err(Failure::usage)?;
    let unit = open::unit(&opened.training);
    for epoch in epochs {
        let proof = verify(&plans, epoch).map_err(|error| Failure::ours(error.into()))?;
        let tuples = tuples(&opened.training, config.seed, epoch);
        if let Some(Tuples { wrong, count, .. }) = tuples
            && 0 < wrong
        {
            let text =
                format!("{wrong} of {count} {unit} of epoch {epoch} break the rules they were made by");
            return Err(Failure::ours(anyhow!(text)));
        }
        if arguments.json {
            let mut line = serde_json::to_value(&proof).map_err(|error| Failure::ours(error.into()))?;
            if let Some(tuples) = tuples {
                line["tuples"] = serde_json::to_value(tuples).map_err(|error| Failure::ours(error.into()))?;
            }
            print(&line.to_string())?;
            continue;
        }
        print(&format!(
            "epoch {epoch}: {} {} over {world} ranks in {:?} batches: {} once, {} never, {} more than once \
             ({} positions dropped, {} padded)",
            proof.samples,
            if tuples.is_some() { "anchors" } else { "samples" },
            proof.batches,
            proof.once,
            proof.never,
            proof.repeated,
            proof.dropped,
            proof.padded
        ))?;
        if let Some(Tuples { count, positives, .. }) = tuples {
            print(&format!("  {count} {unit}, {positives} positive, all within their rules"))?;
        }
    }
    if !arguments.json {
        print("every position comes exactly once, and every sample as often as the sampler promises")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks at every pair or triplet of an epoch; nothing where samples stand alone.
fn tuples(batches: &SampleBatches, seed: u64, epoch: u64) -> Option<Tuples> {
    let mut tuples = Tuples::default();
    let plan = batches.plan();
    for sample in (0..plan.len()).flat_map(|batch| plan.batch(epoch, batch)) {
        let context = Context::new(seed, epoch, sample.position);
        let allowed = match batches.dataset() {
            Samples::Pairs(pairs) => {
                let pair = pairs.tuple(sample.index, &context);
                tuples.positives += u64::from(0.5 < pair.same);
                pairs.source().allows(&pair)
            }
            Samples::Triplets(triplets) => {
                tuples.positives += 1;
                triplets.source().allows(&triplets.tuple(sample.index, &context))
            }
            _ => return None,
        };
        tuples.count += 1;
        tuples.wrong += u64::from(!allowed);
    }
    Some(tuples)
}
