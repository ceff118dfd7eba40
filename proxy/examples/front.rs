//! A proxy on fixed ports in front of one back end, for trying things out and measuring:
//! `cargo run -p hop3-proxy --example front -- 127.0.0.1:8080 127.0.0.1:8443 http://127.0.0.1:9000 [rules.conf]`.

use std::sync::Arc;
use std::time::Duration;

use hop3_proxy::{
    Backend, EventSender, HostPattern, ListenConfig, MemoryCertificates, Protection, Proxy, ProxyConfig,
    Route, RouteTable, Services,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [http, https, upstream, rules @ ..] = &arguments[..] else {
        return Err("usage: front HTTP_ADDRESS HTTPS_ADDRESS UPSTREAM [RULES]".into());
    };
    let listen =
        ListenConfig { http: Some(http.parse()?), https: Some(https.parse()?), ..ListenConfig::default() };
    let services =
        Services { certificates: Arc::new(MemoryCertificates::default()), events: EventSender::disabled() };
    let handle = Proxy::start(ProxyConfig { listen, ..ProxyConfig::default() }, services)?;
    let backend = match upstream.strip_prefix("uwsgi:") {
        Some(endpoint) => Backend::uwsgi([endpoint.parse()?]),
        None => Backend::http([upstream.parse()?]),
    };
    let mut route = Route::new("front", vec![HostPattern::Any], backend);
    if let Some(file) = rules.first() {
        let folder = std::path::Path::new(file).parent().unwrap_or(std::path::Path::new("."));
        let document = hop3_seclang::parse(file, &hop3_seclang::loader::Files::beneath([folder]))
            .map_err(|error| format!("{error:?}"))?;
        let ruleset = hop3_waf::Ruleset::compile(&document).map_err(|error| format!("{error:?}"))?;
        route.waf = Some(Arc::new(Protection::new(Arc::new(ruleset))));
    }
    handle.publish(RouteTable::new(vec![route])?);
    tokio::signal::ctrl_c().await?;
    handle.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
