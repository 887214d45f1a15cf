//! Stored pixels become the numbers of a batch: the loops that every sample runs through.
//!
//! A byte `x` becomes `x / divisor`, rounded as IEEE division rounds it. A division takes several times as long as a
//! multiplication, so the reciprocal is split in two: its upper 16 bits, whose product with a byte is exact in `f32`,
//! and the rest. `x * upper + x * rest` is then rounded once where it matters. Whether that gives the quotient's bits
//! is not argued but tried, for all 256 bytes, when a conversion is made; for 255 it does, and a divisor for which it
//! does not is divided by. Nothing is contracted into a fused multiply-add, and each lane computes alone, so every
//! width of vector gives the same bits.
#![expect(unsafe_code, reason = "calls the loops compiled for AVX2 after asking the processor for it")]

/// Which instructions the loops use; the bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// What the program was compiled for.
    Portable,
    /// AVX2; made by [`Path::detect`] alone, on a processor that has it.
    #[cfg(target_arch = "x86_64")]
    Avx2(Detected),
}

/// Proof that the processor has the instructions. Invariant: made after asking it.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Detected(());

impl Path {
    /// Returns the fastest that this processor has.
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Self::Avx2(Detected(()));
        }
        Self::Portable
    }
}

/// What happens to the values of one channel after the division: `(value - mean) * inverse_std`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standard {
    pub(crate) mean: f32,
    pub(crate) inverse_std: f32,
}

/// How stored pixels become `f32`.
#[derive(Clone, Debug)]
pub(crate) struct Conversion {
    divisor: f32,
    split: Option<(f32, f32)>,
    /// One a channel, or none.
    standards: Vec<Standard>,
    path: Path,
}

impl Conversion {
    pub(crate) fn new(divisor: f32, standards: Vec<Standard>) -> Self {
        Self { divisor, split: split_reciprocal(divisor), standards, path: Path::detect() }
    }

    #[cfg(test)]
    pub(crate) fn with_path(self, path: Path) -> Self {
        Self { path, ..self }
    }

    pub(crate) fn divisor(&self) -> f32 {
        self.divisor
    }

    /// Converts one image of bytes, [C, H, W].
    #[inline]
    pub(crate) fn bytes(&self, from: &[u8], to: &mut [f32]) {
        if self.standards.is_empty() {
            self.scale(from, to);
            return;
        }
        let plane = from.len() / self.standards.len();
        let planes = from.chunks_exact(plane.max(1)).zip(to.chunks_exact_mut(plane.max(1)));
        for ((from, to), &standard) in planes.zip(&self.standards) {
            match self.split {
                Some((upper, rest)) => standardize_split(self.path, from, to, upper, rest, standard),
                None => standardize_divide(self.path, from, to, self.divisor, standard),
            }
        }
    }

    /// Converts one image of floats, [C, H, W].
    pub(crate) fn floats(&self, from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
        self.divide(to);
        self.standardize(to);
    }

    /// Divides an image of bytes, without mean and standard deviation.
    #[inline]
    pub(crate) fn scale(&self, from: &[u8], to: &mut [f32]) {
        match self.split {
            Some((upper, rest)) => scale_split(self.path, from, to, upper, rest),
            None => scale_divide(self.path, from, to, self.divisor),
        }
    }

    /// Divides an image of floats, in place.
    pub(crate) fn divide(&self, image: &mut [f32]) {
        if self.divisor != 1.0 {
            divide(self.path, image, self.divisor);
        }
    }

    /// Applies mean and standard deviation to an image of divided values, in place.
    pub(crate) fn standardize(&self, image: &mut [f32]) {
        if !self.standards.is_empty() {
            let plane = image.len() / self.standards.len();
            for (plane, &standard) in image.chunks_exact_mut(plane.max(1)).zip(&self.standards) {
                standardize(self.path, plane, standard);
            }
        }
    }
}

/// Returns the reciprocal of `divisor` in two parts, if `x * upper + x * rest` is `x / divisor` for every byte.
fn split_reciprocal(divisor: f32) -> Option<(f32, f32)> {
    let reciprocal = 1.0 / f64::from(divisor);
    let upper = f32::from_bits((reciprocal as f32).to_bits() & !0xff);
    let rest = (reciprocal - f64::from(upper)) as f32;
    let exact = |x: u8| {
        let x = f32::from(x);
        (x * upper + x * rest).to_bits() == (x / divisor).to_bits()
    };
    (0..=u8::MAX).all(exact).then_some((upper, rest))
}

