//! What is kept, what is replaced, what is refused.

use std::time::Duration;

use super::*;
use crate::backend::Backend;
use crate::route::Route;

const DAY: Duration = Duration::from_secs(86_400);

fn start() -> SystemTime {
    UNIX_EPOCH + 20_000 * DAY
}

fn made(host: &str) -> CertificatePem {
    self_signed(host, start()).unwrap()
}

fn certificates(store: &Arc<MemoryCertificates>) -> Certificates {
    Certificates::new(store.clone(), UnknownNames::Fallback, start()).unwrap()
}

fn table(hosts: &[&str]) -> RouteTable {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    RouteTable::new(vec![Route::new("a", hosts, Backend::Unavailable { reason: "".into() })]).unwrap()
}

#[test]
fn hosts_get_stored_certificates_and_keep_them() {
    let store = Arc::new(MemoryCertificates::default());
    let certificates_ = certificates(&store);
    certificates_.provide(&table(&["a.org", "*.b.org", "[::1]", "*"]), start());
    let first = certificates_.find("A.org").unwrap();
    assert!(certificates_.find("x.b.org").is_some());
    assert!(certificates_.find("y.x.b.org").is_none());
    assert!(certificates_.find("c.org").is_none());
    certificates_.provide(&table(&["a.org"]), start());
    assert!(Arc::ptr_eq(&first, &certificates_.find("a.org").unwrap()));
    assert!(certificates_.find("x.b.org").is_none());
    let again = certificates(&store);
    again.provide(&table(&["a.org"]), start());
    assert_eq!(again.find("a.org").unwrap().cert, first.cert);
    let imported = store.load("a", "*.b.org").unwrap().unwrap();
    again.replace("a.org", &imported).unwrap();
    assert_ne!(again.find("a.org").unwrap().cert, first.cert);
}

#[test]
fn a_self_signed_certificate_is_remade_before_its_end() {
    let store = Arc::new(MemoryCertificates::default());
    let certificates = certificates(&store);
    certificates.provide(&table(&["a.org"]), start());
    let (first, fallback) = (certificates.find("a.org").unwrap(), certificates.fallback.load().key.clone());
    certificates.provide(&table(&["a.org"]), start() + 300 * DAY);
    assert!(Arc::ptr_eq(&first, &certificates.find("a.org").unwrap()));
    certificates.provide(&table(&["a.org"]), start() + 380 * DAY);
    assert_ne!(first.cert, certificates.find("a.org").unwrap().cert);
    assert_ne!(fallback.cert, certificates.fallback.load().key.cert);
}

#[test]
fn a_changed_certificate_is_put_in_force_for_its_app_alone() {
    let store = Arc::new(MemoryCertificates::default());
    let certificates = certificates(&store);
    certificates.provide(&table(&["a.org"]), start());
    let first = certificates.find("a.org").unwrap();
    let issued = CertificatePem { origin: CertificateOrigin::Acme, ..made("a.org") };
    store.save("a.org", &issued).unwrap();
    certificates.reload("other", start());
    assert!(Arc::ptr_eq(&first, &certificates.find("a.org").unwrap()));
    certificates.reload("a", start());
    assert_ne!(first.cert, certificates.find("a.org").unwrap().cert);
    let text = certificates.expose(start() + DAY);
    let line = format!("{{app=\"a\",host=\"a.org\",origin=\"acme\"}} {}\n", 396 * 86_400);
    assert!(text.contains(&line), "{text}");
}

#[test]
fn unusable_certificates_are_refused() {
    let (one, other) = (made("a.org"), made("b.org"));
    let certificates = certificates(&Arc::default());
    let mixed = CertificatePem { chain: one.chain.clone(), ..other };
    let error = certificates.replace("a.org", &mixed).unwrap_err();
    assert!(error.to_string().ends_with("it is not the key of the certificate"), "{error}");
    assert!(mixed.check().is_err() && one.check().is_ok());
    let empty = CertificatePem { chain: String::new(), ..one.clone() };
    assert!(matches!(certificates.replace("a.org", &empty), Err(CertificateError::Chain { .. })));
    let no_key = CertificatePem { key: "x".to_owned(), ..one };
    assert!(matches!(certificates.replace("a.org", &no_key), Err(CertificateError::Key { .. })));
    assert!(!format!("{:?}", made("x")).contains("PRIVATE"));
}
