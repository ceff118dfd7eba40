//! What must hold for every transformation on every input, tried on seeded
//! random values made of the pieces that the decoders look for.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use hop3_transformations::{ByteSet, Context, Transformation as T, UnicodeMap};

/// How many values each property is tried on, per transformation.
const VALUES: usize = 20_000;

/// Pieces of escapes, comments, paths, entities and odd bytes.
const PIECES: &[&str] = &[
    "%", "%u", "%U", "+", "41", "4", "g", "ff", "FF", "0f", "00", "\\", "\\x", "\\u", "\\0", "\\7", "377",
    "&", "&#", "&#x", "&#X", "&lt", "&AMP", "amp", "quot", ";", "#", "--", "-", ">", "<!--", "<!", "/*",
    "*/", "*", "/", ".", "..", "//", "\\\\", " ", "  ", "\t", "\n", "\r", "\u{b}", "\u{c}", "\"", "'", "^",
    ",", "(", "a", "Z", "nbsp", "0x", "0X", "x", "u", "=", "==", "Zm9v", "9", "[", "]", "\0", "é", "€", "😀",
    "_", "~",
];

/// Single bytes that no `str` can hold.
const RAW: &[u8] = b"\x80\xa0\xc0\xc2\xc3\xe0\xe2\xed\xf0\xf4\xf5\xf7\xf8\xff\x9f\xbf";

/// A xorshift generator (Marsaglia 2003): the same values in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    /// A value of a few pieces; every fourth one of very few kinds of pieces,
    /// so that long runs and missing triggers are common.
    fn value(&mut self) -> Vec<u8> {
        let kinds: Option<[usize; 3]> =
            (self.below(4) == 0).then(|| std::array::from_fn(|_| self.below(PIECES.len())));
        let mut value = Vec::new();
        for _ in 0..self.below(14) {
            match (kinds, self.below(12)) {
                (Some(kinds), _) => value.extend_from_slice(PIECES[kinds[self.below(3)]].as_bytes()),
                (None, 0) => value.push(RAW[self.below(RAW.len())]),
                (None, 1) => value.push(self.below(256) as u8),
                (None, _) => value.extend_from_slice(PIECES[self.below(PIECES.len())].as_bytes()),
            }
        }
        value
    }
}

/// Calls `property` with each transformation, a value and what became of it.
fn for_all(seed: u64, property: impl Fn(T, &[u8], &[u8], bool)) {
    let map = UnicodeMap::parse("20127 (US-ASCII)\n0041:42 4141:3c ff41:3e", 20127).unwrap();
    let mut random = Random(seed);
    let mut output = Vec::new();
    for &transformation in T::ALL {
        for index in 0..VALUES {
            let value = random.value();
            let context = Context { unicode_map: (index % 2 == 0).then_some(&map) };
            let changed = transformation.apply(&value, &mut output, &context);
            let result = if changed { &output[..] } else { &value[..] };
            property(transformation, &value, result, changed);
        }
    }
}

#[test]
fn the_verdict_tells_whether_the_value_changed() {
    for_all(0x9e37_79b9_7f4a_7c15, |transformation, value, result, changed| {
        assert_eq!(changed, value != result, "{transformation:?} of {}", value.escape_ascii());
    });
}

#[test]
fn without_a_trigger_nothing_changes() {
    for_all(0xd1b5_4a32_d192_ed03, |transformation, value, _, changed| {
        let present = ByteSet::of(value);
        assert!(
            !changed || transformation.may_change(present),
            "{transformation:?} changed {} without a trigger",
            value.escape_ascii()
        );
        if !transformation.triggers().intersects(present) {
            let always = transformation.triggers() == ByteSet::ALL;
            assert!(!changed || always, "{transformation:?} of {}", value.escape_ascii());
        }
    });
}

#[test]
fn what_certainly_does_not_change_does_not() {
    let certain = std::cell::RefCell::new([0_usize; T::ALL.len()]);
    for_all(0xc2b2_ae3d_27d4_eb4f, |transformation, value, _, changed| {
        if transformation.certainly_unchanged(value) {
            assert!(!changed, "{transformation:?} of {}", value.escape_ascii());
            certain.borrow_mut()[transformation as usize] += 1;
        }
    });
    // An answer that is never given would be no help. An empty value is one.
    for (&transformation, certain) in T::ALL.iter().zip(certain.into_inner()) {
        let never = matches!(transformation, T::Length | T::Md5 | T::Sha1);
        assert_eq!(certain > 0, !never, "{transformation:?}");
    }
}

#[test]
fn certainty_is_exact_where_a_change_always_shows() {
    let inexact = |transformation| {
        matches!(
            transformation,
            T::Base64Decode | T::Base64DecodeExt | T::HexDecode | T::Length | T::Md5 | T::Sha1,
            // Of these only the certain cases are told.
        ) || matches!(
            transformation,
            T::NormalizePath | T::NormalizePathWin | T::PhpArgsNames | T::Utf8ToUnicode
        )
    };
    for_all(0x1656_67b1_9e37_79f9, |transformation, value, _, changed| {
        let certain = transformation.certainly_unchanged(value);
        assert!(
            inexact(transformation) || certain != changed,
            "{transformation:?} of {}",
            value.escape_ascii()
        );
    });
}

