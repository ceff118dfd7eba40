//! A proxy in this process, in front of one back end, for tests that speak to it in raw bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hop3_proxy::{
    AccessRecord, Backend, CertificatePem, CertificateStore as _, Endpoint, Event, EventSender, HostPattern,
    ListenConfig, MemoryCertificates, Protection, Proxy, ProxyConfig, ProxyHandle, Route, RouteTable,
    Services,
};
use tokio::sync::mpsc::Receiver;

/// A proxy on free ports.
#[derive(Debug)]
pub struct Front {
    /// The proxy.
    pub handle: ProxyHandle,
    /// Where it keeps the certificates that it made.
    pub certificates: Arc<MemoryCertificates>,
    events: Mutex<Receiver<Event>>,
}

impl Front {
    /// Starts one; `change` adapts the usual configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(change: impl FnOnce(&mut ProxyConfig)) -> Self {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let listen = ListenConfig { http: Some(any), https: Some(any), ..ListenConfig::default() };
        let mut config = ProxyConfig { listen, ..ProxyConfig::default() };
        change(&mut config);
        let (sender, events) = EventSender::bounded(10_000);
        let certificates = Arc::new(MemoryCertificates::default());
        let services = Services { certificates: certificates.clone(), events: sender };
        let handle = Proxy::start(config, services).expect("the proxy starts");
        Self { handle, certificates, events: Mutex::new(events) }
    }

    /// Where plain HTTP is.
    ///
    /// # Panics
    /// Never: it listens.
    pub fn http(&self) -> SocketAddr {
        self.handle.addresses().http.expect("plain HTTP")
    }

    /// Where HTTPS is.
    ///
    /// # Panics
    /// Never: it listens.
    pub fn https(&self) -> SocketAddr {
        self.handle.addresses().https.expect("HTTPS")
    }

    /// Sends every host to a back end, `shop.test` as the app `shop`, `evil.test` as another.
    pub fn lead_to(&self, back_end: SocketAddr) {
        self.lead_through(back_end, None);
    }

    /// The same behind the firewall.
    ///
    /// # Panics
    /// Never: the routes do not clash.
    pub fn lead_through(&self, back_end: SocketAddr, protection: Option<&Arc<Protection>>) {
        let backend = || Backend::http([Endpoint::Tcp(back_end)]);
        let shop = "shop.test".parse().expect("a host");
        let mut shop = Route::new("shop", vec![shop, HostPattern::Any], backend());
        let mut evil = Route::new("evil", vec!["evil.test".parse().expect("a host")], backend());
        shop.waf = protection.cloned();
        evil.waf = protection.cloned();
        self.handle.publish(RouteTable::new(vec![shop, evil]).expect("routes"));
    }

    /// Sends each of these hosts to its back end.
    ///
    /// # Panics
    /// When a host is none.
    pub fn lead_hosts(&self, hosts: impl IntoIterator<Item = (&'static str, Backend)>) {
        let route = |(host, backend): (&'static str, Backend)| {
            Route::new(host, vec![host.parse().expect("a host")], backend)
        };
        self.handle.publish(RouteTable::new(hosts.into_iter().map(route).collect()).expect("routes"));
    }

    /// The certificate of a host that [`Front::lead_hosts`] led somewhere.
    ///
    /// # Panics
    /// When it has none.
    pub fn certificate(&self, host: &str) -> CertificatePem {
        self.certificates.load(host, host).expect("a store in memory").expect("a certificate")
    }

    /// The access records that came since the last call.
    ///
    /// # Panics
    /// When another thread panicked while it read them.
    pub fn records(&self) -> Vec<AccessRecord> {
        let mut events = self.events.lock().expect("events");
        let mut records = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Event::Access(record) = event {
                records.push(*record);
            }
        }
        records
    }
}

/// A firewall with these rules.
///
/// # Panics
/// When they do not compile.
pub fn protection(rules: &str) -> Arc<Protection> {
    let document = hop3_seclang::parse_str("test.conf", rules, &hop3_seclang::loader::MemoryLoader::new());
    let ruleset = hop3_waf::Ruleset::compile(&document.expect("rules")).expect("a ruleset");
    Arc::new(Protection::new(Arc::new(ruleset)))
}
