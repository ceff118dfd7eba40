//! Scripts of rules: any text is refused or run, within its instructions.

use hop3_lua::{Host, Script};

/// What one run may take here: the fuzzer is to try many.
const INSTRUCTIONS: u64 = 200_000;

/// A script, run with and without a value.
pub(super) fn run(source: &[u8]) {
    match Script::new("input.lua", source) {
        Ok(script) => {
            for value in [None, Some(&b"a value"[..])] {
                let mut left = INSTRUCTIONS;
                let mut host = Noted::default();
                if let Err(error) = script.run(&mut host, value, &mut left) {
                    assert!(!error.to_string().is_empty(), "failed without a reason");
                }
                assert!(left < INSTRUCTIONS, "a run that cost nothing");
                // Each call takes at least one instruction.
                assert!(host.calls <= INSTRUCTIONS);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty(), "refused without a reason"),
    }
}

/// A transaction that knows a few variables.
#[derive(Default)]
struct Noted {
    calls: u64,
}

impl Host for Noted {
    fn log(&mut self, _level: i64, _text: &[u8]) {
        self.calls += 1;
    }

    fn variables(&mut self, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.calls += 1;
        match name {
            b"ARGS" => vec![(b"ARGS:a".to_vec(), b"One".to_vec()), (b"ARGS:b".to_vec(), b"\xff\0".to_vec())],
            b"tx.a" => vec![(b"TX:a".to_vec(), Vec::new())],
            _ => Vec::new(),
        }
    }

    fn transform(&mut self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        self.calls += 1;
        (name == "lowercase").then(|| value.to_ascii_lowercase())
    }

    fn set(&mut self, name: &[u8], _value: &[u8]) -> Result<(), String> {
        self.calls += 1;
        if name.contains(&b'.') { Ok(()) } else { Err("a collection is missing".to_owned()) }
    }
}
