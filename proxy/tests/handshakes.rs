//! What happens in and right after a TLS handshake: resumption, probes of an authority, client certificates,
//! HSTS, unknown names, certificates that change under open connections.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::sync::Arc;

use hop3_proxy::{
    CertificateFacts, CertificateOrigin, CertificatePem, ClientAuthority, ClientCertificates, HttpsRedirect,
    MinVersion, ProxyConfig, Route, TlsOptions, UnknownNames,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion};
use support::{Reply, TestProxy, backend, ok, response, start, start_with, to};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Believes every server, also one that proves itself to an authority: such a certificate has an extension that a proof
/// of the key would refuse to read past.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
    identity: Option<&Identity>,
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivatePkcs8KeyDer::from(identity.key.serialize_der());
            builder.with_client_auth_cert(vec![identity.certificate.clone()], key.into()).unwrap()
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

fn plain_client() -> Arc<ClientConfig> {
    client(rustls::ALL_VERSIONS, &[], None)
}

async fn connect(
    proxy: &TestProxy,
    name: &str,
    config: &Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(proxy.https).await?;
    TlsConnector::from(config.clone()).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
}

/// Asks for `/` and reads the whole answer.
async fn ask(stream: &mut TlsStream<TcpStream>, host: &str, fields: &str) -> String {
    ask_for(stream, "/", host, fields).await
}

