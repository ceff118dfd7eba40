//! The PROXY protocol, versions 1 and 2, as a receiver: who a load balancer says the client is.
//!
//! Follows HAProxy's `proxy-protocol.txt`. Reads exactly the header and no byte of what follows, so that TLS or HTTP
//! can begin behind it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What version 2 starts with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Longest header of version 1, with CR LF.
const MAX_V1: usize = 107;
/// Longest address block of version 2 that is read: addresses and a few extensions.
const MAX_V2: usize = 4096;

/// The two ends that the header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// The address that the client connected to.
    pub destination: SocketAddr,
}

/// Why there is no valid header.
#[derive(Debug, thiserror::Error)]
pub enum ProxyProtocolError {
    /// The connection broke or ended within the header.
    #[error("the connection broke within the PROXY header: {0}")]
    Io(#[from] io::Error),
    /// Something else came.
    #[error("malformed PROXY header")]
    Malformed,
}

/// Reads the header. `None` where the sender speaks for itself (a health check) or does not know the client.
pub async fn read_header<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<Ends>, ProxyProtocolError> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == *SIGNATURE {
        return read_v2(stream).await;
    }
    if !start.starts_with(b"PROXY ") {
        return Err(ProxyProtocolError::Malformed);
    }
    let mut line = start.to_vec();
    // Byte by byte: what follows the line is not ours. Once a connection, for a header of a hundred bytes.
    while !line.ends_with(b"\r\n") {
        if line.len() == MAX_V1 || line.contains(&b'\n') {
            return Err(ProxyProtocolError::Malformed);
        }
        line.push(stream.read_u8().await?);
    }
    parse_v1(&line[..line.len() - 2]).ok_or(ProxyProtocolError::Malformed)
}

/// `PROXY TCP4 source destination source-port destination-port`, or `PROXY UNKNOWN …`.
fn parse_v1(line: &[u8]) -> Option<Option<Ends>> {
    let text = std::str::from_utf8(line).ok()?;
    let mut words = text.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let destination: IpAddr = words.next()?.parse().ok()?;
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then(|| {
        Some(Ends {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        })
    })
}

/// Decimal without sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

async fn read_v2<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Option<Ends>, ProxyProtocolError> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    let [version_and_command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_and_command >> 4 != 2 || length > MAX_V2 {
        return Err(ProxyProtocolError::Malformed);
    }
    let mut block = vec![0; length];
    stream.read_exact(&mut block).await?;
    match version_and_command & 0xf {
        0 => Ok(None),
        1 => parse_v2(family, &block).ok_or(ProxyProtocolError::Malformed),
        _ => Err(ProxyProtocolError::Malformed),
    }
}

/// The addresses of a block; extensions behind them are read over.
fn parse_v2(family: u8, block: &[u8]) -> Option<Option<Ends>> {
    let port = |at: usize| Some(u16::from_be_bytes(block.get(at..at + 2)?.try_into().ok()?));
    match family {
        0x11 => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(block.get(at..at + 4)?).ok()?));
            Some(Some(Ends {
                source: (address(0)?, port(8)?).into(),
                destination: (address(4)?, port(10)?).into(),
            }))
        }
        0x21 => {
            let address =
                |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(block.get(at..at + 16)?).ok()?));
            Some(Some(Ends {
                source: (address(0)?, port(32)?).into(),
                destination: (address(16)?, port(34)?).into(),
            }))
        }
        // Unspecified, datagrams, Unix sockets: a stream whose client has no address.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and how many bytes are left.
    async fn read(mut bytes: &[u8]) -> (Result<Option<Ends>, ProxyProtocolError>, usize) {
        let read = read_header(&mut bytes).await;
        (read, bytes.len())
    }

    fn ends(source: &str, destination: &str) -> Option<Ends> {
        Some(Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
    }

    #[tokio::test]
    async fn version_1() {
        let cases: [(&str, Option<Ends>); 5] = [
            ("PROXY TCP4 1.2.3.4 5.6.7.8 56324 443\r\n", ends("1.2.3.4:56324", "5.6.7.8:443")),
            ("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", ends("[2001:db8::1]:65535", "[::1]:0")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN a b c d\r\n", None),
            (
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
                ends(
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
                ),
            ),
        ];
        for (header, expected) in cases {
            let (found, left) = read(format!("{header}GET /").as_bytes()).await;
            assert_eq!((found.unwrap(), left), (expected, 5), "{header}");
        }
        for header in [
            "GET / HTTP/1.1\r\n\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 ::1 5.6.7.8 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
            "proxy tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4",
            &format!("PROXY UNKNOWN {}\r\n", "a".repeat(100)),
        ] {
            assert!(read(header.as_bytes()).await.0.is_err(), "{header}");
        }
    }

    #[tokio::test]
    async fn version_2() {
        let header = |command: u8, family: u8, block: &[u8]| {
            let fixed = [command, family, (block.len() >> 8) as u8, block.len() as u8];
            [&SIGNATURE[..], &fixed, block, b"GET /"].concat()
        };
        let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0xdc, 0x04, 0x01, 0xbb];
        let v6 =
            [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 15], &[1, 0, 80, 1, 187]]
                .concat();
        let extended = [&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        let cases: [(u8, u8, &[u8], Option<Ends>); 6] = [
            (0x21, 0x11, &v4, ends("1.2.3.4:56324", "5.6.7.8:443")),
            (0x21, 0x11, &extended, ends("1.2.3.4:56324", "5.6.7.8:443")),
            (0x21, 0x21, &v6, ends("[2001:db8::1]:80", "[::1]:443")),
            (0x20, 0x00, &[], None),
            (0x20, 0x11, &v4, None),
            (0x21, 0x31, &[0; 216], None),
        ];
        for (command, family, block, expected) in cases {
            let (found, left) = read(&header(command, family, block)).await;
            assert_eq!((found.unwrap(), left), (expected, 5), "{command:x} {family:x}");
        }
        for bytes in [
            header(0x11, 0x11, &v4),
            header(0x22, 0x11, &v4),
            header(0x21, 0x11, &v4[..11]),
            header(0x21, 0x41, &v4),
            header(0x21, 0x21, &v4),
            header(0x21, 0x11, &[0; 5000]),
            SIGNATURE.to_vec(),
        ] {
            assert!(read(&bytes).await.0.is_err(), "{}", bytes[..16.min(bytes.len())].escape_ascii());
        }
    }
}