/// Defines a loop and compiles it twice: as the program is compiled, and for AVX2.
macro_rules! loops {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
        #[inline]
        fn $name(path: Path, $($argument: $type),*) {
            #[inline(always)]
            fn body($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2($($argument: $type),*) {
                body($($argument),*);
            }

            match path {
                Path::Portable => body($($argument),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: a `Detected` exists only where the processor has AVX2.
                Path::Avx2(Detected(())) => unsafe { avx2($($argument),*) },
            }
        }
    )*};
}

loops! {
    fn scale_split(from: &[u8], to: &mut [f32], upper: f32, rest: f32) {
        for (to, &from) in to.iter_mut().zip(from) {
            let x = f32::from(from);
            *to = x * upper + x * rest;
        }
    }

    fn scale_divide(from: &[u8], to: &mut [f32], divisor: f32) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = f32::from(from) / divisor;
        }
    }

    fn standardize_split(from: &[u8], to: &mut [f32], upper: f32, rest: f32, standard: Standard) {
        for (to, &from) in to.iter_mut().zip(from) {
            let x = f32::from(from);
            *to = ((x * upper + x * rest) - standard.mean) * standard.inverse_std;
        }
    }

    fn standardize_divide(from: &[u8], to: &mut [f32], divisor: f32, standard: Standard) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = (f32::from(from) / divisor - standard.mean) * standard.inverse_std;
        }
    }

    fn standardize(image: &mut [f32], standard: Standard) {
        for value in image {
            *value = (*value - standard.mean) * standard.inverse_std;
        }
    }

    fn divide(image: &mut [f32], divisor: f32) {
        for value in image {
            *value /= divisor;
        }
    }
}

/// Of a long image the first lines are asked for; by then the processor sees where it goes.
#[cfg(target_arch = "x86_64")]
const MOST_PREFETCHED: usize = 1024;

/// Asks the processor to fetch memory that will be read soon.
#[inline]
pub(crate) fn prefetch(memory: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in memory[..memory.len().min(MOST_PREFETCHED)].chunks(64) {
        // SAFETY: prefetching is a hint without effect on memory, allowed at any address; SSE belongs to x86-64.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = memory;
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn paths() -> Vec<Path> {
        let mut paths = vec![Path::Portable];
        if Path::detect() != Path::Portable {
            paths.push(Path::detect());
        }
        paths
    }

    const ALL: fn() -> Vec<u8> = || (0..=u8::MAX).collect();

    #[test]
    fn every_byte_becomes_its_quotient_to_the_last_bit_for_any_divisor() {
        for divisor in [255.0, 1.0, 127.5, 256.0, 3.0, 65535.0, 254.999, 1e-3, 12345.678] {
            for path in paths() {
                let conversion = Conversion::new(divisor, Vec::new()).with_path(path);
                let mut out = vec![f32::NAN; 256];
                conversion.bytes(&ALL(), &mut out);
                for (x, value) in out.iter().enumerate() {
                    assert_eq!(
                        value.to_bits(),
                        (x as f32 / divisor).to_bits(),
                        "{x} / {divisor} on {path:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_fast_way_serves_the_divisor_of_bytes_and_a_single_reciprocal_would_not() {
        assert!(split_reciprocal(255.0).is_some());
        assert!((0..=255_u8).any(|x| f32::from(x) * (1.0 / 255.0) != f32::from(x) / 255.0));
    }

    #[test]
    fn every_path_gives_the_golden_bits_at_every_length() {
        let standards = vec![
            Standard { mean: 0.286, inverse_std: 1.0 / 0.353 },
            Standard { mean: 0.5, inverse_std: 3.0 },
        ];
        for path in paths() {
            let mut hash = Sha256::new();
            for length in (0..70).chain([784, 1001]) {
                let from: Vec<u8> = (0..length * 2).map(|i| (i * 37 + i / 256) as u8).collect();
                let mut to = vec![f32::NAN; length * 2];
                for conversion in [
                    Conversion::new(255.0, Vec::new()),
                    Conversion::new(255.0, standards.clone()),
                    Conversion::new(3.3, Vec::new()),
                    Conversion::new(3.3, standards.clone()),
                ] {
                    let conversion = conversion.with_path(path);
                    conversion.bytes(&from, &mut to);
                    hash.update(batchwright_core::bytes_of(&to));
                    let floats = to.clone();
                    conversion.floats(&floats, &mut to);
                    hash.update(batchwright_core::bytes_of(&to));
                }
            }
            let hash = format!("{:x}", hash.finalize());
            assert_eq!(hash, "6106c1d870288206f1bfa69790d526c09c01ee7a7f0d8d1fd0b19bfce760012a", "{path:?}");
        }
    }
}
