//! What each transformation costs, printed for whoever works on it; nothing is asserted, since a
//! shared machine keeps no time. Run with
//! `cargo test -p hop3-transformations --test speed -- --ignored --nocapture`.

#![allow(clippy::disallowed_methods, reason = "the engine has no clock; what measures it does")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use hop3_transformations::{ByteClasses, ByteSet, Context, Transformation as T};

/// The lengths measured: a word, a sentence, a form, a document.
const LENGTHS: [usize; 4] = [5, 40, 500, 10_000];

/// Ordinary text of people, with nothing that any decoder decodes.
const PROSE: &str = "the quick brown fox jumps over the lazy dog and then, after a while, it sleeps. ";

/// For each transformation that the Core Rule Set uses a text that it changes again and again.
#[rustfmt::skip]
const CHANGED: &[(T, &str)] = &[
    (T::UrlDecodeUni, "the%20quick+brown%20fox%u0020jumps+over%2c+the+lazy%20dog+and%20then+it+sleeps "),
    (T::UrlDecodeUni, "we need 20% more of the yellow + white ones, or 3% of the brown fox; so be it, then. "),
    (T::UrlDecode, "the%20quick+brown%20fox%20jumps+over%2c+the+lazy%20dog+and%20then+it+sleeps "),
    (T::Lowercase, "The Quick Brown Fox Jumps OVER the lazy Dog and then, After a While, it sleeps. "),
    (T::JsDecode, "the \\x71uick \\u0062rown \\'fox\\' jumps \\\"over\\\" the lazy dog, \\nafter a while. "),
    (T::EscapeSeqDecode, "the \\x71uick \\142rown \\'fox\\' jumps \\\"over\\\" the lazy dog, \\nafter a while. "),
    (T::CssDecode, "the \\71 uick \\62 rown \\'fox\\' jumps \\\"over\\\" the lazy dog, \\n after a while. "),
    (T::HtmlEntityDecode, "the &quot;quick&quot; brown fox &amp; jumps &#x6f;ver the &lt;lazy&gt; dog &#97; "),
    (T::Utf8ToUnicode, "thé quick brøwn fox jumps over the läzy dog and then, after a whíle, it släéps. "),
    (T::RemoveNulls, "the quick\0 brown fox jumps\0 over the lazy dog and then,\0 after a while, it sleeps. "),
    (T::CmdLine, "cat ,;  /etc/pass\"wd\" | \"grep\" 'root' ^; C:\\Windows\\System32\\cmd.exe /c dir, "),
    (T::RemoveWhitespace, PROSE),
    (T::CompressWhitespace, "the quick  brown fox\tjumps over\r\nthe lazy dog   and then,  after a while, it "),
    (T::ReplaceComments, "select/**/password/* from where */from users /*!50000union*/ all select 1, 2, 3 "),
    (T::RemoveComments, "select/**/password/* from where */from users /*!50000union*/ all select 1, 2, 3 "),
    (T::RemoveCommentsChar, "select/**/password/* from where */from users -- union all # select 1, 2, 3 "),
    (T::NormalizePath, "/var/www//html/../html/./index/../a/b/c/d/very/long/path/./to/some/file/name "),
    (T::NormalizePathWin, "\\var\\www\\\\html\\..\\html\\.\\index\\..\\a/b/c/d/very/long/path/./to/some/file "),
    (T::Base64Decode, "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZyBhbmQgdGhlbiwgYWZ0"),
    (T::HexEncode, PROSE),
    (T::Sha1, PROSE),
    (T::Length, PROSE),
    (T::Uppercase, PROSE),
    (T::UrlEncode, PROSE),
    (T::SqlHexDecode, "select 0x414243444546 from users where name = 0x61646d696e and id = 0x31 or 1 "),
    (T::Base64Encode, PROSE),
    (T::HexDecode, "746865717569636b62726f776e666f786a756d70736f7665727468656c617a79646f67616e6474"),
    (T::ReplaceNulls, "the quick\0 brown fox jumps\0 over the lazy dog and then,\0 after a while, it sleeps. "),
];

#[test]
#[ignore = "measures"]
fn transformations() {
    println!("{:20} {:9} {:>9} {:>9} {:>9} {:>9}", "", "", "5 B ns", "40 B ns", "500 B ns", "10 kB MB/s");
    for &(transformation, text) in CHANGED {
        report(transformation, "prose", PROSE);
        report(transformation, "word", "abcdefghijklmnopqrstuvwxyz");
        report(transformation, "changed", text);
    }
}

#[test]
#[ignore = "measures"]
fn byte_sets() {
    let sets: Vec<ByteSet> = T::ALL.iter().map(|transformation| transformation.triggers()).collect();
    let classes = ByteClasses::new(&sets);
    print_row("ByteClasses::present", "prose", |value| {
        black_box(classes.present(value));
    });
    print_row("occurring_in", "prose", |value| {
        black_box(ByteSet::occurring_in(value));
    });
    print_row("and present_in", "prose", |value| {
        black_box(classes.present_in(ByteSet::occurring_in(value)));
    });
}

fn report(transformation: T, kind: &str, text: &str) {
    let mut output = Vec::new();
    let context = Context::default();
    print_row_of(transformation.name(), kind, text, |value| {
        black_box(transformation.apply(value, &mut output, &context));
    });
}

fn print_row(name: &str, kind: &str, work: impl FnMut(&[u8])) {
    print_row_of(name, kind, PROSE, work);
}

fn print_row_of(name: &str, kind: &str, text: &str, mut work: impl FnMut(&[u8])) {
    print!("{name:20} {kind:9}");
    for length in LENGTHS {
        let value: Vec<u8> = text.bytes().cycle().take(length).collect();
        let nanoseconds = least_time(|| work(black_box(&value)));
        if length == 10_000 {
            print!(" {:9.0}", length as f64 * 1e3 / nanoseconds);
        } else {
            print!(" {nanoseconds:9.1}");
        }
    }
    println!();
}

/// Nanoseconds per call, the least of several rounds: others on the machine only ever add.
fn least_time(mut work: impl FnMut()) -> f64 {
    let mut calls = 1_u32;
    let enough = Duration::from_micros(300);
    while time(calls, &mut work) < enough && calls < 1 << 20 {
        calls *= 2;
    }
    let least = (0..12).map(|_| time(calls, &mut work)).min().unwrap_or_default();
    least.as_nanos() as f64 / f64::from(calls)
}

fn time(calls: u32, work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed()
}
