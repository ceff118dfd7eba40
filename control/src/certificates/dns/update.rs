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
    let message = match &server.key {
        Some((name, algorithm, secret)) => {
            let key = Key { name: name.as_str(), algorithm: *algorithm, secret: secret.reveal() };
            message.sign(&key, Timestamp::now().0 / 1000)?
        }
        None => message,
    };
    match exchange(server, &message).await?.code {
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
        let found = exchange(server, &Message::question(number()?, above)?).await?;
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

async fn exchange(server: &DnsServer, message: &Message) -> Result<Answer, String> {
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
    answer(&bytes, message.id()).ok_or_else(|| format!("the DNS server {} answers nonsense", server.address))
}

fn number() -> Result<u16, String> {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(u16::from_be_bytes(bytes))
}
