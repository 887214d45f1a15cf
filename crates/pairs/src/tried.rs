//! Drawing by trying: any sample, until one fits.

use batchwright_core::Stream;

use crate::relation::Counts;

/// Draws one of the samples other than `anchor` that fit, each as likely as the others; `None` if none fits.
pub(crate) fn tried(
    samples: usize,
    anchor: usize,
    stream: &mut Stream,
    counts: &Counts,
    fits: impl Fn(usize) -> bool,
) -> Option<usize> {
    if samples < 2 {
        return None;
    }
    let found = counts.tried(|| {
        let other = stream.below32(samples as u32 - 1) as usize;
        let candidate = if anchor <= other { other + 1 } else { other };
        fits(candidate).then_some(candidate)
    });
    if found.is_some() {
        return found;
    }
    let all: Vec<u32> =
        (0..samples).filter(|&one| one != anchor && fits(one)).map(|one| one as u32).collect();
    (!all.is_empty()).then(|| all[stream.below32(all.len() as u32) as usize] as usize)
}
