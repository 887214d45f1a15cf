//! Tests of the crate as a whole, in one program.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod inspecting;
mod patches;
mod places;
mod reading;
mod subjects;
