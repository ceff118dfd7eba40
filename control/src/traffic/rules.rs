//! Sizes, deadlines and policy of one set of rules.

use std::time::Duration;

use hop3_proxy::RouteLimits;
use hop3_runtimes::manifest::proxy::Proxy;
use hop3_runtimes::manifest::units::Span;

use super::{Fault, Rules, Subject, fault, policy};

/// The rules of `[proxy]`, or of one of its paths, whose place below `[proxy]` is `at`.
pub(super) fn rules(proxy: &Proxy, subject: &Subject<'_>, at: &[&str]) -> Result<Rules, Fault> {
    let policy = policy::policy(proxy, subject).map_err(|fault| fault.below(at))?;
    let limits = limits(proxy).map_err(|fault| fault.below(at))?;
    Ok(Rules { policy, limits })
}

fn limits(proxy: &Proxy) -> Result<RouteLimits, Fault> {
    let mut limits = RouteLimits::default();
    if let Some(size) = proxy.max_body_size {
        limits.max_body = size.0;
    }
    let timeouts = &proxy.timeouts;
    let set = |span: Option<Span>, key: &str, place: &mut Duration| match span {
        Some(span) if span.0.is_zero() => {
            Err(fault(["timeouts", key], "nothing can be done in no time; leave the key out for its default"))
        }
        Some(span) => {
            *place = span.0;
            Ok(())
        }
        None => Ok(()),
    };
    set(timeouts.connect, "connect", &mut limits.connect_timeout)?;
    set(timeouts.read, "read", &mut limits.read_timeout)?;
    set(timeouts.response.or(timeouts.read), "response", &mut limits.response_timeout)?;
    set(timeouts.write, "write", &mut limits.write_timeout)?;
    set(timeouts.idle, "idle", &mut limits.tunnel_timeout)?;
    Ok(limits)
}
