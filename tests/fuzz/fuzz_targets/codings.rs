#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hop3_fuzz::fuzz_inputs::run("codings", input));
