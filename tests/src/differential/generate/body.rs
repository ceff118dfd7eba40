//! Well-formed bodies of each kind, and the request that carries one.

use crate::ftw::request::Request;

use super::dice::Dice;
use super::mutate;

/// A type and the bytes.
pub(super) type Body = (String, Vec<u8>);

/// Names and values.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A file of an upload: field, file name, type, content.
pub(super) type File = (Vec<u8>, Vec<u8>, &'static str, Vec<u8>);

pub(super) fn form(fields: &Fields) -> Body {
    ("application/x-www-form-urlencoded".to_owned(), query(fields))
}

/// A query string.
pub(super) fn query(fields: &Fields) -> Vec<u8> {
    let pairs =
        fields.iter().map(|(name, value)| [&mutate::encode(name)[..], b"=", &mutate::encode(value)].concat());
    pairs.collect::<Vec<_>>().join(&b'&')
}

/// A JSON document of one of several shapes.
pub(super) fn json(dice: &mut Dice, fields: &Fields) -> Body {
    let members =
        fields.iter().map(|(name, value)| [&mutate::json(name)[..], b":", &mutate::json(value)].concat());
    let values: Vec<_> = fields.iter().map(|(_, value)| mutate::json(value)).collect();
    let object = [b"{", &members.collect::<Vec<_>>().join(&b',')[..], b"}"].concat();
    let document = match dice.below(7) {
        0 => [b"[", &values.join(&b',')[..], b"]"].concat(),
        1 => [b"{\"items\":[", &object[..], b",1,true,null,-2.5e3]}"].concat(),
        2 => [b"[{\"a\":[[", &values.join(&b',')[..], b"],{}]},[]]"].concat(),
        3 => [b"{\"data\":{\"user\":", &object[..], b",\"ok\":false}}"].concat(),
        _ => object,
    };
    let kind = *dice.pick(&[
        "application/json",
        "application/json",
        "application/json; charset=utf-8",
        "application/JSON",
    ]);
    (kind.to_owned(), document)
}

pub(super) fn xml(dice: &mut Dice, fields: &Fields) -> Body {
    let mut out =
        if dice.percent(70) { b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec() } else { Vec::new() };
    out.extend_from_slice(b"<doc>");
    for (name, value) in fields {
        let name: Vec<u8> = name.iter().copied().filter(u8::is_ascii_alphanumeric).collect();
        let value = mutate::xml(value);
        match dice.below(4) {
            0 => out.extend([b"<p a", &name[..], b"=\"", &value, b"\"/>"].concat()),
            1 => {
                out.extend([b"<p><!-- c --><x", &name[..], b"> ", &value, b" </x", &name, b"></p>"].concat())
            }
            _ => out.extend([b"<x", &name[..], b">", &value, b"</x", &name, b">"].concat()),
        }
    }
    out.extend_from_slice(b"</doc>");
    let kind = *dice.pick(&[
        "text/xml",
        "application/xml",
        "application/soap+xml; charset=utf-8",
        "text/xml; charset=UTF-8",
    ]);
    (kind.to_owned(), out)
}

pub(super) fn multipart(dice: &mut Dice, fields: &Fields, files: &[File]) -> Body {
    let boundary = format!("----Form{}", dice.name());
    let mut out = Vec::new();
    for (name, value) in fields {
        out.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"").into_bytes());
        out.extend_from_slice(&quoted(name));
        out.extend_from_slice(b"\"\r\n");
        if dice.percent(10) {
            out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    for (name, file, kind, content) in files {
        out.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"").into_bytes());
        out.extend_from_slice(&quoted(name));
        out.extend_from_slice(b"\"; filename=\"");
        out.extend_from_slice(&quoted(file));
        out.extend(format!("\"\r\nContent-Type: {kind}\r\n\r\n").into_bytes());
        out.extend_from_slice(content);
        out.extend_from_slice(b"\r\n");
    }
    out.extend(format!("--{boundary}--\r\n").into_bytes());
    (format!("multipart/form-data; boundary={boundary}"), out)
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\r' | b'\n' | 0 => out.push(b' '),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ => out.push(byte),
        }
    }
    out
}

/// A request as browsers send it, with a body when there is one.
pub(super) fn request(method: &str, target: Vec<u8>, body: Option<Body>) -> Request {
    let mut request = Request {
        method: method.into(),
        target,
        protocol: b"HTTP/1.1".to_vec(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    set(&mut request, "Host", b"shop.example");
    set(
        &mut request,
        "User-Agent",
        b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    );
    set(&mut request, "Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    set(&mut request, "Accept-Language", b"en-GB,en;q=0.5");
    if let Some((kind, bytes)) = body {
        set(&mut request, "Content-Type", kind.as_bytes());
        set(&mut request, "Content-Length", bytes.len().to_string().as_bytes());
        request.body = bytes;
    }
    request
}

/// Sets a header, in the place of one that is there.
pub(super) fn set(request: &mut Request, name: &str, value: &[u8]) {
    remove(request, name);
    request.headers.push((name.into(), value.to_vec()));
}

/// Removes all headers of a name.
pub(super) fn remove(request: &mut Request, name: &str) {
    request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
}
