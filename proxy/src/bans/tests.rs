//! Offences to bans, bans to their end, and who is spared.

use std::time::Duration;

use super::*;

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn rules() -> BanRules {
    BanRules { threshold: 3, window: Duration::from_secs(60), duration: Duration::from_secs(100) }
}

fn offend(bans: &Bans, client: &str, offence: Offence, times: usize, now: SystemTime) -> Vec<Ban> {
    let (rules, app) = (rules(), Arc::from("shop"));
    let circumstances = Circumstances { app: Some((&app, Some(&rules))), transaction: "t1" };
    let report = |_| bans.report(client.parse().unwrap(), offence, circumstances, now);
    (0..times).filter_map(report).collect()
}

fn banned(bans: &Bans, client: &str, now: SystemTime) -> bool {
    bans.find(client.parse().unwrap(), now).is_some()
}

#[test]
fn three_offences_ban_and_the_next_ban_lasts_twice_as_long() {
    let bans = Bans::default();
    assert!(offend(&bans, "192.0.2.1", Offence::Firewall, 2, time(0)).is_empty());
    let first = offend(&bans, "192.0.2.1", Offence::Malformed, 1, time(1)).remove(0);
    assert_eq!(first.reason, Reason::Offence(Offence::Malformed), "the last straw is the reason");
    assert_eq!((first.until, first.count, &*first.note), (Some(time(101)), 1, "t1"));
    assert_eq!(first.app.as_deref(), Some("shop"));
    assert!(banned(&bans, "192.0.2.1", time(100)) && !banned(&bans, "192.0.2.1", time(101)));
    assert!(!banned(&bans, "192.0.2.2", time(50)));
    assert!(offend(&bans, "192.0.2.1", Offence::Firewall, 9, time(50)).is_empty(), "it is banned already");

    let again = offend(&bans, "192.0.2.1", Offence::Firewall, 3, time(200)).remove(0);
    assert_eq!((again.until, again.count), (Some(time(400)), 2));
    let third = offend(&bans, "192.0.2.1", Offence::Firewall, 3, time(500)).remove(0);
    assert_eq!((third.until, third.count), (Some(time(900)), 3));

    bans.sweep(time(900) + bans.settings().max_duration);
    assert!(bans.remembered().is_empty());
    let later = time(1000) + bans.settings().max_duration;
    assert_eq!(
        offend(&bans, "192.0.2.1", Offence::Firewall, 3, later)[0].count,
        1,
        "what was long ago is over"
    );
}

#[test]
fn points_depend_on_the_offence() {
    for (offence, times) in [
        (Offence::Firewall, 3),
        (Offence::Authentication, 3),
        (Offence::NotFound, 30),
        (Offence::RateLimit, 15),
        (Offence::Malformed, 3),
    ] {
        let bans = Bans::default();
        assert!(offend(&bans, "192.0.2.1", offence, times - 1, time(0)).is_empty(), "{offence:?}");
        assert_eq!(offend(&bans, "192.0.2.1", offence, 1, time(0)).len(), 1, "{offence:?}");
    }
}

#[test]
fn slow_offenders_are_not_banned() {
    let bans = Bans::default();
    for minute in 0..100 {
        let slow = offend(&bans, "192.0.2.1", Offence::Firewall, 1, time(minute * 60));
        assert!(slow.is_empty(), "{minute}");
    }
}

#[test]
fn a_network_of_ipv6_is_one_client() {
    let bans = Bans::default();
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        offend(&bans, address, Offence::Firewall, 1, time(0));
    }
    assert!(banned(&bans, "2001:db8::ffff", time(1)));
    assert!(!banned(&bans, "2001:db8:0:1::1", time(1)));
    assert_eq!(bans.list(time(1))[0].prefix.to_string(), "2001:db8::/64");
    bans.configure(BanSettings { ipv6_prefix: 48, ..BanSettings::default() });
    offend(&bans, "2001:db8:7:1::1", Offence::Firewall, 3, time(0));
    assert!(banned(&bans, "2001:db8:7:2::1", time(1)));
}

fn manual(prefix: &str) -> Ban {
    Ban {
        prefix: prefix.parse().unwrap(),
        reason: Reason::Manual,
        app: None,
        note: "scanner".into(),
        since: time(0),
        until: None,
        count: 1,
    }
}

/// As many bans, each of another address.
fn many(count: u32, reason: Reason) -> impl Iterator<Item = Ban> {
    let address = |number| std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).into();
    let until = Some(time(1000));
    (0..count).map(move |number| Ban {
        prefix: Prefix::host(address(number)),
        reason,
        until,
        ..manual("::1")
    })
}

