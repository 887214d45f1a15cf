//! The permutation used last: positions come in order, so it is nearly always the next one too.

use std::sync::{Mutex, PoisonError};

use super::Permutation;

/// A permutation with the number it was made for.
pub(super) type Recent = Mutex<Option<(u64, Permutation)>>;

/// Returns the permutation of `number`: the one kept, else the one that `make` makes, which is kept then.
pub(super) fn recent(kept: &Recent, number: u64, make: impl FnOnce() -> Permutation) -> Permutation {
    if let Some((at, permutation)) = &*kept.lock().unwrap_or_else(PoisonError::into_inner)
        && *at == number
    {
        return permutation.clone();
    }
    let permutation = make();
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, permutation.clone()));
    permutation
}
