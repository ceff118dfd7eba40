//! A million addresses that all deserve a ban: what it costs in memory and time. Alone in its program, because it looks
//! at the memory of the process.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hop3_proxy::{Ban, Bans, Prefix, Reason};

/// Most that a full table may take, in bytes.
const MOST: usize = 24 << 20;

#[test]
fn a_million_banned_addresses_fit_into_bounded_memory() {
    let bans = Bans::new(Vec::new());
    let now = SystemTime::now();
    let app: Arc<str> = "shop".into();
    let ban = |address: IpAddr, seconds: u64| Ban {
        prefix: Prefix::client(address, 64),
        reason: Reason::Manual,
        app: Some(app.clone()),
        note: "1a2070c593b00d6befa887d1dd8".into(),
        since: now,
        until: Some(now + Duration::from_secs(seconds)),
        count: 1,
    };
    let automatic = |ban: Ban| Ban { reason: Reason::from_name("firewall").unwrap(), ..ban };
    let wished = ban([192, 0, 2, 1].into(), 60);
    bans.add(wished.clone(), now).unwrap();
    let before = resident();
    let started = Instant::now();
    for number in 0..1_000_000_u64 {
        let address = match number % 2 {
            0 => IpAddr::from([10, (number >> 16) as u8, (number >> 8) as u8, number as u8]),
            _ => Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(number) << 64 | 7).into(),
        };
        bans.add(automatic(ban(address, 3600 + number / 1000)), now).unwrap();
    }
    let elapsed = started.elapsed();
    let grown = resident().saturating_sub(before);
    let kept = bans.list(now).len();
    let asked = Instant::now();
    let found = (0..1_000_000_u32)
        .filter(|number| {
            bans.find([10, (number >> 16) as u8, (number >> 8) as u8, *number as u8].into(), now).is_some()
        })
        .count();
    let asking = asked.elapsed() / 1_000_000;
    println!(
        "1,000,000 bans: {kept} kept, {grown} bytes, {:?} for each, {asking:?} for each question ({found} found)",
        elapsed / 1_000_000
    );
    assert!(kept <= 57_344, "{kept}");
    assert!(kept > 55_000, "{kept}");
    assert!(found > 25_000, "{found}");
    assert!(grown < MOST, "{grown} bytes");
    assert!(
        bans.find([192, 0, 2, 1].into(), now).is_some(),
        "what an operator wished for is never displaced"
    );
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
