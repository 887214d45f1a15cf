//! Embeddings in a few dimensions, to be looked at.

use crate::mining::{EmbeddingError, Embeddings};

/// More directions than wanted are followed, so that those wanted settle sooner.
const MORE: usize = 6;
/// Rounds after which directions that are still turning are taken as they are.
const ROUNDS: usize = 1000;

/// The principal components of embeddings: the directions in which they vary most.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// The mean of the embeddings.
    pub mean: Vec<f64>,
    /// The directions, of length 1, at right angles, those of most variance first; the number of the greatest magnitude in
    /// each (of equal ones the first) is above 0.
    pub components: Vec<Vec<f64>>,
    /// The part of the whole variance along each direction.
    pub explained: Vec<f64>,
}

/// Finds `count` principal components: the eigenvectors of the covariance, in double precision, by orthogonal iteration from
/// fixed directions with a Rayleigh-Ritz step a round, until they turn by less than 1e-12.
///
/// Directions of equal variance are not determined by the embeddings; they are still the same in every run.
///
/// # Errors
/// Refuses no embeddings, and a count of 0 or of more than the dimensions.
pub fn principal_components(embeddings: &Embeddings, count: usize) -> Result<Projection, EmbeddingError> {
    let (n, dims) = (embeddings.len(), embeddings.dims());
    if n == 0 {
        return Err(EmbeddingError::Empty { what: "embeddings" });
    }
    if count == 0 || dims < count {
        return Err(EmbeddingError::choice("components", format!("from 1 to the {dims} dimensions"), count));
    }
    let rows = || embeddings.values().chunks_exact(dims);
    let mut mean = vec![0.0; dims];
    for row in rows() {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    for sum in &mut mean {
        *sum /= n as f64;
    }
    let mut covariance = vec![0.0; dims * dims];
    let mut centred = vec![0.0; dims];
    for row in rows() {
        for ((to, &x), mean) in centred.iter_mut().zip(row).zip(&mean) {
            *to = f64::from(x) - mean;
        }
        for (i, &x) in centred.iter().enumerate() {
            for (sum, &y) in covariance[i * dims..][i..dims].iter_mut().zip(&centred[i..]) {
                *sum += x * y;
            }
        }
    }
    for i in 0..dims {
        for j in 0..i {
            covariance[i * dims + j] = covariance[j * dims + i];
        }
    }
    let total: f64 = (0..dims).map(|i| covariance[i * dims + i]).sum();
    let (mut components, variances) = leading(&covariance, dims, count);
    for component in &mut components {
        let greatest =
            component.iter().copied().fold(0.0, |best: f64, x| if best.abs() < x.abs() { x } else { best });
        if greatest < 0.0 {
            for x in component {
                *x = -*x;
            }
        }
    }
    let part = |variance: f64| if 0.0 < total { (variance / total).max(0.0) } else { 0.0 };
    Ok(Projection { mean, components, explained: variances.into_iter().map(part).collect() })
}

impl Projection {
    /// Returns the coordinates of embeddings along the components, a row for each embedding.
    ///
    /// # Errors
    /// Refuses embeddings of other dimensions.
    pub fn project(&self, embeddings: &Embeddings) -> Result<Vec<f32>, EmbeddingError> {
        if embeddings.dims() != self.mean.len() {
            return Err(EmbeddingError::Dimensions { expected: self.mean.len(), found: embeddings.dims() });
        }
        let coordinate = |row: &[f32], component: &[f64]| {
            let terms = row.iter().zip(&self.mean).zip(component);
            terms.map(|((&x, mean), c)| (f64::from(x) - mean) * c).sum::<f64>() as f32
        };
        let rows = (0..embeddings.len()).map(|sample| embeddings.row(sample));
        Ok(rows.flat_map(|row| self.components.iter().map(move |c| coordinate(row, c))).collect())
    }
}

/// Returns the `count` leading eigenvectors of a symmetric matrix without negative eigenvalues, and these.
fn leading(matrix: &[f64], dims: usize, count: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let followed = (count + MORE).min(dims);
    // Fixed numbers between -1/2 and 1/2 without a pattern: fractions of multiples of the golden ratio.
    let start = |place: usize| ((place + 1) as f64 * 0.618_033_988_749_894_9).fract() - 0.5;
    let mut basis: Vec<Vec<f64>> =
        (0..followed).map(|v| (0..dims).map(|i| start(v * dims + i * (v + 1))).collect()).collect();
    orthonormalize(&mut basis);
    let times = |v: &[f64]| -> Vec<f64> { matrix.chunks_exact(dims).map(|row| dot(row, v)).collect() };
    let mut values = vec![0.0; followed];
    for _ in 0..ROUNDS {
        let images: Vec<Vec<f64>> = basis.iter().map(|v| times(v)).collect();
        let small: Vec<f64> = basis.iter().flat_map(|v| images.iter().map(move |w| dot(v, w))).collect();
        let (eigenvalues, rotation) = jacobi(small, followed);
        values = eigenvalues;
        // The images of the rotated basis.
        let mut next: Vec<Vec<f64>> = rotation
            .iter()
            .map(|weights| {
                (0..dims).map(|i| images.iter().zip(weights).map(|(w, &a)| w[i] * a).sum()).collect()
            })
            .collect();
        orthonormalize(&mut next);
        let turned = |(a, b): (&Vec<f64>, &Vec<f64>)| {
            let along = dot(a, b);
            a.iter().zip(b).map(|(x, y)| (x - along * y).abs()).fold(0.0, f64::max)
        };
        let most = next.iter().zip(&basis).take(count).map(turned).fold(0.0, f64::max);
        basis = next;
        if most < 1e-12 {
            break;
        }
    }
    basis.truncate(count);
    values.truncate(count);
    (basis, values)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    // Four sums, in a fixed order.
    let mut sums = [0.0; 4];
    let ((a4, a), (b4, b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for (a, b) in a4.iter().zip(b4) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// Makes vectors of length 1 at right angles, twice over; one that depends on those before becomes an axis that does not.
fn orthonormalize(basis: &mut [Vec<f64>]) {
    for i in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(i);
        let vector = &mut rest[0];
        let dims = vector.len();
        let mut axis = 0;
        loop {
            let first = dot(vector, vector).sqrt();
            for _ in 0..2 {
                for other in &*before {
                    let along = dot(vector, other);
                    vector.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
                }
            }
            let length = dot(vector, vector).sqrt();
            if 1e-10 * first < length {
                for x in vector.iter_mut() {
                    *x /= length;
                }
                break;
            }
            // Of `dims` axes at most `i` lie in the span of the i vectors before.
            assert!(axis < dims, "no more vectors than dimensions");
            vector.fill(0.0);
            vector[axis] = 1.0;
            axis += 1;
        }
    }
}

/// Returns the eigenvalues of a small symmetric matrix, the greatest first, and the eigenvectors, by rotations of Jacobi in
/// the order of rows.
fn jacobi(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut v: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _sweep in 0..50 {
        let mut changed = false;
        for p in 0..n {
            for q in p + 1..n {
                let off = a[p * n + q];
                if off.abs() <= 1e-17 * (a[p * n + p].abs() + a[q * n + q].abs()) || off == 0.0 {
                    continue;
                }
                changed = true;
                let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (x, y) = (a[k * n + p], a[k * n + q]);
                    (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
                }
                for k in 0..n {
                    let (x, y) = (a[p * n + k], a[q * n + k]);
                    (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
                }
                let (left, right) = v.split_at_mut(q);
                for (x, y) in left[p].iter_mut().zip(&mut right[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    (order.iter().map(|&i| a[i * n + i]).collect(), order.iter().map(|&i| v[i].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::{floats, integers, oracle};
    use crate::mining::clusters;

    #[test]
    fn components_are_those_of_scikit_learn() {
        let oracle = oracle();
        let set = &oracle["train"];
        let set = Embeddings::new(floats(&set["values"]), 6, integers(&set["labels"])).unwrap();
        let found = principal_components(&set, 3).unwrap();
        let doubles = |key: &str| -> Vec<f64> {
            oracle["pca"][key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let close = |found: &[f64], want: &[f64], bound: f64| {
            assert_eq!(found.len(), want.len());
            assert!(found.iter().zip(want).all(|(a, b)| (a - b).abs() < bound), "{found:?} {want:?}");
        };
        close(&found.components.concat(), &doubles("components"), 1e-9);
        close(&found.explained, &doubles("explained"), 1e-12);
        let projected: Vec<f64> = found.project(&set).unwrap().into_iter().map(f64::from).collect();
        close(&projected, &doubles("projected"), 1e-6);
    }

    #[test]
    fn many_dimensions_are_projected_on_eigenvectors() {
        let set = clusters(500, 90, 4, 0.3, 3);
        let found = principal_components(&set, 2).unwrap();
        for (i, component) in found.components.iter().enumerate() {
            // The variance along a component is its part of the whole, and the two are at right angles.
            let along = found.project(&set).unwrap();
            let mean: f64 = along.iter().skip(i).step_by(2).map(|&x| f64::from(x)).sum::<f64>() / 500.0;
            assert!(mean.abs() < 1e-5);
            assert!((dot(component, component) - 1.0).abs() < 1e-12);
        }
        assert!(dot(&found.components[0], &found.components[1]).abs() < 1e-12);
        assert!(found.explained[1] <= found.explained[0] && 0.5 < found.explained.iter().sum::<f64>());
        assert_eq!(found, principal_components(&set, 2).unwrap());
    }

    #[test]
    fn embeddings_that_do_not_vary_are_projected_without_numbers_that_are_not() {
        for (n, dims) in [(1, 2), (9, 3), (3, 20)] {
            let set = Embeddings::new(vec![2.5; n * dims], dims, vec![0; n]).unwrap();
            let found = principal_components(&set, 2).unwrap();
            assert_eq!(found.explained, [0.0, 0.0]);
            assert_eq!(found.project(&set).unwrap(), vec![0.0; 2 * n]);
        }
        // Fewer embeddings than dimensions: one direction only.
        let two = Embeddings::new(vec![0.0, 0.0, 0.0, 3.0, 4.0, 0.0], 3, vec![0, 0]).unwrap();
        let found = principal_components(&two, 2).unwrap();
        assert!((found.components[0][1] - 0.8).abs() < 1e-12 && (found.explained[0] - 1.0).abs() < 1e-12);
        assert!(found.project(&two).unwrap()[1].abs() < 1e-6);
        assert_eq!(
            principal_components(&two, 4).unwrap_err().to_string(),
            "components is 4; it takes from 1 to the 3 dimensions"
        );
    }
}