async fn ask_for(stream: &mut TlsStream<TcpStream>, path: &str, host: &str, fields: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A client that was refused during the handshake finds out while reading.
    let _ = tokio::time::timeout(support::PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// The names of the certificate a stream was shown.
fn shown(stream: &TlsStream<TcpStream>) -> Vec<String> {
    CertificateFacts::of_der(&stream.get_ref().1.peer_certificates().unwrap()[0]).unwrap().names
}

fn hello(request: &support::Received) -> Reply {
    Reply::Close(ok(format!("cert={}", request.header("client-cert").unwrap_or("none"))))
}

/// A certificate with its key, for a client.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// An authority of a test's own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { certificate, key }
    }

    fn asked(&self, required: bool) -> Option<ClientCertificates> {
        Some(ClientCertificates {
            authority: Arc::new(ClientAuthority::from_pem(&self.pem).unwrap()),
            required,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_resumed_in_both_versions() {
    let backend = backend(hello).await;
    let proxy = start(vec![to(&backend)]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = client(&[version], &[], None);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = connect(&proxy, "shop.test", &config).await.unwrap();
            assert!(ask(&mut stream, "shop.test", "").await.starts_with("HTTP/1.1 200"));
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_gets_its_proofs_and_nobody_else() {
    let backend = backend(hello).await;
    let mut shop = to(&backend);
    shop.redirect_https = HttpsRedirect::Always;
    let proxy = start(vec![shop]);
    let challenges = proxy.handle.challenges();
    let path = "/.well-known/acme-challenge/token-1";
    assert_eq!(support::get(proxy.http, path).await.status, 301);
    let pending = challenges.put_http("shop.test", "token-1", "token-1.thumbprint");
    let answer = support::get(proxy.http, path).await;
    assert_eq!((answer.status, answer.text()), (200, "token-1.thumbprint".to_owned()));
    drop(pending);
    assert_eq!(support::get(proxy.http, path).await.status, 301);

    let probe = client(&[&rustls::version::TLS13], &[b"acme-tls/1"], None);
    assert!(connect(&proxy, "shop.test", &probe).await.is_err(), "no challenge is pending");
    let pending = challenges.put_tls_alpn("shop.test", &[42; 32]).unwrap();
    let mut stream = connect(&proxy, "shop.test", &probe).await.unwrap();
    let session = stream.get_ref().1;
    assert_eq!(session.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    let certificate = session.peer_certificates().unwrap()[0].to_vec();
    assert!(certificate.windows(32).any(|window| window == [42; 32]), "the digest is in the certificate");
    assert_eq!(shown(&stream), ["shop.test"]);
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.unwrap(), 0, "the connection ends after the handshake");
    assert!(connect(&proxy, "other.test", &probe).await.is_err(), "another host's challenge");
    let mut ordinary = connect(&proxy, "shop.test", &plain_client()).await.unwrap();
    assert!(ask(&mut ordinary, "shop.test", "").await.starts_with("HTTP/1.1 200"), "others are served");
    drop(pending);
    assert!(connect(&proxy, "shop.test", &probe).await.is_err());
    assert_eq!(backend.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_may_require_client_certificates() {
    let backend = backend(hello).await;
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut closed = to(&backend);
    closed.tls.client_certificates = ours.asked(true);
    let mut curious = Route::new("curious", vec!["*.ask.test".parse().unwrap()], closed.backend.clone());
    curious.tls.client_certificates = ours.asked(false);
    let open = Route::new("open", vec!["open.test".parse().unwrap()], closed.backend.clone());
    let proxy = start(vec![closed.clone(), curious.clone(), open.clone()]);
    let identity = ours.identity();
    let known = client(rustls::ALL_VERSIONS, &[], Some(&identity));
    let stranger = client(rustls::ALL_VERSIONS, &[], Some(&theirs.identity()));
    let (nobody, forged) = (plain_client(), "Client-Cert: :AAAA:\r\n");

    let mut stream = connect(&proxy, "shop.test", &known).await.unwrap();
    let answer = ask(&mut stream, "shop.test", forged).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("cert=:MII"), "{answer}");
    assert!(!answer.contains("AAAA:"), "what a client says itself does not count: {answer}");
    let mut again = connect(&proxy, "shop.test", &known).await.unwrap();
    assert_eq!(again.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
    assert!(ask(&mut again, "shop.test", "").await.contains("cert=:MII"), "a resumed session keeps it");

    let mut stream = connect(&proxy, "shop.test", &nobody).await.unwrap();
    assert!(ask(&mut stream, "shop.test", forged).await.starts_with("HTTP/1.1 403"));
    let refused = match connect(&proxy, "shop.test", &stranger).await {
        Ok(mut stream) => ask(&mut stream, "shop.test", "").await,
        Err(_) => String::new(),
    };
    assert_eq!(refused, "", "a certificate of another authority fails the handshake");
    assert_eq!(support::get(proxy.http, "/").await.status, 403, "plain HTTP is no way around");
    // No way around by the name of a neighbour, who asks for nothing.
    let mut stream = connect(&proxy, "open.test", &nobody).await.unwrap();
    assert!(ask(&mut stream, "shop.test", "").await.starts_with("HTTP/1.1 421"));

    let mut stream = connect(&proxy, "x.ask.test", &nobody).await.unwrap();
    assert!(ask(&mut stream, "x.ask.test", forged).await.contains("cert=none"));
    let mut stream = connect(&proxy, "y.x.ask.test", &known).await.unwrap();
    assert!(ask(&mut stream, "y.x.ask.test", "").await.contains("cert=:MII"));
    let mut stream = connect(&proxy, "open.test", &known).await.unwrap();
    assert!(ask(&mut stream, "open.test", "").await.contains("cert=none"), "nobody asked for it");

    // Another authority takes over: neither old certificates nor sessions resumed from them count.
    closed.tls.client_certificates = theirs.asked(true);
    proxy.handle.publish(hop3_proxy::RouteTable::new(vec![closed, curious, open]).unwrap());
    let outcome = match connect(&proxy, "shop.test", &known).await {
        Ok(mut stream) => ask(&mut stream, "shop.test", "").await,
        Err(_) => String::new(),
    };
    assert!(!outcome.contains("200"), "{outcome}");
    let mut stream = connect(&proxy, "shop.test", &stranger).await.unwrap();
    assert!(ask(&mut stream, "shop.test", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_asked_for_a_certificate_follows_the_routes() {
    let backend = backend(hello).await;
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let route = |app: &str, hosts: &[&str], asked| {
        let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let mut route = Route::new(app, hosts, to(&backend).backend);
        route.tls.client_certificates = asked;
        route
    };
    let any = route("any", &["*"], ours.asked(true));
    let wild = route("wild", &["*.wild.test"], ours.asked(true));
    let open = route("open", &["open.wild.test"], None);
    let proxy = start(vec![any, wild, open.clone()]);
    let known = client(rustls::ALL_VERSIONS, &[], Some(&ours.identity()));
    let stranger = client(rustls::ALL_VERSIONS, &[], Some(&theirs.identity()));
    for (host, config, status) in [
        ("other.test", &known, "200"),
        ("other.test", &plain_client(), "403"),
        ("127.0.0.1", &known, "200"),
        ("127.0.0.1", &plain_client(), "403"),
        // Whoever asked it for one would end the handshake.
        ("open.wild.test", &stranger, "200"),
        ("x.wild.test", &known, "200"),
    ] {
        let mut stream = connect(&proxy, host, config).await.unwrap();
        let answer = ask(&mut stream, host, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
    // A connection that was opened before its host asked cannot show anything: its client should open another one.
    let mut earlier = connect(&proxy, "open.wild.test", &known).await.unwrap();
    let asking = Route { tls: route("", &[], ours.asked(true)).tls, ..open };
    proxy.handle.publish(hop3_proxy::RouteTable::new(vec![asking]).unwrap());
    let answer = ask(&mut earlier, "open.wild.test", "").await;
    assert!(answer.starts_with("HTTP/1.1 421"), "{answer}");
    let mut later = connect(&proxy, "open.wild.test", &known).await.unwrap();
    assert!(ask(&mut later, "open.wild.test", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_reaches_the_routes_whose_authority_vouches_for_it() {
    let backend = backend(hello).await;
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let part = |prefix: &str| hop3_proxy::Route { path_prefix: prefix.into(), ..support::keeping(&backend) };
    let (mut required, mut requested) = (part("/a"), part("/b"));
    required.tls.client_certificates = ours.asked(true);
    requested.tls.client_certificates = theirs.asked(false);
    let proxy = start(vec![required, requested, part("/c")]);
    let alice = client(rustls::ALL_VERSIONS, &[], Some(&ours.identity()));
    let bob = client(rustls::ALL_VERSIONS, &[], Some(&theirs.identity()));
    let nobody = plain_client();
    let told = async |config: &Arc<ClientConfig>, path: &str| {
        let mut stream = connect(&proxy, "shop.test", config).await.unwrap();
        let answer = ask_for(&mut stream, path, "shop.test", "").await;
        let known = if answer.contains("cert=:MII") { "known" } else { "unknown" };
        if answer.starts_with("HTTP/1.1 403") { "refused" } else { known }
    };
    // Twice: what is said to those who show a certificate is not kept for others, nor the other way round.
    for _ in 0..2 {
        for (who, path, expected) in [
            (&alice, "/a", "known"),
            (&alice, "/b", "unknown"),
            (&alice, "/c", "unknown"),
            (&bob, "/a", "refused"),
            (&bob, "/b", "known"),
            (&nobody, "/a", "refused"),
            (&nobody, "/b", "unknown"),
        ] {
            assert_eq!(told(who, path).await, expected, "{path}");
        }
    }
    // Alice's and Bob's own twice, and one each of what everybody gets at `/b` and `/c`.
    assert_eq!(backend.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_transport_security_is_said_over_https_alone() {
    fn lax(_: &support::Received) -> Reply {
        Reply::Close(response("200 OK", "Strict-Transport-Security: max-age=0\r\n", "x"))
    }
    let backend = backend(lax).await;
    let mut shop = to(&backend);
    shop.tls.strict_transport_security = Some("max-age=31536000; includeSubDomains".into());
    let silent = Route::new("silent", vec!["silent.test".parse().unwrap()], shop.backend.clone());
    let proxy = start(vec![shop, silent]);
    let policies = |answer: &str| -> Vec<String> {
        let lines = answer.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(name, _)| name.eq_ignore_ascii_case("strict-transport-security"))
            .map(|(_, value)| value.to_owned())
            .collect()
    };
    let mut stream = connect(&proxy, "shop.test", &plain_client()).await.unwrap();
    let answer = ask(&mut stream, "shop.test", "").await;
    assert_eq!(policies(&answer), ["max-age=31536000; includeSubDomains"]);
    let mut stream = connect(&proxy, "shop.test", &plain_client()).await.unwrap();
    let refused = ask(&mut stream, "silent.test", "").await;
    assert!(refused.starts_with("HTTP/1.1 421"), "{refused}");
    let mut stream = connect(&proxy, "silent.test", &plain_client()).await.unwrap();
    assert_eq!(policies(&ask(&mut stream, "silent.test", "").await), ["max-age=0"]);
    let plain = support::get(proxy.http, "/").await;
    assert_eq!(plain.header("strict-transport-security"), Some("max-age=0"), "the back end's own, untouched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_names_get_no_apps_certificate_and_old_versions_nothing() {
    let backend = backend(hello).await;
    let proxy = start(vec![to(&backend)]);
    let stream = connect(&proxy, "unknown.test", &plain_client()).await.unwrap();
    assert_eq!(shown(&stream), ["localhost", "127.0.0.1", "::1"]);
    let tls = TlsOptions { min_version: MinVersion::Tls13, unknown_names: UnknownNames::Refuse };
    let strict = start_with(ProxyConfig { tls, ..ProxyConfig::default() }, vec![to(&backend)]);
    assert!(connect(&strict, "unknown.test", &plain_client()).await.is_err());
    assert!(connect(&strict, "shop.test", &client(&[&rustls::version::TLS12], &[], None)).await.is_err());
    assert!(connect(&strict, "shop.test", &plain_client()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_changes_under_open_connections() {
    fn keep(_: &support::Received) -> Reply {
        Reply::Keep(ok("still here"))
    }
    let backend = backend(keep).await;
    let proxy = start(vec![to(&backend)]);
    let mut before = connect(&proxy, "shop.test", &plain_client()).await.unwrap();
    let authority = Authority::new("authority");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["shop.test".to_owned(), "www.shop.test".to_owned()]).unwrap();
    let chain = params.signed_by(&key, &authority.issuer).unwrap().pem();
    let issued = CertificatePem { chain, key: key.serialize_pem(), origin: CertificateOrigin::Acme };
    proxy.handle.replace_certificate("shop.test", &issued).unwrap();
    let after = connect(&proxy, "shop.test", &plain_client()).await.unwrap();
    assert_eq!(shown(&after), ["shop.test", "www.shop.test"]);
    assert!(ask(&mut before, "shop.test", "").await.contains("still here"), "the old connection is served");
    let metrics = proxy.handle.metrics();
    let line = "hop3_certificate_expiry_seconds{app=\"shop\",host=\"shop.test\",origin=\"acme\"} ";
    let value = metrics.lines().find_map(|found| found.strip_prefix(line)).unwrap().parse::<f64>().unwrap();
    assert!(value > 86_400.0, "{value}");
}
