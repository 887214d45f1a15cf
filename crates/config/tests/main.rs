//! What the crate promises, seen from outside.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod hostile;
mod mistakes;
#[cfg(feature = "images")]
mod open;
mod properties;
mod resolved;
mod settings;
mod shipped;
