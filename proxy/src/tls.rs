//! TLS towards clients: rustls with the ring provider, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.
//!
//! The ClientHello decides how a handshake goes on: a probe of an authority is answered and ends, hosts whose routes
//! ask for client certificates get a configuration of their own, all others the common one.

pub mod client_certificates;
pub mod key_proof;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use self::client_certificates::{ClientAuthority, ClientCertificate, ClientCertificates};
use crate::acme::{self, Challenges};
use crate::certificates::Certificates;
use crate::config::{MinVersion, TlsOptions};
use crate::hosts::ByHost;
use crate::route::RouteTable;

/// The server's side of all handshakes.
#[derive(Debug)]
pub struct Handshakes {
    certificates: Arc<Certificates>,
    challenges: Arc<Challenges>,
    options: TlsOptions,
    /// For hosts that ask for no client certificate.
    common: Arc<ServerConfig>,
    /// All others.
    asking: ArcSwap<AskingHosts>,
}

/// Which hosts ask for client certificates.
#[derive(Debug, Default)]
struct AskingHosts {
    /// By host pattern; empty when none asks. A host that does not is in it too, so that no wildcard's request reaches it.
    by_host: ByHost<Option<Arc<Asking>>>,
    /// Where the client names no host: it may want one that is an address, or `*`.
    nameless: Option<Arc<Asking>>,
}

/// How the hosts of some routes ask for client certificates.
#[derive(Debug)]
struct Asking {
    authorities: Vec<Arc<ClientAuthority>>,
    config: Arc<ServerConfig>,
}

/// A finished handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Box<TlsStream<TcpStream>>,
    /// The name the client asked for, in lower case.
    pub server_name: Option<Arc<str>>,
    /// Whether HTTP/2 was agreed.
    pub http2: bool,
    /// The certificate the client has shown.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// Whether it was asked for one.
    pub asked_for_certificate: bool,
}

/// How a handshake ended.
#[derive(Debug)]
pub enum Handshake {
    /// Requests may come.
    Accepted(Accepted),
    /// It was an authority's probe; there is nothing more to do.
    Probe,
    /// It failed or took too long.
    Failed,
}

impl Handshakes {
    /// Handshakes with these certificates and proofs.
    pub fn new(
        certificates: Arc<Certificates>,
        challenges: Arc<Challenges>,
        options: TlsOptions,
    ) -> Result<Self, rustls::Error> {
        let common = Arc::new(config(&certificates, options, None)?);
        Ok(Self { certificates, challenges, options, common, asking: ArcSwap::default() })
    }

    /// Takes over which hosts ask for client certificates. What did not change keeps its configuration, and with it
    /// the sessions that clients may resume.
    pub fn provide(&self, table: &RouteTable) {
        let known = self.asking.load();
        let mut wanted: ByHost<Vec<Arc<ClientAuthority>>> = ByHost::default();
        let mut nameless = Vec::new();
        for route in table.routes() {
            let asked = route.tls.client_certificates.as_ref();
            for host in &route.hosts {
                let authorities = wanted.entry(host);
                let Some(ClientCertificates { authority, .. }) = asked else { continue };
                add(authorities, authority);
                if host.is_nameless() {
                    add(&mut nameless, authority);
                }
            }
        }
        if wanted.values().all(Vec::is_empty) {
            return self.asking.store(Arc::default());
        }
        let mut made: Vec<Arc<Asking>> =
            known.by_host.values().chain([&known.nameless]).flatten().cloned().collect();
        let mut make = |host: &str, authorities: Vec<Arc<ClientAuthority>>| {
            if authorities.is_empty() {
                return None;
            }
            if let Some(kept) = made.iter().find(|kept| kept.authorities == authorities) {
                return Some(kept.clone());
            }
            match self.asking(authorities) {
                Ok(fresh) => {
                    made.push(fresh.clone());
                    Some(fresh)
                }
                // The route still refuses who shows no certificate, which is then everybody.
                Err(error) => {
                    tracing::error!(%host, %error, "cannot ask for client certificates");
                    None
                }
            }
        };
        let nameless = make("addresses", nameless);
        let by_host = wanted.map(|host, authorities| make(&host.to_string(), authorities));
        self.asking.store(Arc::new(AskingHosts { by_host, nameless }));
    }

    fn asking(&self, authorities: Vec<Arc<ClientAuthority>>) -> Result<Arc<Asking>, String> {
        let all = ClientAuthority::union(authorities.iter().map(AsRef::as_ref))?;
        let config =
            config(&self.certificates, self.options, Some(&all)).map_err(|error| error.to_string())?;
        Ok(Arc::new(Asking { authorities, config: Arc::new(config) }))
    }

    /// Runs a handshake within the time limit.
    pub async fn accept(&self, stream: TcpStream, limit: Duration) -> Handshake {
        match tokio::time::timeout(limit, self.shake_hands(stream)).await {
            Ok(Ok(handshake)) => handshake,
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                Handshake::Failed
            }
            Err(_) => {
                tracing::debug!("TLS handshake timed out");
                Handshake::Failed
            }
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<Handshake> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        if is_probe(&hello) {
            let config = hello.server_name().and_then(|name| self.challenges.tls_alpn(name));
            let config =
                config.ok_or_else(|| io::Error::other("an ACME probe of a host without a challenge"))?;
            start.into_stream(config).await?.shutdown().await?;
            return Ok(Handshake::Probe);
        }
        let asking = self.asking.load().find(hello.server_name());
        let config = asking.as_ref().map_or(&self.common, |asking| &asking.config).clone();
        let stream = start.into_stream(config).await?;
        let (_, session) = stream.get_ref();
        let server_name = session.server_name().map(|name| name.to_ascii_lowercase().into());
        let http2 = session.alpn_protocol() == Some(b"h2");
        let asked_for_certificate = asking.is_some();
        let client_certificate = asking.and_then(|asking| {
            ClientCertificate::judge(session.peer_certificates()?, &asking.authorities).map(Arc::new)
        });
        let stream = Box::new(stream);
        let accepted = Accepted { stream, server_name, http2, client_certificate, asked_for_certificate };
        Ok(Handshake::Accepted(accepted))
    }
}

impl AskingHosts {
    /// As routes are found.
    fn find(&self, name: Option<&str>) -> Option<Arc<Asking>> {
        match name {
            None => self.nameless.clone(),
            Some(name) => self.by_host.find(&name.to_ascii_lowercase()).cloned().flatten(),
        }
    }
}

fn add(authorities: &mut Vec<Arc<ClientAuthority>>, authority: &Arc<ClientAuthority>) {
    if !authorities.contains(authority) {
        authorities.push(authority.clone());
    }
}

fn is_probe(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == acme::ALPN))
}

/// A configuration; sessions are resumed only under the one they began with.
fn config(
    certificates: &Arc<Certificates>,
    options: TlsOptions,
    authority: Option<&ClientAuthority>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match options.min_version {
        MinVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        MinVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions)?;
    let builder = match authority {
        None => builder.with_no_client_auth(),
        Some(authority) => builder.with_client_cert_verifier(authority.verifier()),
    };
    let mut config = builder.with_cert_resolver(certificates.clone());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    // The order of suites is ours. All are strong; clients with odd preferences get no say in which is used.
    config.ignore_client_order = true;
    Ok(config)
}
