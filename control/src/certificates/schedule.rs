//! What to do next for an owner, as a function of what is wanted, what is held, and the time.

use std::time::Duration;

use hop3_proxy::CertificateFacts;

use super::holding::{Advice, Holding};
use super::limits::{jittered, same_names_again};
use super::names::{MOST_NAMES, unissuable};
use crate::model::Timestamp;
use crate::settings::{Acme, ChallengeKind};

const DAY: Duration = Duration::from_secs(86_400);
/// Certificates that live shorter than this are renewed after half of their life (Let's Encrypt's advice for its
/// six-day ones), others when a third is left.
const SHORT_LIFE: Duration = Duration::from_secs(10 * 86_400);
/// When renewal information is asked for again, if the authority does not say (RFC 9773 section 4.3.3), and the bounds
/// of what it may say.
const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);
const ASK_AGAIN_BOUNDS: (Duration, Duration) = (Duration::from_secs(60), DAY);

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something is changed.
    Rest,
    /// Nothing before then.
    Wait(Timestamp),
    /// Ask when to renew.
    AskAdvice,
    /// Order a certificate for these names, sorted.
    Order(Vec<String>),
}

/// What an authority could be asked for, as many names as fit into a certificate.
pub fn orderable(hosts: &[String], holding: &Holding, acme: &Acme, now: Timestamp) -> Vec<String> {
    let mut names = candidates(hosts, holding, acme, now);
    names.truncate(MOST_NAMES);
    names
}

