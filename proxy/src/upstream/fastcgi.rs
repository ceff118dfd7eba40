//! FastCGI (specification 1.0): requests as records, which file answers them, and what an application may not do.
//!
//! One request at a time on a connection (`FCGI_MPXS_CONNS` is what nobody implements), connections kept
//! (`FCGI_KEEP_CONN`) as long as the application keeps them.

mod reply;
mod script;

use bytes::{BufMut, BytesMut};

pub use reply::Reply;
pub use script::{FastCgi, ScriptFiles};

use crate::upstream::cgi::{Script, variables};
use crate::upstream::http::ForwardedRequest;

/// `FCGI_VERSION_1`.
const VERSION: u8 = 1;
/// The id of the only request on a connection.
const REQUEST: u16 = 1;
/// Most content of one record that is a multiple of eight, so that nothing is padded.
pub const MAX_CONTENT: usize = 65_528;
/// Most bytes of parameters.
const MAX_PARAMETERS: usize = 256 * 1024;

/// Record types (section 8).
mod kind {
    pub const BEGIN_REQUEST: u8 = 1;
    pub const END_REQUEST: u8 = 3;
    pub const PARAMS: u8 = 4;
    pub const STDIN: u8 = 5;
    pub const STDOUT: u8 = 6;
    pub const STDERR: u8 = 7;
}

/// An answer that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FastCgiError {
    /// A version, type or request id that cannot stand there.
    #[error("malformed FastCGI record")]
    Record,
    /// The head is larger than 64 KiB.
    #[error("the head of the FastCGI answer is too large")]
    HeadTooLarge,
    /// The request ended before its head was complete.
    #[error("the FastCGI application ended without an answer")]
    NoAnswer,
    /// The application refused (`FCGI_OVERLOADED`, `FCGI_CANT_MPX_CONN`, `FCGI_UNKNOWN_ROLE`).
    #[error("the FastCGI application refused the request (protocol status {0})")]
    Refused(u8),
    /// The body is longer or shorter than its `Content-Length`.
    #[error("the FastCGI answer's body does not have the announced length")]
    Length,
    /// A malformed header line or `Status`.
    #[error("malformed head of the FastCGI answer")]
    Head,
}

/// A request head that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request head does not fit into 256 KiB of FastCGI parameters")]
pub struct ParametersTooLarge;

/// The records before the body: begin, parameters, end of parameters.
pub fn head(request: &ForwardedRequest, script: Option<&Script>) -> Result<BytesMut, ParametersTooLarge> {
    let mut parameters = BytesMut::with_capacity(2048);
    variables(request, script, |name, value| {
        if parameters.len() + name.len() + value.len() > MAX_PARAMETERS {
            return Err(ParametersTooLarge);
        }
        put_length(&mut parameters, name.len());
        put_length(&mut parameters, value.len());
        parameters.put_slice(name);
        parameters.put_slice(value);
        Ok(())
    })?;
    let mut head = BytesMut::with_capacity(parameters.len() + 64);
    put_header(&mut head, kind::BEGIN_REQUEST, 8);
    // Role FCGI_RESPONDER, flag FCGI_KEEP_CONN.
    head.put_slice(&[0, 1, 1, 0, 0, 0, 0, 0]);
    for content in parameters.chunks(MAX_CONTENT) {
        put_header(&mut head, kind::PARAMS, content.len());
        head.put_slice(content);
    }
    put_header(&mut head, kind::PARAMS, 0);
    Ok(head)
}

/// The header of a record of the body; length 0 ends it. `length` is at most [`MAX_CONTENT`].
pub fn put_stdin(out: &mut BytesMut, length: usize) {
    put_header(out, kind::STDIN, length);
}

fn put_header(out: &mut BytesMut, kind: u8, length: usize) {
    out.put_slice(&[VERSION, kind]);
    out.put_u16(REQUEST);
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
    out.put_slice(&[0, 0]);
}

/// One byte up to 127, else four with the highest bit set.
fn put_length(out: &mut BytesMut, length: usize) {
    match u8::try_from(length) {
        Ok(short @ 0..=127) => out.put_u8(short),
        _ => out.put_u32(u32::try_from(length).unwrap_or(u32::MAX) | 0x8000_0000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::cgi::tests::request;

    #[test]
    fn records_are_well_formed_and_hold_every_parameter() {
        let mut request = request();
        request.headers.push("X-Long", "v".repeat(70_000));
        let head = head(&request, None).unwrap();
        let (mut rest, mut kinds, mut parameters) = (&head[..], Vec::new(), Vec::new());
        while let Some((header, after)) = rest.split_first_chunk::<8>() {
            let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
            assert_eq!((header[0], header[2], header[3], header[6]), (1, 0, 1, 0));
            kinds.push(header[1]);
            if header[1] == kind::PARAMS {
                parameters.extend_from_slice(&after[..length]);
            }
            rest = &after[length..];
        }
        assert_eq!(kinds, [1, 4, 4, 4]);
        assert!(rest.is_empty());
        let method = b"\x0e\x04REQUEST_METHODPOST";
        assert!(parameters.windows(method.len()).any(|window| window == method));
        let long = [b"\x0b\x80\x01\x11\x70HTTP_X_LONG".as_slice(), b"vvv"].concat();
        assert!(parameters.windows(long.len()).any(|window| window == long));
        request.headers.push("X-Longer", "v".repeat(300_000));
        assert_eq!(super::head(&request, None), Err(ParametersTooLarge));
    }
}
