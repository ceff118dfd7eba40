//! Choosing an instance: by cookie, by key, or the one with the fewest requests for its weight; in turn among
//! equals, those set aside last, and of those the ones that may be asked first.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::upstream::affinity::{Affinity, instance_id, score};
use crate::upstream::instance::{Instance, Instances, Wire};
use crate::upstream::pool::Pool;

/// The instances of one route.
#[derive(Debug)]
pub struct Balancer {
    pool: Arc<Pool>,
    seats: Vec<Seat>,
    turn: AtomicUsize,
}

/// An instance with its place in the group.
#[derive(Debug)]
struct Seat {
    instance: Arc<Instance>,
    weight: u32,
    id: u64,
}

/// What is to be expected of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hope {
    /// It is up, and this request did not try it.
    Up,
    /// It is up; a connection to it ended under this request, which a new one may not.
    UpAnew,
    /// It is set aside, but may be asked.
    Aside,
    /// The same, and this request tried it, or could not connect to it.
    AsideAnew,
    /// It must not be asked.
    None,
}

/// What came of a choice.
#[derive(Debug)]
pub enum Choice<'b> {
    /// This one.
    Instance(&'b Arc<Instance>),
    /// All have as many requests as they may have.
    Busy,
    /// All are set aside; the first may be tried again after this time.
    Open(Duration),
}

impl Balancer {
    /// Balances over the members of a group. `app` makes the cookies of different apps differ.
    pub fn new(app: &str, pool: &Arc<Pool>, instances: &Instances) -> Self {
        let wire = Wire::of(pool);
        let seat = |member: &crate::upstream::pool::Member| Seat {
            instance: instances.get(&member.endpoint, wire, pool.tls.as_ref()),
            weight: member.weight,
            id: instance_id(app, &member.endpoint),
        };
        Self { seats: pool.members.iter().map(seat).collect(), pool: pool.clone(), turn: AtomicUsize::new(0) }
    }

    /// The group as published.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// All instances.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.seats.iter().map(|seat| &seat.instance)
    }

    /// Whether another instance than this one is up to take its requests.
    pub fn has_another(&self, instance: &Arc<Instance>) -> bool {
        self.instances().any(|other| !Arc::ptr_eq(other, instance) && other.is_up())
    }

    /// The value of the sticky cookie that the answer of `instance` should set: none when there is no such cookie or
    /// the browser has it already.
    pub fn cookie_for(&self, instance: &Arc<Instance>, affinity: &Affinity) -> Option<u64> {
        self.pool.sticky.as_ref()?;
        let seat = self.seats.iter().find(|seat| Arc::ptr_eq(&seat.instance, instance))?;
        (affinity.cookie != Some(seat.id)).then_some(seat.id)
    }

    /// The instance to try next for a client: other than the ones tried already as long as others are up.
    pub fn choose(&self, tried: &[Arc<Instance>], affinity: &Affinity, client: IpAddr) -> Choice<'_> {
        if let [seat] = &self.seats[..] {
            return self.admit(seat, client);
        }
        if let Some(id) = affinity.cookie
            && let Some(seat) = self.seats.iter().find(|seat| seat.id == id)
            && seat.instance.is_up_for(client)
            && !was_tried(seat, tried)
            && let choice @ Choice::Instance(_) = self.admit(seat, client)
        {
            return choice;
        }
        if let Some(key) = affinity.key {
            let is_candidate = |seat: &&Seat| seat.instance.is_up_for(client) && !was_tried(seat, tried);
            let candidates = self.seats.iter().filter(is_candidate);
            let free = candidates.filter(|seat| seat.weight > 0 && !self.is_full(seat));
            let scored = free.map(|seat| (score(key, seat.id, seat.weight), seat));
            if let Some((_, seat)) = scored.max_by(|left, right| left.0.total_cmp(&right.0)) {
                return Choice::Instance(&seat.instance);
            }
        }
        self.least_busy(tried, client)
    }

    fn least_busy(&self, tried: &[Arc<Instance>], client: IpAddr) -> Choice<'_> {
        let count = self.seats.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..count).map(|step| &self.seats[(turn + step) % count]);
        let best = in_turn.filter(|seat| !self.is_full(seat)).min_by_key(|seat| {
            let rests = !self.takes_part(seat, turn);
            (self.hope(seat, tried, client), seat.weight == 0, rests, load(seat))
        });
        best.map_or(Choice::Busy, |seat| self.admit(seat, client))
    }

    /// What is to be expected of a seat, the best first.
    fn hope(&self, seat: &Seat, tried: &[Arc<Instance>], client: IpAddr) -> Hope {
        let (instance, was_tried) = (&seat.instance, was_tried(seat, tried));
        match instance.is_up_for(client) {
            true if !was_tried => Hope::Up,
            true if instance.is_reached() => Hope::UpAnew,
            _ if instance.open_for(client, &self.pool.breaker).is_some() => Hope::None,
            _ if was_tried => Hope::AsideAnew,
            _ => Hope::Aside,
        }
    }

    /// Whether it is a seat's turn: one that came up lately has fewer, spread evenly, so that it gets its share whether
    /// there is much to do or little.
    fn takes_part(&self, seat: &Seat, turn: usize) -> bool {
        // Multiples of the golden ratio: what comes behind the point is everywhere equally often.
        let place = (turn as f64 * 0.618_033_988_749_894_9).fract();
        place < seat.instance.warmth(self.pool.slow_start)
    }

    fn is_full(&self, seat: &Seat) -> bool {
        seat.instance.active() >= self.pool.max_connections
    }

    fn admit<'s>(&self, seat: &'s Seat, client: IpAddr) -> Choice<'s> {
        if let Some(pause) = seat.instance.open_for(client, &self.pool.breaker) {
            return Choice::Open(pause);
        }
        if self.is_full(seat) { Choice::Busy } else { Choice::Instance(&seat.instance) }
    }
}

