//! What an old and a new server process say to each other while one takes the other's place.
//!
//! The new process is started with one end of a stream as its standard input. Lines of JSON travel on it, and once the
//! listening sockets:
//!
//! ```text
//! new: hello         my configuration is sound
//! old: take          the store, the lock and the apps are free; the sockets follow
//! new: serving       I accept clients          (or: failed, and the old process takes everything back)
//! old: events        what the firewall still saw while the last requests ended; then the end of the stream
//! ```

use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use hop3_proxy::Purpose;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::passed::{Door, Role};
use crate::failure::Failure;
use crate::model::FirewallEvent;

/// Set for a new process: the predecessor's process id.
pub const PREDECESSOR: &str = "HOP3_PREDECESSOR";
/// Longest line, so that a stranger's stream cannot fill the memory.
const LONGEST_LINE: usize = 16 << 20;

/// What the new process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromNew {
    /// The configuration is sound; nothing was touched yet.
    Hello {
        /// Its version.
        version: String,
    },
    /// It accepts clients.
    Serving,
    /// It gives up.
    Failed(Failure),
}

/// What the old process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromOld {
    /// The sockets follow in this order.
    Take(Vec<Handed>),
    /// To be kept in the store.
    Events(Vec<FirewallEvent>),
}

/// What a socket that follows is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    purpose: Word,
    configured: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Http,
    Https,
    Admin,
}

impl From<&Door> for Handed {
    fn from(door: &Door) -> Handed {
        let purpose = match door.purpose {
            Purpose::Http => Word::Http,
            Purpose::Https => Word::Https,
            Purpose::Admin => Word::Admin,
        };
        Handed { purpose, configured: door.configured }
    }
}

impl Handed {
    /// What the new process uses it for.
    pub fn role(self) -> Role {
        let purpose = match self.purpose {
            Word::Http => Purpose::Http,
            Word::Https => Purpose::Https,
            Word::Admin => Purpose::Admin,
        };
        match self.configured {
            Some(address) => Role::Configured(purpose, address),
            None => Role::All(purpose),
        }
    }
}

/// Writes a line.
///
/// # Errors
/// The other process is gone.
pub fn say(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Reads a line of a stream on which no more sockets travel. `None` at its end.
///
/// # Errors
/// The stream is broken, or the line is none of ours.
pub fn hear_on<T: DeserializeOwned>(stream: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    stream.take(LONGEST_LINE as u64).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(serde_json::from_slice(&line)?)),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the line does not end")),
    }
}

/// Reads a line and not a byte more, since sockets may travel beside the next one. `None` at the end of the stream.
///
/// # Errors
/// The stream's timeout is over, or the line is none of ours.
pub fn hear<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) if byte[0] == b'\n' => return Ok(Some(serde_json::from_slice(&line)?)),
            Ok(_) if line.len() < LONGEST_LINE => line.push(byte[0]),
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the line does not end")),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_to_their_end_and_no_further() {
        let (here, there) = UnixStream::pair().unwrap();
        let door =
            Door { purpose: Purpose::Https, configured: None, address: "127.0.0.1:1".parse().unwrap() };
        let take = FromOld::Take(vec![Handed::from(&door)]);
        say(&here, &take).unwrap();
        say(&here, &FromNew::Serving).unwrap();
        assert_eq!(hear::<FromOld>(&there).unwrap(), Some(take));
        assert_eq!(hear::<FromNew>(&there).unwrap(), Some(FromNew::Serving));
        (&here).write_all(b"{}\n").unwrap();
        assert!(hear::<FromNew>(&there).is_err());
        drop(here);
        assert_eq!(hear::<FromNew>(&there).unwrap(), None);
        assert_eq!(Handed::from(&door).role(), Role::All(Purpose::Https));
    }
}
