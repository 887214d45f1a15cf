//! What the crate promises, seen from outside.
#![cfg(not(shuttle))]
#![allow(clippy::unwrap_used, reason = "helpers of tests, too, fail by panicking")]

mod article;
mod common;
mod errors;
mod golden;
mod memory;
mod order;
mod resume;
mod threads;
