//! Metrics: a registry of our own, because the request path should cost a few atomic additions and no allocation,
//! which a general label map does not give.
//!
//! Owns names, label sets and their bounds. Names follow the Prometheus conventions:
//! `hop3_` prefix, base units, `_total` for counters.

pub mod app;
pub mod histogram;
pub mod process;
pub mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use app::AppMetrics;
use text::Exposition;

/// The label `app` of requests that no route took.
pub const UNROUTED: &str = "unrouted";

/// All metrics of one proxy.
#[derive(Debug, Default)]
pub struct Metrics {
    apps: RwLock<BTreeMap<Arc<str>, Arc<AppMetrics>>>,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
    /// Events that were dropped because their queue was full.
    pub events_dropped: AtomicU64,
    /// Client connections that are open now.
    pub connections: AtomicI64,
    /// TLS handshakes that failed.
    pub handshakes_failed: AtomicU64,
}

/// State of one instance at the moment of a scrape.
#[derive(Debug)]
pub struct UpstreamState {
    /// The app.
    pub app: Arc<str>,
    /// The instance's address.
    pub endpoint: String,
    /// Whether it is used.
    pub up: bool,
}

impl Metrics {
    /// The counters of an app; created on first use and kept, so that counters never go back.
    pub fn app(&self, app: &Arc<str>) -> Arc<AppMetrics> {
        if let Some(found) = self.apps.read().unwrap_or_else(PoisonError::into_inner).get(app) {
            return found.clone();
        }
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        apps.entry(app.clone()).or_default().clone()
    }

    /// Counts a request refused by the framing filter.
    pub fn count_rejected(&self, reason: &'static str) {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry(reason).or_default() += 1;
    }

    /// The text of a scrape.
    pub fn expose(&self, version: &str, upstreams: &[UpstreamState]) -> String {
        let mut out = Exposition::default();
        let apps = self.apps.read().unwrap_or_else(PoisonError::into_inner).clone();
        expose_requests(&mut out, &apps);
        expose_policies(&mut out, &apps);
        expose_firewall(&mut out, &apps);
        out.family(
            "hop3_upstream_up",
            "gauge",
            "Whether an instance of an app is used (1) or set aside after failures (0).",
        );
        for state in upstreams {
            let labels = [("app", &*state.app), ("endpoint", state.endpoint.as_str())];
            out.sample("hop3_upstream_up", &labels, f64::from(u8::from(state.up)));
        }
        out.family(
            "hop3_http_rejected_total",
            "counter",
            "Requests refused by the framing filter, by reason.",
        );
        for (reason, count) in self.rejected.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            out.sample("hop3_http_rejected_total", &[("reason", reason)], *count as f64);
        }
        let mut plain = |name: &str, kind: &str, help: &str, value: f64| {
            out.family(name, kind, help);
            out.sample(name, &[], value);
        };
        let dropped = self.events_dropped.load(Ordering::Relaxed) as f64;
        plain(
            "hop3_events_dropped_total",
            "counter",
            "Log and audit events dropped because their queue was full.",
            dropped,
        );
        let connections = self.connections.load(Ordering::Relaxed) as f64;
        plain("hop3_connections", "gauge", "Client connections that are open.", connections);
        let failed = self.handshakes_failed.load(Ordering::Relaxed) as f64;
        plain(
            "hop3_tls_handshakes_failed_total",
            "counter",
            "TLS handshakes that failed or timed out.",
            failed,
        );
        process::expose(&mut out);
        out.family("hop3_build_info", "gauge", "The running version; always 1.");
        out.sample("hop3_build_info", &[("version", version)], 1.0);
        out.finish()
    }
}

fn expose_requests(out: &mut Exposition, apps: &BTreeMap<Arc<str>, Arc<AppMetrics>>) {
    out.family("hop3_http_requests_total", "counter", "Requests answered, by app, status code and method.");
    for (app, metrics) in apps {
        for (method, code, count) in metrics.requests() {
            let labels = [("app", &**app), ("code", &code.to_string()), ("method", method)];
            out.sample("hop3_http_requests_total", &labels, count as f64);
        }
    }
    let name = "hop3_http_request_duration_seconds";
    out.family(name, "histogram", "Time from a complete request head to the last byte of the answer.");
    for (app, metrics) in apps {
        out.histogram(name, &[("app", app)], &metrics.duration);
    }
    let name = "hop3_upstream_duration_seconds";
    out.family(name, "histogram", "Time from sending a request to the back end to the end of its answer.");
    for (app, metrics) in apps {
        out.histogram(name, &[("app", app)], &metrics.upstream);
    }
}

