//! The program from outside: what it promises, on generated and real data.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]
#![cfg(unix)]

mod common;

mod checkpoints;
mod commands;
mod configurations;
mod determinism;
mod disk;
mod errors;
mod kill;
mod on_error;
mod pipes;
mod resume;
mod siamese;
mod signals;
mod volumes;
