//! How a connection ends whose client takes nothing.

use std::sync::Arc;

use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// Both ends of a TLS connection; of the client's, what is below TLS.
async fn tls_pair() -> (Conn, TcpStream) {
    let made = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let server = server.unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![certificate.clone()], key.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(roots).with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, connected) = tokio::join!(listener.accept(), connecting);
    let name = ServerName::try_from("shop.test").unwrap();
    let (accepted, connected) = tokio::join!(
        TlsAcceptor::from(Arc::new(server)).accept(accepted.unwrap().0),
        TlsConnector::from(Arc::new(client)).connect(name, connected.unwrap()),
    );
    (Conn::Tls(Box::new(accepted.unwrap())), connected.unwrap().into_inner().0)
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_at_the_end() {
    let (conn, mut client) = tls_pair().await;
    let (reader, mut writer) = conn.into_split();
    // More than the kernel takes: the rest waits within TLS, and what ends the session behind it.
    let piece = vec![0; 64 * 1024];
    while timeout(Duration::from_secs(1), writer.write_all(&piece)).await.is_ok() {}
    let ending = end(Source::new(reader), writer, Duration::from_millis(100));
    timeout(Duration::from_secs(30), ending).await.expect("an end without the client's help");
    let read = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