fn expose_policies(out: &mut Exposition, apps: &BTreeMap<Arc<str>, Arc<AppMetrics>>) {
    let name = "hop3_http_limited_total";
    out.family(
        name,
        "counter",
        "Requests sent away for other reasons than the firewall's verdict, by app and reason.",
    );
    for (app, metrics) in apps {
        for (reason, count) in metrics.limited().filter(|(_, count)| *count > 0) {
            out.sample(name, &[("app", app), ("reason", reason)], count as f64);
        }
    }
    let name = "hop3_cache_requests_total";
    out.family(name, "counter", "Requests that a kept answer could have served, by whether one did.");
    for (app, metrics) in apps {
        let counts = [("hit", &metrics.cache_hits), ("miss", &metrics.cache_misses)];
        let counts = counts.map(|(result, count)| (result, count.load(Ordering::Relaxed)));
        if counts.iter().any(|(_, count)| *count > 0) {
            for (result, count) in counts {
                out.sample(name, &[("app", app), ("result", result)], count as f64);
            }
        }
    }
}

fn expose_firewall(out: &mut Exposition, apps: &BTreeMap<Arc<str>, Arc<AppMetrics>>) {
    let name = "hop3_waf_inspection_duration_seconds";
    out.family(name, "histogram", "Time the firewall engine took, by phase.");
    for (app, metrics) in apps {
        for (phase, histogram) in metrics.inspection.iter().enumerate() {
            let phase = (phase + 1).to_string();
            out.histogram(name, &[("app", app), ("phase", &phase)], histogram);
        }
    }
    out.family("hop3_waf_verdicts_total", "counter", "Inspected requests, by what the firewall decided.");
    for (app, metrics) in apps {
        for (action, count) in metrics.verdicts() {
            out.sample("hop3_waf_verdicts_total", &[("app", app), ("action", action)], count as f64);
        }
    }
    let name = "hop3_waf_uninspected_bodies_total";
    out.family(
        name,
        "counter",
        "Inspected requests whose body passed unread, as the rules or the app want it.",
    );
    for (app, metrics) in apps {
        let count = metrics.uninspected_bodies.load(Ordering::Relaxed);
        out.sample(name, &[("app", app)], count as f64);
    }
    out.family("hop3_waf_rule_matches_total", "counter", "Logged matches of firewall rules, by rule id.");
    for (app, metrics) in apps {
        for (rule, count) in metrics.rules() {
            out.sample("hop3_waf_rule_matches_total", &[("app", app), ("rule_id", &rule)], count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_scrape_names_every_family_once_and_each_sample_after_its_family() {
        let metrics = Metrics::default();
        let app = metrics.app(&Arc::from("shop"));
        app.count_request(b"GET", 200, Duration::from_millis(3));
        app.count_request(b"GET", 200, Duration::from_millis(3));
        app.count_request(b"BREW", 418, Duration::from_millis(3));
        app.count_verdict(2);
        app.uninspected_bodies.fetch_add(1, Ordering::Relaxed);
        app.count_rule(942_100);
        metrics.count_rejected("bare_lf");
        let state = UpstreamState { app: "shop".into(), endpoint: "127.0.0.1:1".into(), up: true };
        let text = metrics.expose("1.2.3", &[state]);
        for line in [
            "hop3_http_requests_total{app=\"shop\",code=\"200\",method=\"GET\"} 2",
            "hop3_http_requests_total{app=\"shop\",code=\"418\",method=\"other\"} 1",
            "hop3_http_request_duration_seconds_count{app=\"shop\"} 3",
            "hop3_waf_verdicts_total{app=\"shop\",action=\"deny\"} 1",
            "hop3_waf_uninspected_bodies_total{app=\"shop\"} 1",
            "hop3_waf_rule_matches_total{app=\"shop\",rule_id=\"942100\"} 1",
            "hop3_http_rejected_total{reason=\"bare_lf\"} 1",
            "hop3_upstream_up{app=\"shop\",endpoint=\"127.0.0.1:1\"} 1",
            "hop3_build_info{version=\"1.2.3\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        let mut families = std::collections::BTreeSet::new();
        let mut current = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                current = rest.split(' ').next().unwrap();
                assert!(families.insert(current), "{current} twice");
            } else if !line.starts_with('#') {
                assert!(line.starts_with(current), "{line} stands under {current}");
            }
        }
    }

    #[test]
    fn rules_beyond_the_bound_count_as_other() {
        let app = AppMetrics::default();
        for rule in 0..1200 {
            app.count_rule(rule);
        }
        let rules = app.rules();
        assert_eq!(rules.len(), 1001);
        assert_eq!(rules.last(), Some(&("other".to_owned(), 200)));
    }
}
