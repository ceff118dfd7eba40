//! The HTTP client that speaks to an authority: bounded in time and size, with roots of its own if need be.
//!
//! A connection per request: an order takes a dozen of them, a few times a year.

use std::cell::Cell;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Uri, header};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::conversation;

/// Time for a whole exchange.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest answer.
const LARGEST: usize = 1 << 20;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Speaks to authorities.
#[derive(Clone)]
pub(super) struct AuthorityClient {
    tls: Arc<ClientConfig>,
}

tokio::task_local! {
    /// What the latest answer within [`attending`] said beside its body, which the ACME library keeps to itself.
    static HEARD: Cell<Heard>;
}

/// What an answer said: its status, 0 when there was none, and how long it asked to wait.
pub(super) type Heard = (u16, Option<Duration>);

/// Runs what speaks to an authority, so that it hears what its own answers said and not those of others beside it.
pub(super) async fn attending<F: Future>(work: F) -> F::Output {
    HEARD.scope(Cell::default(), work).await
}

/// What the latest answer said within [`attending`].
pub(super) fn heard() -> Heard {
    HEARD.try_with(Cell::get).unwrap_or_default()
}

fn note(heard: Heard) {
    // Outside nobody asks what was heard.
    let _unheard = HEARD.try_with(|cell| cell.set(heard));
}

impl AuthorityClient {
    /// Trusts the roots in `roots` (PEM), else the public ones.
    ///
    /// # Errors
    /// `roots` holds no usable certificate.
    pub(super) fn new(roots: Option<&str>) -> Result<AuthorityClient, String> {
        let mut store = RootCertStore::empty();
        match roots {
            None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let root = root.map_err(|error| format!("[server.acme] ca: {error}"))?;
                    store.add(root).map_err(|error| format!("[server.acme] ca: {error}"))?;
                }
                if store.is_empty() {
                    return Err("[server.acme] ca holds no certificate".into());
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(AuthorityClient { tls: Arc::new(tls) })
    }

    async fn exchange(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Failed> {
        let uri = request.uri().clone();
        let host = uri.host().ok_or("the URL has no host")?.to_owned();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) => false,
            _ => return Err(format!("the authority named a URL that is not https: {uri}").into()),
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((bare.as_str(), port)).await?;
        stream.set_nodelay(true)?;
        if secure {
            let name = ServerName::try_from(bare)?;
            let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
            self.send(stream, request, &uri).await
        } else {
            self.send(stream, request, &uri).await
        }
    }

    async fn send(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut request: Request<BodyWrapper<Bytes>>,
        uri: &Uri,
    ) -> Result<BytesResponse, Failed> {
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        request.headers_mut().insert(header::HOST, authority.parse()?);
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        *request.uri_mut() = path.parse()?;
        let (parts, body) = conversation::ask(stream, request).await?.whole(LARGEST).await?;
        note((parts.status.as_u16(), retry_after(&parts.headers, SystemTime::now())));
        Ok(BytesResponse { parts, body: Box::new(body) })
    }
}

impl HttpClient for AuthorityClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            note(Heard::default());
            let uri = request.uri().clone();
            match tokio::time::timeout(LIMIT, client.exchange(request)).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => Err(Error::Other(format!("{uri}: {error}").into())),
                Err(_) => Err(Error::Other(format!("{uri}: no answer within {} s", LIMIT.as_secs()).into())),
            }
        })
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &http::HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn retry_after_has_two_forms() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_000);
        let read = |text: &str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(777)));
        assert_eq!(read("Tue, 06 Nov 1984 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&http::HeaderMap::new(), now), None);
    }

    #[tokio::test]
    async fn orders_beside_each_other_hear_their_own_answers() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = tokio::spawn(async move {
            for status in ["429 Slow\r\nRetry-After: 7", "200 OK"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
            }
        });
        let client = AuthorityClient::new(None).unwrap();
        let ask = || async {
            let request = Request::get(format!("http://{address}/")).body(BodyWrapper::default()).unwrap();
            client.request(request).await.unwrap();
            heard()
        };
        attending(async {
            assert_eq!(ask().await, (429, Some(Duration::from_secs(7))));
            assert_eq!(attending(ask()).await, (200, None));
            assert_eq!(heard(), (429, Some(Duration::from_secs(7))), "the other one's answer is not ours");
        })
        .await;
        answers.await.unwrap();
        assert_eq!(heard(), (0, None));
    }

    #[tokio::test]
    async fn only_https_is_spoken_except_to_this_machine() {
        let client = AuthorityClient::new(None).unwrap();
        for url in ["http://example.org/", "ftp://example.org/", "/directory"] {
            let request = Request::get(url).body(BodyWrapper::default()).unwrap();
            let error = client.request(request).await.map(drop).unwrap_err().to_string();
            assert!(error.contains("not https") || error.contains("no host"), "{url}: {error}");
        }
        assert!(AuthorityClient::new(Some("nothing")).is_err());
    }
}
