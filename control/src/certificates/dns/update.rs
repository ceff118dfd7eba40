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
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let mut rest = name.as_str();
    while let Some((_, above)) = rest.split_once('.') {
        let (found, _) = exchange(server, &Message::question(number()?, above)?).await?;
        // An alias (CNAME) is answered with the zone of what it leads to, which does not hold our name.
        let holds = |zone: &String| {
            let outside = above.strip_suffix(zone.as_str());
            !zone.is_empty() && outside.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if let (Some(zone), 0 | 3) = (found.zone.filter(holds), found.code) {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A name as it stands in a message.
    fn wire(name: &str) -> Vec<u8> {
        let labels = name.split('.').filter(|label| !label.is_empty());
        let mut bytes: Vec<u8> = labels
            .flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat())
            .collect();
        bytes.push(0);
        bytes
    }

    fn record(owner: &str, kind: u8, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap().to_be_bytes();
        [&wire(owner)[..], &[0, kind, 0, 1, 0, 0, 0, 60], &length, data].concat()
    }

    /// The primary of `a.org` and `b.org`, where `www.a.org` and `deep.www.a.org` are other names of `b.org`.
    fn primary(question: &[u8]) -> Vec<u8> {
        const CNAME: u8 = 5;
        const SOA: u8 = 6;
        let name_end = question.len() - 4;
        let asked = |name: &str| question[12..name_end].eq_ignore_ascii_case(&wire(name));
        let alias = ["www.a.org", "deep.www.a.org"].into_iter().find(|name| asked(name));
        let (code, answers, authorities) = match alias {
            Some(alias) => (0, vec![record(alias, CNAME, &wire("b.org")), record("b.org", SOA, b"")], vec![]),
            None if asked("a.org") => (0, vec![record("a.org", SOA, b"")], vec![]),
            // Of names that are not there the zone is told beside the answer.
            None if asked("mail.a.org") => (3, vec![], vec![record("a.org", SOA, b"")]),
            None => (5, vec![], vec![]),
        };
        let counts = [1, answers.len(), authorities.len(), 0];
        let mut bytes = [&question[..2], &[0x84, code]].concat();
        counts.iter().for_each(|count| bytes.extend(u16::try_from(*count).unwrap().to_be_bytes()));
        bytes.extend(&question[12..]);
        bytes.extend([answers, authorities].concat().concat());
        bytes
    }

    async fn served() -> DnsServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut question).await.unwrap();
                let answer = primary(&question);
                stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        DnsServer { address, zone: None, key: None }
    }

    #[tokio::test]
    async fn the_zone_of_a_name_is_above_it_also_where_it_is_an_alias() {
        let server = served().await;
        for name in ["a.org", "mail.a.org", "www.a.org.", "deep.www.a.org", "WWW.a.org"] {
            let zone = find_zone(&server, &format!("_acme-challenge.{name}")).await;
            assert_eq!(zone.as_deref(), Ok("a.org"), "{name}");
        }
        let foreign = find_zone(&server, "_acme-challenge.www.c.org").await.unwrap_err();
        assert!(foreign.contains("[server.acme.dns] zone"), "{foreign}");
    }
}
