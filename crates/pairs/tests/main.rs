//! Promises seen from outside.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests fail by panicking")]

mod common;
mod drawn;
mod read;
mod rules;