#[test]
fn results_hold_only_predicted_bytes() {
    let random = std::cell::RefCell::new(Random(0x27d4_eb2f_1656_67c5));
    for_all(0x85eb_ca77_c2b2_ae63, |transformation, value, result, _| {
        let present = ByteSet::of(value);
        // What was predicted of an earlier result is more than is there.
        let more = present.union(ByteSet::of(&random.borrow_mut().value()));
        for present in [present, more] {
            if let Some(predicted) = transformation.output_bytes(present) {
                let surprise = ByteSet::of(result).without(predicted);
                assert!(surprise.is_empty(), "{transformation:?} of {}: {surprise:?}", value.escape_ascii());
            }
        }
    });
}

#[test]
fn bytes_that_are_no_trigger_never_change_anything() {
    // Every value of up to two bytes: exhaustive where the random one is not.
    let mut output = Vec::new();
    for &transformation in T::ALL {
        let triggers = transformation.triggers();
        let silent: Vec<u8> = (0..=255).filter(|&byte| !triggers.contains(byte)).collect();
        for &first in &silent {
            for &second in &silent {
                let changed = transformation.apply(&[first, second], &mut output, &Context::default());
                assert!(!changed, "{transformation:?} of {first:#x} {second:#x}");
            }
        }
    }
}

#[test]
fn every_trigger_is_needed() {
    // A set that is too large would cost the engine its shortcuts.
    for &transformation in T::ALL {
        let triggers = transformation.triggers();
        assert!(!triggers.is_empty());
        for byte in (0..=255).filter(|&byte| triggers.contains(byte)) {
            assert!(
                triggers == ByteSet::ALL || changes_with(transformation, byte),
                "{transformation:?} never changes for {byte:#x}"
            );
        }
    }
}

/// Whether some value whose only trigger is `byte` changes.
fn changes_with(transformation: T, byte: u8) -> bool {
    let affixes: [(&[u8], &[u8]); 15] = [
        (b"", b""),
        (b"a", b""),
        (b"", b"a"),
        (b"", b"41"),
        (b"0", b"41"),
        (b"", b"n"),
        (b"", b"lt"),
        (b"/", b""),
        (b"", b"/"),
        (b"<!", b""),
        (b"a", b"]"),
        (b"", b"aa"),
        (b"a", b"a"),
        (b"<!--", b""),
        (b"", b"\x80\x80\x80"),
    ];
    let mut output = Vec::new();
    affixes.iter().any(|(before, after)| {
        (1..=2).any(|count| {
            let value = [*before, &vec![byte; count], *after].concat();
            transformation.apply(&value, &mut output, &Context::default())
        })
    })
}

#[test]
fn some_transformations_have_nothing_left_to_do_the_second_time() {
    let settled = [
        T::CmdLine,
        T::CompressWhitespace,
        T::Lowercase,
        T::ParityZero7bit,
        T::RemoveNulls,
        T::RemoveWhitespace,
        T::ReplaceComments,
        T::ReplaceNulls,
        T::Trim,
        T::TrimLeft,
        T::TrimRight,
        T::Uppercase,
    ];
    for_all(0xbf58_476d_1ce4_e5b9, |transformation, value, result, _| {
        if settled.contains(&transformation) {
            let again = transformation.apply(result, &mut Vec::new(), &Context::default());
            assert!(!again, "{transformation:?} of {}", value.escape_ascii());
        }
    });
}

#[test]
fn encoders_are_undone_by_their_decoders() {
    let pairs = [
        (T::Base64Encode, T::Base64Decode),
        (T::Base64Encode, T::Base64DecodeExt),
        (T::HexEncode, T::HexDecode),
        (T::UrlEncode, T::UrlDecode),
        (T::UrlEncode, T::UrlDecodeUni),
    ];
    for_all(0x94d0_49bb_1331_11eb, |transformation, value, result, _| {
        for (_, decoder) in pairs.iter().filter(|(encoder, _)| *encoder == transformation) {
            let mut decoded = Vec::new();
            let changed = decoder.apply(result, &mut decoded, &Context::default());
            let decoded = if changed { &decoded[..] } else { result };
            assert_eq!(decoded, value, "{decoder:?} of {}", result.escape_ascii());
        }
    });
}

#[test]
fn outputs_are_bounded() {
    for_all(0x2545_f491_4f6c_dd1d, |transformation, value, result, _| {
        assert!(
            result.len() <= bound(transformation, value.len()),
            "{transformation:?} of {}",
            value.escape_ascii()
        );
    });
}

/// The greatest length of the result for an input of `length` bytes.
fn bound(transformation: T, length: usize) -> usize {
    match transformation {
        T::Base64Encode => length.div_ceil(3) * 4,
        T::HexEncode => length * 2,
        T::UrlEncode => length * 3,
        T::Utf8ToUnicode => length * 4,
        T::Length | T::Md5 | T::Sha1 => 20,
        _ => length,
    }
}

#[test]
fn a_mebibyte_of_one_piece_is_no_trouble() {
    // Quadratic behaviour would take this test minutes instead of moments.
    let mut output = Vec::new();
    for piece in PIECES.iter().map(|piece| piece.as_bytes()).chain(RAW.chunks(1)) {
        let value = piece.repeat((1 << 20) / piece.len());
        for &transformation in T::ALL {
            transformation.apply(&value, &mut output, &Context::default());
            assert!(output.len() <= bound(transformation, value.len()), "{transformation:?} of {piece:?}");
        }
    }
}
