//! Reads GeoIP Legacy databases (`.dat`), country and city editions.
//!
//! A binary tree over the bits of an address, one pair of small numbers a node;
//! a number beyond the nodes is the country, or the place of a record. Three
//! bytes 0xFF near the end of the file are followed by the edition and the
//! number of nodes. MaxMind ended the format in 2019; whoever still has a file
//! can use it.

use std::net::IpAddr;
use std::sync::Arc;

use super::legacy_countries::{self, Country};
use super::{Place, countries, regions};

/// Marks the end of the data, before the edition.
const MARK: &[u8] = &[0xff; 3];
/// How far from the end of the file the mark may stand, in bytes.
const MARK_WITHIN: usize = 20;
/// Where the countries of a country edition begin; also its number of nodes.
const COUNTRY_BEGIN: u32 = 16_776_960;
/// Bytes of a number in a node.
const NUMBER: usize = 3;
/// Longest text of a record, in bytes.
const TEXT_LIMIT: usize = 300;

/// A database.
#[derive(Debug)]
pub(crate) struct Legacy {
    contents: Arc<[u8]>,
    is_city: bool,
    is_v6: bool,
    /// City edition of revision 1: records of the United States end with DMA and area code.
    has_codes: bool,
    nodes: u32,
}

/// Whether the file says that it is of this format.
pub(super) fn is_legacy(contents: &[u8]) -> bool {
    mark(contents).is_some()
}

/// Where the text behind the mark begins.
fn mark(contents: &[u8]) -> Option<usize> {
    let from = contents.len().saturating_sub(MARK_WITHIN + MARK.len());
    memchr::memmem::rfind(&contents[from..], MARK).map(|at| from + at + MARK.len())
}

impl Legacy {
    /// Opens the contents of a file; the error says why it cannot be used.
    pub(super) fn open(contents: Arc<[u8]>) -> Result<Self, String> {
        let info = mark(&contents).and_then(|at| contents.get(at..)).unwrap_or_default();
        // Old files count editions from 106.
        let edition =
            info.first().map_or(1, |edition| if *edition >= 106 { edition - 105 } else { *edition });
        let (is_city, is_v6, has_codes) = match edition {
            1 => (false, false, false),
            12 => (false, true, false),
            2 => (true, false, true),
            6 => (true, false, false),
            30 => (true, true, true),
            31 => (true, true, false),
            other => {
                return Err(format!(
                    "the file is a GeoIP Legacy database of edition {other}; country (1, 12) and city editions \
                     (2, 6, 30, 31) are read; use a GeoIP2 or GeoLite2 database (`.mmdb`)"
                ));
            }
        };
        let nodes = match is_city {
            true => little_endian(info.get(1..1 + NUMBER).unwrap_or_default()),
            false => COUNTRY_BEGIN,
        };
        if nodes == 0 || (is_city && (nodes as usize).saturating_mul(2 * NUMBER) > contents.len()) {
            return Err("the file is a GeoIP Legacy database that is cut off".to_owned());
        }
        Ok(Self { contents, is_city, is_v6, has_codes, nodes })
    }

    /// The place of an address.
    pub(super) fn find(&self, address: IpAddr) -> Option<Place> {
        let leaf = match (address, self.is_v6) {
            (IpAddr::V4(address), false) => self.leaf(&address.octets())?,
            (IpAddr::V6(address), true) => self.leaf(&address.octets())?,
            _ => return None,
        };
        let beyond = leaf.checked_sub(self.nodes)? as usize;
        if !self.is_city {
            let mut place = Place::new();
            add_country(&mut place, legacy_countries::country(beyond)?);
            return Some(place);
        }
        if beyond == 0 {
            return None;
        }
        self.record(self.nodes as usize * 2 * NUMBER + beyond)
    }

    /// The number that the bits of an address lead to.
    fn leaf(&self, address: &[u8]) -> Option<u32> {
        let mut node = 0;
        for bit in 0..address.len() * 8 {
            let is_set = address[bit / 8] >> (7 - bit % 8) & 1;
            let at = (node as usize * 2 + usize::from(is_set)) * NUMBER;
            node = little_endian(self.contents.get(at..at + NUMBER)?);
            if node >= self.nodes {
                return Some(node);
            }
        }
        None
    }

    fn record(&self, at: usize) -> Option<Place> {
        let (number, rest) = self.contents.get(at..)?.split_first()?;
        let country = legacy_countries::country(usize::from(*number));
        let (region, rest) = text(rest)?;
        let (city, rest) = text(rest)?;
        let (postal, rest) = text(rest)?;
        let (latitude, longitude) = (rest.get(..NUMBER)?, rest.get(NUMBER..2 * NUMBER)?);
        let mut place = Place::new();
        if let Some(country) = country {
            add_country(&mut place, country);
        }
        let code = country.map_or("", |country| country.code);
        let region = region.map(|region| regions::name(code, region));
        for (name, value) in [("REGION", region), ("CITY", city), ("POSTAL_CODE", postal)] {
            place.extend(value.map(|value| (name, value)));
        }
        place.push(("LATITUDE", degrees(latitude)));
        place.push(("LONGITUDE", degrees(longitude)));
        let codes = rest.get(2 * NUMBER..3 * NUMBER).map(little_endian);
        if let Some(codes) = codes.filter(|codes| self.has_codes && code == "US" && *codes > 0) {
            place.push(("DMA_CODE", (codes / 1000).to_string()));
            place.push(("AREA_CODE", (codes % 1000).to_string()));
        }
        Some(place)
    }
}

