//! Transformations: bounded output, honest about whether they changed anything,
//! and inverse to each other where they claim it.

use std::sync::OnceLock;

use hop3_transformations::{ByteSet, Context, Transformation, UnicodeMap};

use Transformation as T;

/// A digest, or the number of bytes in decimal, is longer than four times a short input.
const LEAST_ROOM: usize = 64;

/// How many bytes at the start of an input name the transformations of a pipeline.
const PIPELINE: usize = 4;

/// Applies each transformation, then the pipeline that the first bytes name.
pub(super) fn apply(input: &[u8]) {
    let context = Context { unicode_map: unicode_map() };
    for &transformation in T::ALL {
        for context in [&Context::default(), &context] {
            transformed(transformation, input, context);
        }
    }
    inverses(input);
    idempotence(input);
    let (names, value) = input.split_at(input.len().min(PIPELINE));
    let mut value = value.to_vec();
    for name in names {
        let transformation = T::ALL[usize::from(*name) % T::ALL.len()];
        value = transformed(transformation, &value, &context);
    }
}

/// The value after one transformation, whose promises are checked.
fn transformed(transformation: Transformation, input: &[u8], context: &Context<'_>) -> Vec<u8> {
    let name = transformation.name();
    let mut output = b"left over".to_vec();
    let changed = transformation.apply(input, &mut output, context);
    if !changed {
        assert!(output.is_empty(), "{name} left something although nothing changed");
        return input.to_vec();
    }
    assert_ne!(output, input, "{name} says that it changed the value");
    assert!(output.len() <= 4 * input.len() + LEAST_ROOM, "{name} made {} of {}", output.len(), input.len());
    assert!(transformation.may_change(ByteSet::of(input)), "{name} changed what its triggers rule out");
    output
}

fn inverses(input: &[u8]) {
    for (encode, decode) in
        [(T::HexEncode, T::HexDecode), (T::Base64Encode, T::Base64Decode), (T::UrlEncode, T::UrlDecode)]
    {
        let context = Context::default();
        let encoded = transformed(encode, input, &context);
        let decoded = transformed(decode, &encoded, &context);
        assert_eq!(decoded, input, "{} after {}", decode.name(), encode.name());
    }
}

/// Not the parities, which count the eighth bit before they set it; nor the paths: once a relative path
/// has gone above its start, v3's algorithm keeps `..` after a first segment of one byte (`a/../c/../d`).
fn idempotence(input: &[u8]) {
    let settled = [
        T::CompressWhitespace,
        T::Lowercase,
        T::ParityZero7bit,
        T::RemoveNulls,
        T::RemoveWhitespace,
        T::ReplaceNulls,
        T::Trim,
        T::TrimLeft,
        T::TrimRight,
        T::Uppercase,
    ];
    for transformation in settled {
        let context = Context::default();
        let once = transformed(transformation, input, &context);
        let twice = transformed(transformation, &once, &context);
        assert_eq!(twice, once, "{} twice", transformation.name());
    }
}

fn unicode_map() -> Option<&'static UnicodeMap> {
    static MAP: OnceLock<Option<UnicodeMap>> = OnceLock::new();
    MAP.get_or_init(|| UnicodeMap::parse("20127\n00a0:20 00e9:65 2215:2f ff0e:2e\n", 20127).ok()).as_ref()
}
