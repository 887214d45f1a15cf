//! Which instructions there are.
#![expect(
    unsafe_code,
    reason = "code compiled for more instructions than every machine has is called here, once known to run"
)]

/// A set of vector instructions. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What every machine of the architecture has: this code defines the arithmetic.
    Scalar,
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Proof),
}

/// That this machine has the instructions: made by [`Level::detect`] only.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proof(());

impl Level {
    /// Returns the best that this machine has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::Avx2(Proof(()));
        }
        Self::Scalar
    }

    /// Runs code, compiled for the level as far as it is inlined.
    #[inline(always)]
    pub(super) fn run<R>(self, code: impl FnOnce() -> R) -> R {
        match self {
            Self::Scalar => code(),
            // SAFETY: the proof is only made where the instructions are.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => unsafe { with_avx2(code) },
        }
    }
}

/// Asks for the cache lines of voxels that are read soon: rows of a patch lie too far apart for the machine to guess.
#[inline(always)]
pub(super) fn prefetch<T>(voxels: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        let start = voxels.as_ptr().cast::<i8>();
        for line in (0..size_of_val(voxels)).step_by(64) {
            // SAFETY: the line begins inside of the slice, and a prefetch reads nothing that the program sees.
            unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(start.add(line)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = voxels;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<R>(code: impl FnOnce() -> R) -> R {
    code()
}
