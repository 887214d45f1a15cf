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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<R>(code: impl FnOnce() -> R) -> R {
    code()
}
