//! Pictures of another size, each pixel the mean of what it covers.

/// Scales one channel, [H, W], from one size to another: each pixel becomes the mean of the part of the picture that it
/// covers, pixels at its border counting by the share of them that lies inside. Bytes and 16-bit values are summed without
/// rounding.
pub(crate) fn scale<T: Copy + Into<f64>>(
    from: &[T],
    [height, width]: [usize; 2],
    [to_height, to_width]: [usize; 2],
    to: &mut Vec<f64>,
) {
    let columns = shares(width, to_width);
    let mut rows = Vec::with_capacity(height * to_width);
    for row in from.chunks_exact(width) {
        rows.extend(columns.iter().map(|share| share.sum(|at| row[at].into())));
    }
    let (lines, cells) = (shares(height, to_height), (height * width) as f64);
    to.clear();
    to.reserve(to_height * to_width);
    for line in &lines {
        to.extend((0..to_width).map(|column| line.sum(|at| rows[at * to_width + column]) / cells));
    }
}

/// What one of `to` cells covers of `from` pixels along an axis, in parts of a pixel of which `to` make one.
struct Share {
    first: usize,
    /// How much of each pixel from the first on; `from` in all.
    parts: Vec<f64>,
}

impl Share {
    fn sum(&self, value: impl Fn(usize) -> f64) -> f64 {
        self.parts.iter().enumerate().map(|(at, part)| part * value(self.first + at)).sum()
    }
}

fn shares(from: usize, to: usize) -> Vec<Share> {
    let share = |cell: usize| {
        // Pixel k reaches from k * to to (k + 1) * to.
        let (start, end) = (cell * from, (cell + 1) * from);
        let (first, last) = (start / to, (end - 1) / to);
        let parts = (first..=last).map(|k| (end.min((k + 1) * to) - start.max(k * to)) as f64);
        Share { first, parts: parts.collect() }
    };
    (0..to).map(share).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: every pixel drawn `to` times as large, and then means of whole blocks.
    fn by_definition(
        from: &[u8],
        [height, width]: [usize; 2],
        [to_height, to_width]: [usize; 2],
    ) -> Vec<f64> {
        let mean = |row: usize, column: usize| {
            let mut sum = 0_u64;
            for y in row * height..(row + 1) * height {
                for x in column * width..(column + 1) * width {
                    sum += u64::from(from[y / to_height * width + x / to_width]);
                }
            }
            sum as f64 / (height * width) as f64
        };
        (0..to_height * to_width).map(|at| mean(at / to_width, at % to_width)).collect()
    }

    proptest! {
        #[test]
        fn a_pixel_is_the_mean_of_what_it_covers(
            size in (1..20_usize, 1..20_usize), to in (1..20_usize, 1..20_usize), seed in any::<u64>(),
        ) {
            let (size, to) = ([size.0, size.1], [to.0, to.1]);
            let pixels: Vec<u8> =
                (0..size[0] * size[1]).map(|i| (seed.wrapping_mul(2 * i as u64 + 1) >> 40) as u8).collect();
            let mut out = Vec::new();
            scale(&pixels, size, to, &mut out);
            prop_assert_eq!(out, by_definition(&pixels, size, to));
        }
    }

    #[test]
    fn a_thin_line_keeps_its_ink() {
        // One black line of 105 x 105 pixels covers 1 / 3.75 of the row it falls into.
        let mut pixels = vec![0_u8; 105 * 105];
        pixels[50 * 105..51 * 105].fill(255);
        let mut out = Vec::new();
        scale(&pixels, [105, 105], [28, 28], &mut out);
        let ink: f64 = out.iter().sum::<f64>() * 3.75 * 3.75;
        assert!((ink - 105.0 * 255.0).abs() < 1e-6, "{ink}");
        assert!((out[13 * 28] - 255.0 / 3.75).abs() < 1e-9, "{}", out[13 * 28]);
    }
}