/// All names an authority could be asked for, sorted.
pub(super) fn candidates(hosts: &[String], holding: &Holding, acme: &Acme, now: Timestamp) -> Vec<String> {
    let wildcards = acme.challenges.contains(&ChallengeKind::Dns01);
    let imported = holding.imported_facts().filter(|facts| now < Timestamp::from(facts.not_after));
    let mut names: Vec<String> = hosts
        .iter()
        .filter(|host| unissuable(host, acme.public, wildcards).is_none())
        .filter(|host| !imported.as_ref().is_some_and(|facts| facts.covers(host)))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The next step for an owner whose hosts are `hosts`.
pub fn next_step(hosts: &[String], holding: &Holding, acme: &Acme, now: Timestamp) -> Step {
    let wanted = orderable(hosts, holding, acme, now);
    if wanted.is_empty() {
        return Step::Rest;
    }
    let facts = holding.issued_facts().filter(|_| is_from(holding, acme));
    let mut waits: Vec<Timestamp> = Vec::new();
    let due = match &facts {
        Some(facts) => {
            let renewal = renewal(holding, facts);
            waits.push(renewal);
            holding.renew_now || now >= renewal || wanted.iter().any(|name| !facts.covers(name))
        }
        None => true,
    };
    let names = provable(&wanted, holding, facts.as_deref(), now, &mut waits);
    if due && !names.is_empty() && is_worth_it(&names, holding, facts.as_deref(), now) {
        let refused = holding.refused.as_ref().map_or(Timestamp(0), |trouble| trouble.retry);
        let earliest = refused.max(same_names_again(holding, &names, now));
        if now >= earliest {
            return Step::Order(names);
        }
        // What is due already needs no alarm clock of its own.
        waits.retain(|wait| *wait > now);
        waits.push(earliest);
    } else {
        waits.retain(|wait| *wait > now);
    }
    if facts.is_some() {
        let ask = holding.issued.as_ref().and_then(|issued| issued.advice.as_ref());
        match ask.map(|advice| advice.ask_again) {
            Some(later) if later > now => waits.push(later),
            _ => return Step::AskAdvice,
        }
    }
    waits.into_iter().min().map_or(Step::Rest, Step::Wait)
}

/// Whether the issued certificate is of the authority in use; another one's is replaced.
fn is_from(holding: &Holding, acme: &Acme) -> bool {
    holding.issued.as_ref().is_some_and(|issued| issued.directory == acme.directory)
}

/// The names that can be ordered now. A name in trouble is left out; but one that the certificate in force covers is
/// left out only in the last sixth of its life: until then its failure may pass. Where further names wait for it, its
/// failure has a day to pass.
fn provable(
    wanted: &[String],
    holding: &Holding,
    facts: Option<&CertificateFacts>,
    now: Timestamp,
    waits: &mut Vec<Timestamp>,
) -> Vec<String> {
    let mut names = Vec::new();
    let further = |facts: &CertificateFacts| {
        wanted.iter().any(|name| !facts.covers(name) && !holding.names.contains_key(name))
    };
    for name in wanted {
        let Some(trouble) = holding.names.get(name) else {
            names.push(name.clone());
            continue;
        };
        let retry = trouble.may_retry(now);
        if now >= retry {
            names.push(name.clone());
            continue;
        }
        waits.push(retry);
        if let Some(facts) = facts.filter(|facts| facts.covers(name))
            && now < last_sixth(facts)
            && !(trouble.is_lasting() && further(facts))
        {
            waits.push(last_sixth(facts));
            return Vec::new();
        }
    }
    names
}

/// A due order must bring something: a first certificate, a further name, or a later end.
fn is_worth_it(
    names: &[String],
    holding: &Holding,
    facts: Option<&CertificateFacts>,
    now: Timestamp,
) -> bool {
    facts.is_none_or(|facts| {
        holding.renew_now || now >= renewal(holding, facts) || names.iter().any(|name| !facts.covers(name))
    })
}

/// When the issued certificate is renewed: as the authority suggests, else when a third of its life is left.
pub fn renewal(holding: &Holding, facts: &CertificateFacts) -> Timestamp {
    let advised = holding.issued.as_ref().and_then(|issued| issued.advice.as_ref()?.renew);
    let (from, to) = life(facts);
    let life = to.since(from);
    let left = if life < SHORT_LIFE { life / 2 } else { life / 3 };
    let usual = Timestamp(to.0.saturating_sub(millis(left)));
    // A window that lies behind the end of the certificate would be a mistake of somebody's.
    advised.filter(|advised| *advised < to).unwrap_or(usual)
}

/// When the last sixth of a certificate's life begins: what is not renewed by then is in danger.
pub fn last_sixth(facts: &CertificateFacts) -> Timestamp {
    let (from, to) = life(facts);
    Timestamp(to.0.saturating_sub(millis(to.since(from) / 6)))
}

fn life(facts: &CertificateFacts) -> (Timestamp, Timestamp) {
    (facts.not_before.into(), facts.not_after.into())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Chooses a moment in a suggested window, evenly (RFC 9773 section 4.2), and when to ask again.
pub fn advice(
    window: (Timestamp, Timestamp),
    explanation: Option<String>,
    ask_after: Option<Duration>,
    earlier: Option<&Advice>,
    now: Timestamp,
    random: u64,
) -> Advice {
    let (start, end) = window;
    let kept = earlier.filter(|earlier| earlier.window == Some(window)).and_then(|earlier| earlier.renew);
    // The same window keeps its moment: choosing anew each time would drift towards its start.
    let renew = kept.unwrap_or_else(|| {
        let length = end.0.saturating_sub(start.0);
        Timestamp(start.0 + if length == 0 { 0 } else { random % length })
    });
    let (least, most) = ASK_AGAIN_BOUNDS;
    let ask_again = now.after(ask_after.unwrap_or(ASK_AGAIN).clamp(least, most));
    Advice { renew: Some(renew), window: Some(window), ask_again, explanation }
}

/// The authority gives no advice, or could not be asked: ask again in a while, and keep what it said before.
pub fn no_advice(earlier: Option<&Advice>, now: Timestamp, random: u64) -> Advice {
    let ask_again = now.after(jittered(ASK_AGAIN, random));
    match earlier {
        Some(earlier) => Advice { ask_again, ..earlier.clone() },
        None => Advice { renew: None, window: None, ask_again, explanation: None },
    }
}

#[cfg(test)]
pub(super) mod tests;
