//! What ties a request to an instance: a hashed key, or a cookie that names the instance.

use std::hash::Hasher;
use std::net::IpAddr;

use crate::backend::Endpoint;
use crate::headers::Headers;
use crate::upstream::http::ForwardedRequest;
use crate::upstream::pool::{Balancing, HashKey, Pool};

/// Ties of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// The key, hashed.
    pub key: Option<u64>,
    /// The instance that the cookie names, as [`instance_id`].
    pub cookie: Option<u64>,
}

impl Affinity {
    /// The ties that `pool` asks for.
    pub fn of(pool: &Pool, request: &ForwardedRequest) -> Self {
        let key = match &pool.balancing {
            Balancing::LeastConnections => None,
            Balancing::Hash(HashKey::Client) => Some(address_hash(request.client)),
            Balancing::Hash(HashKey::Target) => Some(stable_hash(&[&request.path_and_query])),
            // Requests without the header or cookie are spread by load.
            Balancing::Hash(HashKey::Header(name)) => {
                request.headers.get(name).map(|value| stable_hash(&[value]))
            }
            Balancing::Hash(HashKey::Cookie(name)) => {
                cookie(&request.headers, name).map(|value| stable_hash(&[value]))
            }
        };
        let named = pool.sticky.as_ref().and_then(|sticky| cookie(&request.headers, &sticky.name));
        let named = named.and_then(|value| std::str::from_utf8(value).ok());
        Self { key, cookie: named.and_then(|value| u64::from_str_radix(value, 16).ok()) }
    }
}

/// What a sticky cookie says instead of an address.
pub fn instance_id(app: &str, endpoint: &Endpoint) -> u64 {
    stable_hash(&[app.as_bytes(), endpoint.to_string().as_bytes()])
}

/// A number made of a client's address.
pub fn address_hash(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => stable_hash(&[&address.octets()]),
        IpAddr::V6(address) => stable_hash(&[&address.octets()]),
    }
}

/// The weight of a key on an instance; the highest wins (rendezvous hashing).
pub fn score(key: u64, instance: u64, weight: u32) -> f64 {
    let mixed = mix(key ^ instance.rotate_left(32));
    // Uniform in (0, 1]; -w/ln makes the share proportional to the weight.
    let uniform = ((mixed >> 11) as f64 + 1.0) / ((1_u64 << 53) as f64);
    -f64::from(weight) / uniform.ln().min(-f64::MIN_POSITIVE)
}

/// The same for the same bytes in every process (FNV-1a, mixed): a restart must not send everybody elsewhere.
fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Fnv(0xCBF2_9CE4_8422_2325);
    for part in parts {
        hasher.write(part);
        hasher.write_u8(0xff);
    }
    mix(hasher.finish())
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The value of a cookie (RFC 6265 section 5.4), the first of its name.
pub fn cookie<'h>(headers: &'h Headers, name: &str) -> Option<&'h [u8]> {
    let mut fields = headers.iter().filter(|field| crate::headers::is_name(&field.name, "cookie"));
    fields.find_map(|field| {
        field.value.split(|byte| *byte == b';').find_map(|pair| {
            let pair = pair.trim_ascii();
            pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        let mut headers = Headers::default();
        headers.push("Cookie", "ab=1; b=2;c=");
        headers.push("cookie", "d=4");
        for (name, value) in
            [("b", Some("2")), ("ab", Some("1")), ("c", Some("")), ("d", Some("4")), ("a", None)]
        {
            assert_eq!(cookie(&headers, name), value.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn keys_spread_by_weight_and_only_the_keys_of_a_lost_instance_move() {
        let instances: Vec<(u64, u32)> =
            (0..4).map(|index| (mix(index + 7), if index == 0 { 2 } else { 1 })).collect();
        let best = |key: u64, of: &[(u64, u32)]| {
            let by = |left: &&(u64, u32), right: &&(u64, u32)| {
                score(key, left.0, left.1).total_cmp(&score(key, right.0, right.1))
            };
            of.iter().max_by(by).unwrap().0
        };
        let mut counts = std::collections::HashMap::new();
        for number in 0..10_000_u64 {
            let key = stable_hash(&[&number.to_be_bytes()]);
            let first = best(key, &instances);
            *counts.entry(first).or_insert(0) += 1;
            if first != instances[3].0 {
                assert_eq!(best(key, &instances[..3]), first);
            }
        }
        let heavy = counts[&instances[0].0];
        assert!((3_700..4_300).contains(&heavy), "{heavy}");
        for (instance, _) in &instances[1..] {
            assert!((1_800..2_200).contains(&counts[instance]), "{counts:?}");
        }
    }
}
