//! Reading, against files that others made.

mod cases;
mod damage;
mod data;
mod model;
mod oracle;
mod regions;

use std::path::PathBuf;

/// Returns a folder that lies beside the workspace, or where an environment variable says, if it is there.
fn shared(variable: &str, folder: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder),
        PathBuf::from,
    );
    path.exists().then_some(path)
}
