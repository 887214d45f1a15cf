//! What the crate promises, seen from outside.
#![cfg(not(shuttle))]

mod article;
mod common;
mod errors;
mod golden;
mod memory;
mod order;
mod resume;
mod threads;
