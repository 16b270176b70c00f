#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parallax_engine_fuzz::sasl::run(data));
