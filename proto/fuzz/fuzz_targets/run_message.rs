#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parallax_proto_fuzz::run_message::run(data));
