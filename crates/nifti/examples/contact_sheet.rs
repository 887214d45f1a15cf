//! Draws every random change at an extreme setting, before and after, on a generated head:
//! `cargo run --release -p batchwright-nifti --example contact_sheet -- docs/transforms.png [seed]`.
//!
//! Shown is the axial plane through the middle of a patch of three dimensions, normalised to 0 to 1, under the entry of
//! the list `augment` that changes it. Both planes are shown in the window of the first. Outlines are labels, where space
//! is changed.

use std::path::Path;
use std::sync::Arc;

use batchwright_core::{Context, SampleError};
use batchwright_nifti::{
    Augment, Augmentation, Cache, CacheOptions, Changes, Error, KeyBy, Labels, Montage, MontageOptions,
    Patch, PatchOptions, PatchRecord, PatchSet, PatchSetOptions, Phantom, View, VoxelSlice,
};

/// Voxels of a side of the head and of the patch.
const SIDE: usize = 96;

/// Entries of the list `augment`, as they are written in YAML and, with quotes, in JSON.
const CHANGES: [&str; 32] = [
    r#"{"flip": {"axes": [1, 0, 0]}}"#,
    r#"{"rotate90": {"planes": ["xy"], "k": [1]}}"#,
    r#"{"affine": {"rotation": [0, 0, [30, 30]]}}"#,
    r#"{"affine": {"scale": [1.6, 1.6]}}"#,
    r#"{"affine": {"shrink": [1.6, 1.6]}}"#,
    r#"{"affine": {"scale": [0.5, 0.2, 0], "isotropic": false}}"#,
    r#"{"affine": {"shear": [-0.4, 0.4]}}"#,
    r#"{"affine": {"translation": {"mm": [[40, 40], [20, 20], 0]}}}"#,
    r#"{"elastic": {"max_displacement": [20, 20, 20]}}"#,
    r#"{"noise": {"sigma": [0.2, 0.2]}}"#,
    r#"{"rician": {"sigma": [0.2, 0.2]}}"#,
    r#"{"blur": {"sigma": {"voxels": [2, 2]}}}"#,
    r#"{"sharpen": {"amount": [30, 30]}}"#,
    r#"{"gamma": {"gamma": {"between": [3, 3]}}}"#,
    r#"{"gamma": {"gamma": {"between": [3, 3]}, "invert": true}}"#,
    r#"{"gamma": {"gamma": {"between": [3, 3]}, "retain_statistics": true}}"#,
    r#"{"gamma": {"gamma": {"exp_of": [-1, -1]}, "of": "size"}}"#,
    r#"{"contrast": {"factor": {"between": [1.6, 1.6]}}}"#,
    r#"{"brightness": {"factor": {"between": [0.4, 0.4]}}}"#,
    r#"{"scale_intensity": {"factor": {"between": [0.4, 0.4]}, "keep_mean": true}}"#,
    r#"{"shift_intensity": {"offset": {"values": [0.25, 0.25]}}}"#,
    r#"{"low_resolution": {"zoom": [0.2, 0.2]}}"#,
    r#"{"anisotropy": {"factor": [8, 8], "axes": [false, true, false]}}"#,
    r#"{"bias_field": {"coefficients": [-1, 1]}}"#,
    r#"{"histogram_shift": {"points": 4}}"#,
    r#"{"motion": {"degrees": [-15, 15], "moves": [4, 4], "axes": [false, true, false]}}"#,
    r#"{"ghosting": {"ghosts": [4, 4], "intensity": [1, 1], "axes": [false, true, false]}}"#,
    r#"{"spike": {"intensity": [1, 1]}}"#,
    r#"{"gibbs": {"alpha": [0.8, 0.8]}}"#,
    r#"{"cut_out": {"boxes": [12, 12], "size": [20, 20, 20], "fill": "mean"}}"#,
    r#"{"swap": {"times": [40, 40], "size": [20, 20, 20]}}"#,
    r#"{"some_of": {"count": [3, 3], "transforms": [{"noise": {}}, {"gibbs": {}}, {"gamma": {}}, {"blur": {}}]}}"#,
];

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "transforms.png".to_owned());
    let seed = arguments.next().map_or(Ok(42), |seed| seed.parse())?;
    let head = Phantom { subjects: 1, shape: [SIDE; 3], classes: 3, noise: 0.4, ..Phantom::default() };
    // All sets find the head there, which is drawn once.
    let cache = CacheOptions { budget: 1 << 30, directory: None, key: KeyBy::default() };
    let cache = Arc::new(Cache::new(cache)?);
    let patch = format!(r#"{{"size": [{SIDE}, {SIDE}, {SIDE}], "sampler": "center"}}"#);
    let patch: PatchOptions = serde_json::from_str(&patch)?;
    let options = MontageOptions { panel: 90, columns: 8, letters: false, ..MontageOptions::default() };
    let mut montage = Montage::new(options)?;
    for (number, change) in (0..).zip(CHANGES) {
        let augment: Augment = serde_json::from_str(&format!("[{change}]"))?;
        let mut options = PatchSetOptions::new(patch.clone());
        options.normalize = serde_json::from_str(r#"{"percentiles": {}}"#)?;
        options.augmentation = Augmentation::new(&augment, "augment")?;
        let set = PatchSet::phantom(&head, &[0], options, None, Arc::clone(&cache))?;
        let record = set.draw(0, &Context::new(seed, 0, number)).map_err(SampleError::into_source)?;
        let bent = !record.changes.spatial.is_empty();
        let plain = PatchRecord { changes: Changes::default(), ..record.clone() };
        let [before, after] = [plain, record].map(|record| set.patch(0, &record));
        let before = before.map_err(SampleError::into_source)?;
        let after = after.map_err(SampleError::into_source)?;
        montage.add(&caption(change), &[plane(&before, bent)?, plane(&after, bent)?]);
    }
    montage.write_png(Path::new(&path))?;
    Ok(())
}

/// Returns an entry as it is written in YAML: without quotes, and without its outer braces.
fn caption(json: &str) -> String {
    json[1..json.len() - 1].replace('"', "")
}

/// Returns the middle plane of z, with the outlines of its labels if they are to be shown.
fn plane(patch: &Patch, labelled: bool) -> Result<View<'_>, Error> {
    let ([x, y, z], [dx, dy, dz]) = (patch.shape.size, patch.shape.spacing);
    let voxels = (z / 2) * x * y..(z / 2 + 1) * x * y;
    let view = View::new(&patch.image[voxels.clone()], patch.shape.channels, [x, y, 1], [dx, dy, dz])?;
    match &patch.labels {
        Some(Labels::U8(labels)) if labelled => view.with_label(VoxelSlice::U8(&labels[voxels])),
        _ => Ok(view),
    }
}