/// Requests under way, as it would be with one more, in relation to the weight in millionths.
fn load(seat: &Seat) -> usize {
    seat.instance.active().saturating_add(1).saturating_mul(1_000_000) / seat.weight.max(1) as usize
}

fn was_tried(seat: &Seat, tried: &[Arc<Instance>]) -> bool {
    tried.iter().any(|other| Arc::ptr_eq(other, &seat.instance))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::backend::Endpoint;
    use crate::upstream::pool::{Protocol, StickyCookie};

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn balancer(change: impl FnOnce(&mut Pool)) -> (Balancer, Vec<Arc<Instance>>) {
        let names = ["a", "b", "c"].map(|name| Endpoint::Named(name.into()));
        let mut pool = Pool::new(Protocol::Http, names);
        // Longer than any test takes.
        let pause = Duration::from_secs(3600);
        (pool.breaker.first_pause, pool.breaker.longest_pause) = (pause, pause);
        change(&mut pool);
        let balancer = Balancer::new("shop", &Arc::new(pool), &Instances::default());
        let instances = balancer.instances().cloned().collect();
        (balancer, instances)
    }

    fn name(choice: Choice<'_>) -> String {
        match choice {
            Choice::Instance(instance) => instance.endpoint().to_string(),
            Choice::Busy => "busy".to_owned(),
            Choice::Open(_) => "open".to_owned(),
        }
    }

    fn names(balancer: &Balancer, count: usize) -> Vec<String> {
        (0..count).map(|_| name(balancer.choose(&[], &Affinity::default(), CLIENT))).collect()
    }

    #[test]
    fn instances_take_turns_and_the_failed_and_busy_ones_are_avoided() {
        let (balancer, all) = balancer(|_| {});
        assert_eq!(names(&balancer, 4), ["a", "b", "c", "a"]);
        let _busy = all[0].begin(1);
        all[1].unreached(&balancer.pool().breaker);
        all[1].unreached(&balancer.pool().breaker);
        assert_eq!(names(&balancer, 3), ["c", "c", "c"]);
        assert_eq!(name(balancer.choose(&[all[2].clone()], &Affinity::default(), CLIENT)), "a");
    }

    #[test]
    fn weights_are_shares() {
        let (balancer, all) = balancer(|pool| {
            pool.members[0].weight = 3;
            pool.members[1].weight = 0;
        });
        let mut active = Vec::new();
        for _ in 0..40 {
            let Choice::Instance(chosen) = balancer.choose(&[], &Affinity::default(), CLIENT) else {
                panic!()
            };
            active.push(chosen.begin(100).unwrap());
        }
        assert_eq!(all.iter().map(|instance| instance.active()).collect::<Vec<_>>(), [30, 0, 10]);
    }

    #[test]
    fn full_and_broken_groups_say_so() {
        let (balancer, all) = balancer(|pool| {
            pool.max_connections = 1;
            pool.breaker.open_after = 4;
        });
        let guards: Vec<_> = all.iter().map(|instance| instance.begin(1).unwrap()).collect();
        assert!(all[0].begin(1).is_none());
        assert_eq!(names(&balancer, 1), ["busy"]);
        drop(guards);
        for instance in &all {
            (0..4).for_each(|_| instance.unreached(&balancer.pool().breaker));
        }
        assert_eq!(names(&balancer, 1), ["open"]);
        all[1].succeeded();
        assert_eq!(names(&balancer, 2), ["b", "b"]);
    }

    #[test]
    fn one_that_came_up_gets_its_share_of_little_and_of_much() {
        let (balancer, all) = balancer(|pool| pool.slow_start = Duration::from_millis(500));
        while all.iter().any(|instance| instance.warmth(balancer.pool().slow_start) < 1.0) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(all[0].checked(false) && all[0].checked(true));
        // A tenth of a third, and more on a slow machine, as it warms.
        let of_little = names(&balancer, 3000).iter().filter(|name| *name == "a").count();
        assert!((60..=900).contains(&of_little), "{of_little} of 3,000");
        assert!(all[0].checked(false) && all[0].checked(true));
        let mut active = Vec::new();
        for _ in 0..3000 {
            let Choice::Instance(chosen) = balancer.choose(&[], &Affinity::default(), CLIENT) else {
                panic!()
            };
            active.push(chosen.begin(usize::MAX));
        }
        assert!((60..=900).contains(&all[0].active()), "{} of 3,000", all[0].active());
    }

    /// Whoever may be asked is asked, a second time if need be, before a request is refused.
    #[test]
    fn one_that_lost_a_connection_is_asked_again_before_one_that_is_down() {
        let (balancer, all) = balancer(|pool| pool.breaker.open_after = 4);
        let breaker = balancer.pool().breaker;
        let tries = |tried: &[Arc<Instance>]| name(balancer.choose(tried, &Affinity::default(), CLIENT));
        // One is set aside, one open.
        (0..2).for_each(|_| all[0].unreached(&breaker));
        (0..4).for_each(|_| all[1].unreached(&breaker));
        for _ in 0..6 {
            assert_eq!(tries(&[]), "c");
            assert_eq!(tries(&[all[2].clone()]), "c", "a connection of the one that is up ended");
        }
        // No connection can be made to that one either.
        all[2].unreached(&breaker);
        (0..6).for_each(|_| assert_eq!(tries(&[all[2].clone()]), "a"));
        (0..6).for_each(|_| assert_ne!(tries(&[all[2].clone(), all[0].clone()]), "open"));
        // One that active checks found down is not asked while another may be.
        all[2].checked(false);
        (0..6).for_each(|_| assert_eq!(tries(&[]), "a"));
        (0..6).for_each(|_| assert_eq!(tries(&[all[0].clone()]), "a"));
        (0..2).for_each(|_| all[0].unreached(&breaker));
        assert_eq!(tries(&[]), "open");
    }

    /// Who fails is led elsewhere, alone; where all failed him he is sent to one of them.
    #[test]
    fn failures_of_a_client_lead_himself_away() {
        let (balancer, all) = balancer(|_| {});
        let other = Ipv4Addr::new(192, 0, 2, 1).into();
        let fail = |instance: &Arc<Instance>| {
            (0..30).for_each(|_| instance.unanswered(CLIENT, true, &balancer.pool().breaker));
        };
        fail(&all[0]);
        assert!(names(&balancer, 6).iter().all(|name| name != "a"));
        let of_other: Vec<_> =
            (0..6).map(|_| name(balancer.choose(&[], &Affinity::default(), other))).collect();
        assert!(of_other.contains(&"a".to_owned()), "{of_other:?}");
        all.iter().for_each(fail);
        assert_eq!(names(&balancer, 3), ["a", "b", "c"]);
    }

    #[test]
    fn a_cookie_names_its_instance_as_long_as_it_is_up() {
        let sticky = StickyCookie { name: "s".into(), max_age: None };
        let (balancer, all) = balancer(|pool| pool.sticky = Some(sticky));
        let cookie = balancer.cookie_for(&all[1], &Affinity::default());
        let tied = Affinity { cookie, key: None };
        assert!(cookie.is_some());
        assert_eq!(balancer.cookie_for(&all[1], &tied), None);
        let chosen: Vec<_> = (0..3).map(|_| name(balancer.choose(&[], &tied, CLIENT))).collect();
        assert_eq!(chosen, ["b", "b", "b"]);
        all[1].unreached(&balancer.pool().breaker);
        all[1].unreached(&balancer.pool().breaker);
        assert_ne!(name(balancer.choose(&[], &tied, CLIENT)), "b");
    }
}
