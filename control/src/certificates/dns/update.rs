//! Updating a zone on its primary server (RFC 2136), over TCP.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Record;
use super::message::{Answer, Key, Message, answer, code_name};
use crate::model::Timestamp;
use crate::settings::DnsServer;

/// Time for one exchange with the server.
const LIMIT: Duration = Duration::from_secs(15);

/// What is done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Put it beside others of the same name.
    Add,
    /// Take this one away.
    Remove,
}

/// Performs one change.
pub(super) async fn change(server: &DnsServer, change: Change, record: &Record) -> Result<(), String> {
    let zone = match &server.zone {
        Some(zone) => zone.as_str().to_owned(),
        None => find_zone(server, &record.name).await?,
    };
    let message = Message::update(number()?, &zone, &record.name, &record.value, change == Change::Add)?;
    let now = || Timestamp::now().0 / 1000;
    let key = server.key.as_ref().map(|(name, algorithm, secret)| Key {
        name: name.as_str(),
        algorithm: *algorithm,
        secret: secret.reveal(),
    });
    let message = match &key {
        Some(key) => message.sign(key, now())?,
        None => message,
    };
    let (answer, bytes) = exchange(server, &message).await?;
    match answer.code {
        0 if key.is_some_and(|key| !message.is_answered_by(&bytes, &key, now())) => Err(format!(
            "the DNS server {} says that it updated zone `{zone}`, without the signature of the key",
            server.address
        )),
        0 => Ok(()),
        code => Err(format!(
            "the DNS server {} did not update zone `{zone}`: {} (code {code})",
            server.address,
            code_name(code)
        )),
    }
}

/// The nearest zone above a name that the server answers for.
async fn find_zone(server: &DnsServer, name: &str) -> Result<String, String> {
    let mut rest = name.trim_end_matches('.');
    while let Some((_, above)) = rest.split_once('.') {
        let (found, _) = exchange(server, &Message::question(number()?, above)?).await?;
        if let (Some(zone), 0 | 3) = (found.zone, found.code)
            && (found.authoritative || above == zone || above.ends_with(&format!(".{zone}")))
            && !zone.is_empty()
        {
            return Ok(zone);
        }
        rest = above;
    }
    Err(format!(
        "the DNS server {} knows no zone of `{name}`; name it: [server.acme.dns] zone",
        server.address
    ))
}

/// What a server answers: read, and as it came.
async fn exchange(server: &DnsServer, message: &Message) -> Result<(Answer, Vec<u8>), String> {
    let exchange = async {
        let mut stream = TcpStream::connect(server.address.as_str()).await?;
        stream.write_all(&message.framed()).await?;
        let length = stream.read_u16().await?;
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await?;
        Ok::<_, std::io::Error>(bytes)
    };
    let bytes = tokio::time::timeout(LIMIT, exchange)
        .await
        .map_err(|_| format!("the DNS server {} does not answer", server.address))?
        .map_err(|error| format!("the DNS server {} does not answer: {error}", server.address))?;
    let answer = answer(&bytes, message.id());
    let answer = answer.ok_or_else(|| format!("the DNS server {} answers nonsense", server.address))?;
    Ok((answer, bytes))
}

fn number() -> Result<u16, String> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(u16::from_be_bytes(bytes))
}
