//! `batchwright phantom`.

use std::process::ExitCode;

use batchwright_nifti::{Body, Phantom, PhantomFiles};

use crate::arguments::{self, Phantom as Arguments};
use crate::failure::{Failure, Result};
use crate::print;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let phantom = Phantom {
        seed: arguments.seed,
        subjects: arguments.subjects,
        first_subject: arguments.first,
        body: match arguments.body {
            arguments::Body::Head => Body::Head,
            arguments::Body::Trunk => Body::Trunk,
        },
        shape: arguments.shape,
        channels: arguments.channels,
        classes: arguments.classes,
        spacing: arguments.spacing,
        varied: !arguments.uniform,
        noise: arguments.noise,
    };
    let files = PhantomFiles { varied: !arguments.uniform, compressed: arguments.compress };
    let summary = phantom.write(&arguments.folder, files).map_err(Failure::volume)?;
    print(&format!(
        "{}: {} subjects of {:?} with {}; labels: {}",
        summary.display(),
        phantom.subjects,
        phantom.shape,
        phantom.channel_names().join(", "),
        if phantom.classes == 0 { "none".to_owned() } else { phantom.class_names().join(", ") },
    ))?;
    Ok(ExitCode::SUCCESS)
}
