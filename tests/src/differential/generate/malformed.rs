//! Bodies that their processor cannot read, or can read in two ways.

use crate::ftw::request::Request;

use super::body;
use super::dice::Dice;
use super::{benign, mutate, payloads};

/// A request whose body is broken.
pub(super) fn request(dice: &mut Dice) -> Request {
    let mut fields = benign::fields(dice);
    if dice.percent(40) {
        let (_, class) = dice.pick(payloads::CLASSES);
        let payload = dice.pick(class).as_bytes().to_vec();
        fields.push((dice.name().into_bytes(), payload));
    }
    match dice.below(8) {
        0 => form(dice, &fields),
        1..3 => json(dice, &fields),
        3 => xml(dice, &fields),
        4..7 => multipart(dice, &fields),
        _ => confused(dice, &fields),
    }
}

fn post(kind: &str, bytes: Vec<u8>) -> Request {
    body::request("POST", b"/api/save".to_vec(), Some((kind.to_owned(), bytes)))
}

fn form(dice: &mut Dice, fields: &body::Fields) -> Request {
    const ENDS: &[&[u8]] = &[
        b"%",
        b"%4",
        b"%zz",
        b"&&&",
        b"&=",
        b"&a",
        b"\x00",
        b"\r\n",
        b"\xff",
        b"&a[=1",
        b"&=b&=c",
        b"%u",
        b"%u004",
        b";x=1",
        b"&a=%u0041",
    ];
    let (kind, bytes) = body::form(fields);
    post(&kind, [&bytes[..], *dice.pick(ENDS)].concat())
}

fn json(dice: &mut Dice, fields: &body::Fields) -> Request {
    const WHOLE: &[&[u8]] = &[
        b"",
        b" ",
        b"null",
        b"1",
        b"\"text\"",
        b"[",
        b"{",
        b"{}",
        b"[]",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{a:1}",
        b"{'a':1}",
        b"[1,]",
        b"{\"a\":1,}",
        b"[1 2]",
        b"{\"a\":1}{\"b\":2}",
        b"{\"a\":1} x",
        b"NaN",
        b"[01]",
        b"[1e]",
        b"[-]",
        b"[tru]",
        b"\"\\x41\"",
        b"\"\\ud800\"",
        b"[\"\\u12\"]",
        b"\"a\nb\"",
        b"\xef\xbb\xbf{\"a\":1}",
        b"{\"a\":1,\"a\":2}",
        b"{\"\":1}",
        b"[[[[[[1]]]]]]",
        b"/* c */ {\"a\":1}",
        b"{\"a\":\"\\u0000x\"}",
        b"[1e999]",
        b"{\"a\":\"\xff\"}",
        b"[\"\\ud83d\\ude00\"]",
        b"[1.0, 1E+2, -0]",
        b"{\"a\":{\"b\":[{\"c\":\"d\"}]}}",
        b"true false",
        b"[\"a\"]]",
        b"\x00",
        b"{\"a\\u002eb\":1}",
        b"[\"tab\tin\"]",
        b"[9007199254740993]",
    ];
    let (kind, mut bytes) = body::json(dice, fields);
    match dice.below(4) {
        0 | 1 => bytes = dice.pick(WHOLE).to_vec(),
        2 => bytes.truncate(dice.below(bytes.len().max(1))),
        _ => {
            let at = dice.below(bytes.len().max(1));
            bytes[at] = *dice.pick(b"\"{}[]:,\\\x00\x01 x\xff");
        }
    }
    post(&kind, bytes)
}

fn xml(dice: &mut Dice, fields: &body::Fields) -> Request {
    const WHOLE: &[&[u8]] = &[
        b"",
        b"text",
        b"<a>",
        b"<a></b>",
        b"<a b></a>",
        b"<a b=c/>",
        b"<a>&nope;</a>",
        b"<a>&#0;</a>",
        b"<a/><b/>",
        b"<?xml version=\"1.0\"?>",
        b"<a><![CDATA[<script>]]></a>",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
        b"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
        b"<a>\xff</a>",
        b" <?xml version=\"1.0\"?><a/>",
        b"<a xmlns:n=\"urn:x\"><n:b n:c=\"' or 1=1 --\">d</n:b></a>",
        b"<n:a/>",
        b"<a b=\"1\" b=\"2\"/>",
        b"<a>&#x3c;script&#x3e;</a>",
        b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe4</a>",
        b"<!-- only -->",
        b"<a><!-- -- --></a>",
        b"<a/>tail",
        b"<a>1<b>2</b>3</a>",
        b"<a\n\tb='x'\n/>",
        b"\xef\xbb\xbf<a>x</a>",
        b"<a><?php echo 1; ?></a>",
        b"<a b='<'/>",
    ];
    let (kind, mut bytes) = body::xml(dice, fields);
    match dice.below(3) {
        0 | 1 => bytes = dice.pick(WHOLE).to_vec(),
        _ => bytes.truncate(dice.below(bytes.len().max(1))),
    }
    post(&kind, bytes)
}