fn add_country(place: &mut Place, country: Country) {
    place.push(("COUNTRY_CODE", country.code.to_owned()));
    place.push(("COUNTRY_CODE3", countries::alpha3(country.code).unwrap_or(country.code).to_owned()));
    place.push(("COUNTRY_NAME", country.name.to_owned()));
    place.push(("COUNTRY_CONTINENT", country.continent.to_owned()));
}

/// A text in ISO 8859-1 that ends with NUL, and what follows; an empty one is none.
fn text(bytes: &[u8]) -> Option<(Option<String>, &[u8])> {
    let end = memchr::memchr(0, &bytes[..bytes.len().min(TEXT_LIMIT)])?;
    let text: String = bytes[..end].iter().copied().map(char::from).collect();
    Some((Some(text).filter(|text| !text.is_empty()), &bytes[end + 1..]))
}

/// Ten thousandths of degrees from -180, with six decimals of a `float` as C prints it.
fn degrees(bytes: &[u8]) -> String {
    let degrees = f64::from(little_endian(bytes)) / 10_000.0 - 180.0;
    format!("{:.6}", degrees as f32)
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A city database of one node: addresses below 128.0.0.0 are in Toronto, all others in Los Angeles.
    fn cities() -> Vec<u8> {
        let record = |country: u8, region: &str, city: &str, postal: &str, codes: Option<u32>| {
            let mut record = vec![country];
            for text in [region, city, postal] {
                record.extend(text.chars().map(|letter| letter as u8));
                record.push(0);
            }
            for degrees in [43.7, -79.4f64] {
                record.extend(&(((degrees + 180.0) * 10_000.0).round() as u32).to_le_bytes()[..3]);
            }
            record.extend(codes.map(|codes| codes.to_le_bytes()[..3].to_vec()).unwrap_or_default());
            record
        };
        let first = [vec![0], record(38, "ON", "Torontö", "", None)].concat();
        let second = record(225, "CA", "Los Angeles", "90001", Some(803_310));
        let leaf = |at: usize| (1 + at as u32).to_le_bytes()[..3].to_vec();
        let tree = [leaf(1), leaf(first.len())].concat();
        [tree, first, second, vec![0xff, 0xff, 0xff, 2, 1, 0, 0]].concat()
    }

    fn find(contents: &[u8], address: &str) -> Option<Vec<String>> {
        let place = Legacy::open(contents.into()).unwrap().find(address.parse().unwrap())?;
        Some(place.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }

    #[test]
    fn cities_are_found() {
        let expected = [
            "COUNTRY_CODE=CA",
            "COUNTRY_CODE3=CAN",
            "COUNTRY_NAME=Canada",
            "COUNTRY_CONTINENT=NA",
            "REGION=Ontario",
            "CITY=Torontö",
            "LATITUDE=43.700001",
            "LONGITUDE=-79.400002",
        ];
        assert_eq!(find(&cities(), "1.2.3.4").unwrap(), expected);
        let found = find(&cities(), "200.2.3.4").unwrap();
        for part in
            ["COUNTRY_CODE=US", "REGION=California", "POSTAL_CODE=90001", "DMA_CODE=803", "AREA_CODE=310"]
        {
            assert!(found.contains(&part.to_owned()), "{part} in {found:?}");
        }
        assert_eq!(find(&cities(), "2001:db8::1"), None);
    }

    #[test]
    fn countries_are_found() {
        let leaf = |number: u32| (COUNTRY_BEGIN + number).to_le_bytes()[..3].to_vec();
        let database = [leaf(77), leaf(0), MARK.to_vec(), vec![106]].concat();
        assert!(find(&database, "1.2.3.4").unwrap().contains(&"COUNTRY_NAME=United Kingdom".to_owned()));
        assert_eq!(find(&database, "200.2.3.4"), None);
        let v6 = [leaf(77), leaf(74), MARK.to_vec(), vec![12]].concat();
        assert!(find(&v6, "ffff::1").unwrap().contains(&"COUNTRY_CODE=FR".to_owned()));
        assert_eq!(find(&v6, "1.2.3.4"), None);
    }

    #[test]
    fn other_editions_are_refused() {
        for (tail, reason) in [
            (&[4][..], "edition 4"),
            (&[2, 0xff, 0xff, 0], "cut off"),
            (&[2, 0, 0, 0], "cut off"),
            (&[2], "cut off"),
        ] {
            let database = [&[0; 6], MARK, tail].concat();
            assert!(is_legacy(&database));
            assert!(Legacy::open(database.into()).unwrap_err().contains(reason), "{tail:?}");
        }
        assert!(!is_legacy(b"no database") && !is_legacy(b""));
    }

    #[test]
    fn damaged_databases_never_panic() {
        let good = cities();
        let addresses = ["0.0.0.0", "1.2.3.4", "200.2.3.4", "255.255.255.255", "::1"];
        let try_all = |bytes: &[u8]| {
            if let Ok(database) = Legacy::open(bytes.into()) {
                addresses.iter().for_each(|address| drop(database.find(address.parse().unwrap())));
            }
        };
        for at in 0..good.len() {
            try_all(&good[..at]);
            try_all(&good[at..]);
            for value in [0, 1, 2, 12, 30, 127, 255] {
                let mut bytes = good.clone();
                bytes[at] = value;
                try_all(&bytes);
            }
        }
    }
}