#[test]
fn proxies_and_those_allowed_are_never_banned() {
    let bans = Bans::new(vec!["10.0.0.0/24".parse().unwrap()]);
    let allow = vec!["192.0.2.8/29".parse().unwrap()];
    bans.configure(BanSettings { allow, ..BanSettings::default() });
    for spared in ["10.0.0.9", "192.0.2.9"] {
        assert!(offend(&bans, spared, Offence::Firewall, 50, time(0)).is_empty(), "{spared}");
    }
    let refused = bans.add(manual("192.0.2.12"), time(0)).unwrap_err().to_string();
    assert_eq!(refused, "`192.0.2.12` lies in `192.0.2.8/29`, which is never banned");
    bans.add(manual("0.0.0.0/0"), time(0)).unwrap();
    for (client, away) in [("10.0.0.9", false), ("192.0.2.9", false), ("192.0.2.16", true), ("::1", false)] {
        assert_eq!(banned(&bans, client, time(5)), away, "{client}");
    }
    bans.configure(BanSettings::default());
    assert!(banned(&bans, "192.0.2.9", time(5)), "it is allowed no longer");
}

#[test]
fn apps_without_rules_ban_nobody_but_are_counted() {
    let bans = Bans::default();
    let app = Arc::from("shop");
    for app in [Some((&app, None)), None] {
        let circumstances = Circumstances { app, transaction: "" };
        for _ in 0..50 {
            assert_eq!(bans.report([192, 0, 2, 1].into(), Offence::Firewall, circumstances, time(0)), None);
        }
    }
    assert!(bans.expose(time(0)).contains("hop3_ban_offences_total{reason=\"firewall\"} 100"));
}

#[test]
fn what_is_lifted_begins_anew() {
    let bans = Bans::default();
    offend(&bans, "192.0.2.1", Offence::Firewall, 3, time(0));
    let prefix: Prefix = "192.0.2.1".parse().unwrap();
    assert_eq!(bans.take_changes(), Changes::These(vec![prefix]));
    assert_eq!(bans.take_changes(), Changes::These(vec![]));
    assert!(bans.lift(&prefix).is_some() && bans.lift(&prefix).is_none());
    assert_eq!(bans.take_changes(), Changes::These(vec![prefix]));
    assert!(!banned(&bans, "192.0.2.1", time(1)));
    assert!(offend(&bans, "192.0.2.1", Offence::Firewall, 2, time(1)).is_empty());
    assert_eq!(offend(&bans, "192.0.2.1", Offence::Firewall, 1, time(1))[0].count, 1);

    let other = Bans::default();
    assert_eq!(other.restore(bans.remembered(), time(1)), 0);
    assert_eq!(other.list(time(2)), bans.list(time(2)));
    assert_eq!(other.take_changes(), Changes::These(vec![]), "what was kept is kept");
}

#[test]
fn what_has_no_room_after_a_restart_is_told() {
    let bans = Bans::default();
    assert_eq!(bans.restore(many(58_000, Reason::Offence(Offence::Firewall)), time(0)), 0);
    let Changes::These(left) = bans.take_changes() else { panic!("fewer than that left") };
    assert!(!left.is_empty(), "more than the table holds");
    assert_eq!(left.len() + bans.remembered().len(), 58_000);
    assert!(left.iter().all(|prefix| bans.get(prefix).is_none()), "who has to forget them is told");

    let full = Bans::default();
    let without_room = full.restore(many(70_000, Reason::Manual), time(0));
    assert_eq!(
        (without_room + full.remembered().len(), full.take_changes()),
        (70_000, Changes::These(vec![]))
    );
    let told = format!("hop3_bans_without_room_total {without_room}");
    assert!(full.expose(time(0)).lines().any(|line| line == told), "{told}");
    let refused = (0..255).find_map(|number| full.add(manual(&format!("192.0.2.{number}")), time(0)).err());
    assert_eq!(refused, Some(BanError::Full));
    let offenders = |bans: &Bans| {
        (0..255)
            .flat_map(|last| offend(bans, &format!("203.{last}.113.1"), Offence::Firewall, 3, time(0)))
            .count()
    };
    let put = offenders(&full);
    let told = format!("hop3_bans_without_room_total {}", without_room + 1 + 255 - put);
    assert!(put < 255 && full.expose(time(0)).lines().any(|line| line == told), "{told}");
}

#[test]
fn what_leaves_for_a_wish_can_be_put_back() {
    let bans = Bans::default();
    assert_eq!(bans.restore(many(57_000, Reason::Offence(Offence::Firewall)), time(0)), 0);
    let before = bans.list(time(0));
    let wishes = (0..255).map(|number| manual(&format!("192.0.2.{number}")));
    let (wish, evicted) = wishes
        .map(|wish| (wish.prefix, bans.add(wish, time(0)).unwrap()))
        .inspect(|(wish, evicted)| {
            if evicted.is_none() {
                bans.lift(wish);
            }
        })
        .find_map(|(wish, evicted)| Some((wish, evicted?)))
        .unwrap();
    assert!(bans.get(&evicted.prefix).is_none() && before.contains(&evicted));
    bans.lift(&wish);
    assert_eq!(bans.restore([evicted], time(0)), 0);
    assert!(bans.list(time(0)) == before);
}

