//! Lets the program and its tests find libtorch where it was found when they were built.

use std::env;

fn main() {
    // Set by the build script of torch-sys, on Linux and macOS; absent without the feature `train`.
    let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // libtorch.so names no symbol that is used, but brings the CUDA part of a libtorch that has one.
        println!("cargo::rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo::rustc-link-arg=-ltorch");
    }
}
