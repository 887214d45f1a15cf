#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| batchwright_nifti::fuzzing::extensions(bytes));