#[test]
fn too_many_changes_are_told_as_such() {
    let bans = Bans::default();
    for number in 0..20_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0A00_0000 + number).to_string();
        offend(&bans, &address, Offence::Firewall, 3, time(0));
    }
    assert_eq!(bans.take_changes(), Changes::All);
    assert_eq!(bans.take_changes(), Changes::These(vec![]));
}

/// Bans the clients of these numbers below `network`, each by three offences.
fn ban_clients(bans: &Bans, network: &str, numbers: std::ops::Range<u32>, now: SystemTime) {
    for number in numbers {
        let client = format!("{network}{number:x}");
        assert_eq!(offend(bans, &client, Offence::Firewall, 3, now).len(), 1, "{client}");
    }
}

fn with_networks(network_after: u16) -> Bans {
    let bans = Bans::default();
    bans.configure(BanSettings { network_after, ..BanSettings::default() });
    bans
}

#[test]
fn a_network_is_banned_when_many_of_its_clients_are() {
    let bans = with_networks(8);
    // A /24 of IPv4; the numbers are below ten in either base.
    ban_clients(&bans, "192.0.2.", 0..7, time(0));
    ban_clients(&bans, "192.0.3.", 0..7, time(0));
    assert!(!banned(&bans, "192.0.2.200", time(1)), "seven of eight");
    ban_clients(&bans, "192.0.2.", 7..8, time(99));
    assert!(banned(&bans, "192.0.2.200", time(100)) && !banned(&bans, "192.0.3.200", time(100)));
    let ban = bans.get(&"192.0.2.0/24".parse().unwrap()).unwrap();
    assert_eq!((ban.reason, ban.until, ban.count), (Reason::Network, Some(time(199)), 1));
    assert_eq!((ban.app.as_deref(), &*ban.note), (Some("shop"), "t1"), "by whom it was the last straw");
    assert!(bans.expose(time(100)).contains("hop3_bans_total{reason=\"network\"} 1"));
    // The second time it lasts twice as long.
    assert!(!banned(&bans, "192.0.2.200", time(199)));
    ban_clients(&bans, "192.0.2.", 0..8, time(1000));
    assert_eq!(bans.get(&ban.prefix).unwrap().until, Some(time(1200)));

    // Lifted, it begins anew.
    assert!(bans.lift(&ban.prefix).is_some());
    assert!(!banned(&bans, "192.0.2.200", time(1001)));

    // A /48 of IPv6, whose clients are /64s.
    for subnet in 0..8 {
        assert!(!banned(&bans, "2001:db8:1:ffff::1", time(0)), "{subnet}");
        offend(&bans, &format!("2001:db8:1:{subnet}::1"), Offence::Firewall, 3, time(0));
    }
    assert!(banned(&bans, "2001:db8:1:ffff::1", time(1)) && !banned(&bans, "2001:db8:2::1", time(1)));
}

#[test]
fn networks_are_spared_where_bans_are_few_or_old_or_nobody_wants_it() {
    // One after the other, each ban over before the next: as it is with a network that many share.
    let bans = with_networks(8);
    for number in 0..9 {
        ban_clients(&bans, "192.0.2.", number..number + 1, time(u64::from(number) * 60));
    }
    assert!(!banned(&bans, "192.0.2.200", time(481)), "five or six within a hundred seconds");
    let never = with_networks(0);
    (1..25).for_each(|tens| ban_clients(&never, &format!("192.0.2.{tens}"), 0..10, time(0)));
    assert_eq!(never.list(time(1)).len(), 240);
    assert!(!banned(&never, "192.0.2.255", time(1)));
    // Whoever is allowed stays so within a banned network.
    let some = Bans::new(vec!["192.0.2.100".parse().unwrap()]);
    let allow = vec!["192.0.2.200".parse().unwrap()];
    some.configure(BanSettings { network_after: 2, allow, ..BanSettings::default() });
    ban_clients(&some, "192.0.2.", 0..2, time(0));
    let away = ["192.0.2.99", "192.0.2.100", "192.0.2.200"].map(|client| banned(&some, client, time(1)));
    assert_eq!(away, [true, false, false]);
    // What an operator said about exactly this network holds.
    let operated = with_networks(2);
    let wish = Ban {
        prefix: "192.0.2.0/24".parse().unwrap(),
        reason: Reason::Manual,
        until: None,
        ..offend(&operated, "192.0.2.1", Offence::Firewall, 3, time(0)).remove(0)
    };
    operated.add(wish.clone(), time(0)).unwrap();
    ban_clients(&operated, "192.0.2.", 2..9, time(1));
    assert_eq!(operated.get(&wish.prefix), Some(wish));
}
