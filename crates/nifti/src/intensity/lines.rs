//! Filters along one axis of a channel, in place.

use super::loops::{self, Path};

/// Voxels side by side that are filtered together along y or z.
const COLUMNS: usize = 128;

/// Returns the place that stands for place `i` of a line of `n`, mirrored at the outer faces of its ends:
/// d c b a | a b c d | d c b a.
fn mirrored(i: isize, n: usize) -> usize {
    let i = i.rem_euclid(2 * n as isize) as usize;
    if i < n { i } else { 2 * n - 1 - i }
}

/// Filters with a symmetric kernel, `half[0]` its middle; mirrored at the borders.
pub(super) fn convolve(
    plane: &mut [f32],
    [nx, ny, nz]: [usize; 3],
    axis: usize,
    half: &[f32],
    lines: &mut Vec<f32>,
    path: Path,
) {
    let reach = half.len() - 1;
    match axis {
        0 => {
            for row in plane.chunks_exact_mut(nx) {
                lines.clear();
                lines.extend((0..nx + 2 * reach).map(|i| row[mirrored(i as isize - reach as isize, nx)]));
                loops::convolve(path, row, lines, 1, half);
            }
        }
        1 => {
            for slice in plane.chunks_exact_mut(nx * ny) {
                lines.clear();
                for y in 0..ny + 2 * reach {
                    let from = mirrored(y as isize - reach as isize, ny) * nx;
                    lines.extend_from_slice(&slice[from..from + nx]);
                }
                loops::convolve(path, slice, lines, nx, half);
            }
        }
        _ => {
            let slice = nx * ny;
            for start in (0..slice).step_by(COLUMNS) {
                let width = COLUMNS.min(slice - start);
                lines.clear();
                for z in 0..nz + 2 * reach {
                    let from = mirrored(z as isize - reach as isize, nz) * slice + start;
                    lines.extend_from_slice(&plane[from..from + width]);
                }
                for z in 0..nz {
                    let to = &mut plane[z * slice + start..][..width];
                    loops::convolve(path, to, &lines[z * width..(z + 2 * reach + 1) * width], width, half);
                }
            }
        }
    }
}

/// Replaces each voxel of a line by a blend of two of the line's: place i by `a + weights[i] (b - a)`, with a and b at
/// the places of `pairs[i]`.
pub(super) fn blend(
    plane: &mut [f32],
    [nx, ny, nz]: [usize; 3],
    axis: usize,
    pairs: &[[u32; 2]],
    weights: &[f32],
    lines: &mut Vec<f32>,
    path: Path,
) {
    match axis {
        0 => {
            for row in plane.chunks_exact_mut(nx) {
                lines.clear();
                lines.extend_from_slice(row);
                loops::pick(path, row, lines, pairs, weights);
            }
        }
        1 => {
            for slice in plane.chunks_exact_mut(nx * ny) {
                lines.clear();
                lines.extend_from_slice(slice);
                for ((to, pair), &weight) in slice.chunks_exact_mut(nx).zip(pairs).zip(weights) {
                    let [a, b] = pair.map(|y| &lines[y as usize * nx..][..nx]);
                    loops::blend(path, to, a, b, weight);
                }
            }
        }
        _ => {
            let slice = nx * ny;
            for start in (0..slice).step_by(COLUMNS) {
                let width = COLUMNS.min(slice - start);
                lines.clear();
                for z in 0..nz {
                    lines.extend_from_slice(&plane[z * slice + start..][..width]);
                }
                for (z, (pair, &weight)) in pairs.iter().zip(weights).enumerate() {
                    let [a, b] = pair.map(|z| &lines[z as usize * width..][..width]);
                    loops::blend(path, &mut plane[z * slice + start..][..width], a, b, weight);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_ends_are_mirrored_however_far() {
        let places: Vec<usize> = (-7..8).map(|i| mirrored(i, 3)).collect();
        assert_eq!(places, [0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]);
        assert!((-9..9).all(|i| mirrored(i, 1) == 0));
    }
}
