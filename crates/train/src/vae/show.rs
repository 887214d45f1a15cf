//! Pictures of what an autoencoder has learned.

use batchwright_core::BoxError;
use ndarray::ArrayD;
use tch::{Kind, Tensor};

use super::Vae;
use crate::pictures::{Picture, Pictures};
use crate::task::Step;
use crate::tensors::TensorBatch;

/// How much is shown.
struct Layout {
    /// Images of a row, but for a traversal.
    columns: i64,
    /// Rows of images that are reconstructed.
    rows: i64,
    /// Codes drawn from the prior.
    samples: i64,
    /// Latent dimensions that are walked along, at most.
    dimensions: i64,
    /// Places along each.
    places: i64,
}

const IMAGES: Layout = Layout { columns: 10, rows: 4, samples: 100, dimensions: 10, places: 11 };
/// Each is three planes wide, and takes long to decode.
const VOLUMES: Layout = Layout { columns: 4, rows: 2, samples: 16, dimensions: 5, places: 7 };

/// How far from 0 the walk goes, in standard deviations of the prior.
const REACH: f64 = 3.0;

/// Gives out reconstructions, samples and a traversal of the latent space.
pub(super) fn show(
    vae: &Vae,
    batch: &TensorBatch,
    step: Step,
    to: &mut dyn Pictures,
) -> Result<(), BoxError> {
    let layout = if vae.of_volumes() { VOLUMES } else { IMAGES };
    let images = vae.images(batch)?;
    let n = images.size()[0];
    if n == 0 {
        return Ok(());
    }
    let shown = n.min(layout.rows * layout.columns);
    let images = images.f_narrow(0, 0, shown)?;
    let (means, log_variances) = vae.encode(&images)?;
    // No more at once than a batch: volumes are large.
    let part = if vae.of_volumes() { shown } else { i64::MAX };
    let decode = |codes: &Tensor| -> Result<Tensor, BoxError> {
        let parts = codes.f_split(part.min(codes.size()[0]), 0)?;
        let parts = parts.iter().map(|codes| vae.decode(codes)).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    };
    let reconstructions = decode(&means)?;
    // Rows in turn: originals, and below them their reconstructions.
    let mut rows = Vec::new();
    let mut start = 0;
    while start < shown {
        let length = layout.columns.min(shown - start);
        rows.push(images.f_narrow(0, start, length)?);
        rows.push(reconstructions.f_narrow(0, start, length)?);
        start += length;
    }
    let columns = layout.columns.min(shown);
    let limits = limits(&images)?;
    let samples = &batch.samples[..batch.samples.len().min(shown as usize)];
    let mut give = |name, tensor: &Tensor, columns: i64, samples| -> Result<(), BoxError> {
        let array = array(&stretched(tensor, limits)?)?;
        to.picture(&Picture {
            name,
            step: step.step,
            epoch: step.epoch,
            array,
            columns: columns as usize,
            samples,
        })
    };
    if shown % columns == 0 {
        give("reconstructions", &Tensor::f_cat(&rows, 0)?, columns, samples)?;
    } else {
        // The last pair of rows is short: leave it out, for the rows below would shift.
        let whole = rows.len() - 2;
        give("reconstructions", &Tensor::f_cat(&rows[..whole], 0)?, columns, samples)?;
    }
    let options = (Kind::Float, means.device());
    let drawn = decode(&Tensor::f_randn([layout.samples, vae.latent()], options)?)?;
    give("samples", &drawn, layout.columns, &[])?;

    // The dimensions that say most about these images, by their divergence from the prior.
    let divergence = super::divergence(&means, &log_variances)?.f_mean_dim(0_i64, false, None::<Kind>)?;
    let count = layout.dimensions.min(vae.latent());
    let (_, order) = divergence.f_topk(count, 0, true, true)?;
    let order = Vec::<i64>::try_from(order.f_to_device(tch::Device::Cpu)?)?;
    let mut codes = Vec::new();
    for dimension in order {
        for place in 0..layout.places {
            let code = means.f_get(0)?.f_detach_copy()?;
            let at = REACH * (2.0 * place as f64 / (layout.places - 1) as f64 - 1.0);
            let _ = code.f_narrow(0, dimension, 1)?.f_fill_(at)?;
            codes.push(code);
        }
    }
    give("traversal", &decode(&Tensor::f_stack(&codes, 0)?)?, layout.places, &[])
}

/// Returns what black and white are: 0 and 1, or for images outside of that (normalized ones) the least and the greatest pixel.
pub(crate) fn limits(images: &Tensor) -> Result<(f64, f64), BoxError> {
    let (least, greatest) = (images.f_min()?.f_double_value(&[])?, images.f_max()?.f_double_value(&[])?);
    Ok(if (0.0 <= least && greatest <= 1.0) || greatest <= least { (0.0, 1.0) } else { (least, greatest) })
}

pub(crate) fn stretched(images: &Tensor, (black, white): (f64, f64)) -> Result<Tensor, BoxError> {
    if (black, white) == (0.0, 1.0) {
        return Ok(images.shallow_clone());
    }
    Ok(images.f_sub_scalar(black)?.f_div_scalar(white - black)?.f_clamp(0.0, 1.0)?)
}

pub(crate) fn array(tensor: &Tensor) -> Result<ArrayD<f32>, BoxError> {
    let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut values = vec![0.0_f32; tensor.numel()];
    let n = values.len();
    tensor.f_copy_data(&mut values, n)?;
    Ok(ArrayD::from_shape_vec(shape, values)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalized_images_are_stretched_and_others_stay() {
        let stretch = |values: &[f32]| {
            let images = Tensor::from_slice(values);
            Vec::<f32>::try_from(stretched(&images, limits(&images).unwrap()).unwrap()).unwrap()
        };
        assert_eq!(stretch(&[-1.0, 0.0, 3.0]), [0.0, 0.25, 1.0]);
        assert_eq!(stretch(&[0.25, 0.5]), [0.25, 0.5]);
        assert_eq!(stretch(&[2.0, 2.0]), [2.0, 2.0]);
    }
}
