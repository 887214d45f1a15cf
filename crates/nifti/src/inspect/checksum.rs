//! Checksums of voxels in the order that NumPy calls C: the last axis fastest.

use sha2::{Digest, Sha256};

/// Planes of the first axis that are gathered at a time, so that reading goes along the rows of the file.
const PLANES: usize = 16;

/// Returns the SHA-256 of all voxels, the last axis fastest, where they lie with the first axis fastest: `bytes` gives the
/// bytes of the voxel at an index of the latter order.
pub(super) fn in_c_order<const N: usize>(shape: &[usize], bytes: impl Fn(usize) -> [u8; N]) -> String {
    let mut hash = Sha256::new();
    let first = shape.first().copied().unwrap_or(1);
    let rest = shape.get(1..).unwrap_or_default();
    // The places of the voxels of one plane of the first axis, the last axis fastest.
    let mut places = vec![0_usize];
    let mut stride = first;
    for &n in rest {
        places = places.iter().flat_map(|&place| (0..n).map(move |i| place + i * stride)).collect();
        stride *= n;
    }
    let mut planes = vec![vec![[0; N]; places.len()]; PLANES.min(first)];
    for start in (0..first).step_by(PLANES) {
        let count = PLANES.min(first - start);
        for (to, &place) in places.iter().enumerate() {
            for (plane, gathered) in planes[..count].iter_mut().enumerate() {
                gathered[to] = bytes(place + start + plane);
            }
        }
        for plane in &planes[..count] {
            hash.update(plane.as_flattened());
        }
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_axis_is_the_fastest_at_any_number_of_planes() {
        for shape in [&[3, 4, 5][..], &[40, 2, 3], &[17, 3, 2, 4], &[1, 2, 3, 1, 3], &[6], &[]] {
            let mut expected = Sha256::new();
            let count: usize = shape.iter().product();
            for index in 0..count {
                // Take the index apart with the last axis fastest, and put it together with the first fastest.
                let (mut left, mut place) = (index, 0);
                for (axis, &n) in shape.iter().enumerate().rev() {
                    place += left % n * shape[..axis].iter().product::<usize>();
                    left /= n;
                }
                expected.update((place as u16).to_le_bytes());
            }
            assert_eq!(
                in_c_order(shape, |index| (index as u16).to_le_bytes()),
                format!("{:x}", expected.finalize())
            );
        }
    }
}