/// Ways to break a multipart body: a text and what stands in its place.
const SURGERY: &[(&str, &str)] = &[
    ("\r\n", "\n"),
    ("Content-Disposition", "content-disposition"),
    ("Content-Disposition", "Content-Dispositionx"),
    ("form-data", "attachment"),
    ("form-data; ", "form-data "),
    ("name=\"", "name='"),
    ("name=\"", "name="),
    ("name=\"", "name=\"\\\""),
    ("name=\"", "name=\"x\"; name=\""),
    ("name=\"", "Name=\""),
    ("; name", ";name"),
    ("; name", ";; name"),
    ("\"\r\n\r\n", "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
    ("\"\r\n\r\n", "\"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n"),
    ("\"\r\n\r\n", "\";\r\n\r\n"),
    ("\"\r\n\r\n", "\"\r\n folded\r\n\r\n"),
    ("\"\r\n\r\n", "\"\r\nno colon\r\n\r\n"),
    ("\"\r\n\r\n", "\"\r\n: empty\r\n\r\n"),
    ("\"\r\n\r\n", "\" \r\n\r\n"),
    ("\r\n\r\n", "\r\n"),
    ("--\r\n", "\r\n"),
    ("--\r\n", "--"),
    ("--\r\n", "--\r\nafter"),
    ("--\r\n", "--x\r\n"),
    ("------Form", "-----Form"),
    ("------Form", "before\r\n------Form"),
    ("------Form", "------form"),
    ("filename=\"", "filename*=utf-8''"),
    ("filename=\"", "filename=\"a\"; filename=\""),
    ("filename=\"", "filename=\"a.php;"),
    ("\"; filename", "\" filename"),
    ("name=\"", "name=\"a'b\"c"),
    ("\"\r\n", "\"\r\n\x00"),
];

const BOUNDARIES: &[(&str, &str)] = &[
    ("boundary=", "boundary=\""),
    ("boundary=", "boundary= "),
    ("boundary=", "boundary ="),
    ("boundary=", "Boundary="),
    ("boundary=", "boundary=x; boundary="),
    ("boundary=", "bound="),
    ("; boundary", ", boundary"),
    ("; boundary", ";boundary"),
    ("; boundary", "; charset=utf-8; boundary"),
    ("multipart/form-data", "Multipart/Form-Data"),
    ("multipart/form-data", "multipart/form-data x"),
];

fn multipart(dice: &mut Dice, fields: &body::Fields) -> Request {
    let file = (
        b"file".to_vec(),
        dice.pick(&["a.txt", "shell.php", "a'b.txt", "..\\x"]).as_bytes().to_vec(),
        "text/plain",
        b"content".to_vec(),
    );
    let files = if dice.percent(60) { vec![file] } else { Vec::new() };
    let (mut kind, mut bytes) = body::multipart(dice, fields, &files);
    if dice.percent(25) {
        let (from, to) = *dice.pick(BOUNDARIES);
        kind = kind.replacen(from, to, 1);
    } else {
        let (from, to) = *dice.pick(SURGERY);
        let limit = if dice.percent(50) { 1 } else { usize::MAX };
        bytes = replace(&bytes, from.as_bytes(), to.as_bytes(), limit);
    }
    if dice.percent(10) {
        bytes.truncate(dice.below(bytes.len().max(1)));
    }
    post(&kind, bytes)
}

/// A body of one kind under the type of another.
fn confused(dice: &mut Dice, fields: &body::Fields) -> Request {
    let (_, bytes) = match dice.below(4) {
        0 => body::form(fields),
        1 => body::json(dice, fields),
        2 => body::xml(dice, fields),
        _ => body::multipart(dice, fields, &[]),
    };
    let kind = *dice.pick(&[
        "application/json",
        "text/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
    ]);
    let bytes = if dice.percent(20) { mutate::some(dice, bytes) } else { bytes };
    post(kind, bytes)
}

fn replace(text: &[u8], from: &[u8], to: &[u8], limit: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut rest, mut left) = (text, limit);
    while let Some((&byte, after)) = rest.split_first() {
        match rest.strip_prefix(from) {
            Some(tail) if left > 0 => {
                out.extend_from_slice(to);
                rest = tail;
                left -= 1;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    out
}
