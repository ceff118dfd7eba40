//! Choosing an instance: the one with the fewest active requests, in turn among equals, those set aside last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::upstream::instance::Instance;

/// The instances of one route.
#[derive(Debug)]
pub struct Balancer {
    instances: Vec<Arc<Instance>>,
    turn: AtomicUsize,
}

impl Balancer {
    /// Balances over these instances.
    pub const fn new(instances: Vec<Arc<Instance>>) -> Self {
        Self { instances, turn: AtomicUsize::new(0) }
    }

    /// All instances.
    pub fn instances(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    /// The instance to try next, other than the ones tried already as long as there are others.
    pub fn choose(&self, tried: &[Arc<Instance>]) -> Option<&Arc<Instance>> {
        let count = self.instances.len();
        if count <= 1 {
            return self.instances.first();
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..count).map(|step| &self.instances[(turn + step) % count]);
        in_turn.min_by_key(|instance| {
            let was_tried = tried.iter().any(|other| Arc::ptr_eq(other, instance));
            (was_tried, !instance.is_up(), instance.active())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Endpoint;
    use crate::upstream::instance::Instances;

    #[test]
    fn instances_take_turns_and_the_failed_and_busy_ones_are_avoided() {
        let registry = Instances::default();
        let instance = |name: &str| registry.get(&Endpoint::Named(name.into()));
        let (a, b, c) = (instance("a"), instance("b"), instance("c"));
        let balancer = Balancer::new(vec![a.clone(), b.clone(), c.clone()]);
        let names = |balancer: &Balancer, count: usize| -> Vec<String> {
            (0..count).map(|_| balancer.choose(&[]).unwrap().endpoint().to_string()).collect()
        };
        assert_eq!(names(&balancer, 4), ["a", "b", "c", "a"]);
        let _busy = a.begin();
        b.failed();
        b.failed();
        assert_eq!(names(&balancer, 3), ["c", "c", "c"]);
        assert_eq!(balancer.choose(&[c]).unwrap().endpoint().to_string(), "a");
    }
}
