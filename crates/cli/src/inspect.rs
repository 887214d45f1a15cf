//! `batchwright inspect`.

use std::process::ExitCode;

use anyhow::Context as _;
use batchwright_nifti::{
    Convention, Facts, MontageOptions, PictureOptions, Position, ReadOptions, picture_of,
};

use crate::arguments::Inspect;
use crate::failure::{Failure, Result};
use crate::print;

pub(crate) fn run(arguments: &Inspect) -> Result<ExitCode> {
    let read = ReadOptions { lenient: arguments.lenient, ..ReadOptions::default() };
    let facts = Facts::of(&arguments.file, !arguments.header, &read).map_err(Failure::volume)?;
    if arguments.json {
        print(&serde_json::to_string_pretty(&facts).map_err(|error| Failure::ours(error.into()))?)?;
    } else {
        print(&facts.to_string())?;
    }
    if let Some(out) = &arguments.out {
        let options = PictureOptions {
            label: arguments.label.clone(),
            frame: arguments.frame,
            montage: MontageOptions {
                panel: arguments.size,
                convention: if arguments.neurological {
                    Convention::Neurological
                } else {
                    Convention::Radiological
                },
                position: arguments.at.map_or(Position::Label, Position::At),
                ..PictureOptions::default().montage
            },
        };
        let picture = picture_of(&arguments.file, &read, &options).map_err(Failure::volume)?;
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))
                .map_err(Failure::environment)?;
        }
        picture.write_png(out).map_err(|error| Failure::environment(error.into()))?;
    }
    Ok(ExitCode::SUCCESS)
}
