//! Promises seen from outside.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod batches;
mod common;
mod drawn;
mod golden;
mod lists;
mod read;
mod related;
mod rules;
