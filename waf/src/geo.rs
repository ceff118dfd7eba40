//! `@geoLookup` and the GEO collection: an address looked up in a MaxMind file.
//!
//! GEO has the members that ModSecurity v3 fills from such a file (COUNTRY_CODE,
//! COUNTRY_NAME, COUNTRY_CONTINENT, CITY, POSTAL_CODE, LATITUDE, LONGITUDE), and
//! COUNTRY_CODE3, REGION and DMA_CODE, which v3 fills from the older format.
//! AREA_CODE is only in files of that one, which `legacy` reads.

mod countries;
mod legacy;
mod legacy_countries;
mod regions;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use maxminddb::{LookupResult, PathElement, Reader};

use legacy::Legacy;

use crate::state::State;
use crate::text::TextId;

/// A geographic database.
#[derive(Debug)]
pub(crate) enum Places {
    /// GeoIP2, GeoLite2.
    MaxMind(Reader<Arc<[u8]>>),
    /// GeoIP Legacy.
    Legacy(Legacy),
}

/// What is known about an address: members of GEO with their values.
pub(crate) type Place = Vec<(&'static str, String)>;

impl Places {
    /// Opens the contents of a `.mmdb` or `.dat` file; the error says why it cannot be used.
    pub(crate) fn open(contents: Arc<[u8]>) -> Result<Self, String> {
        match Reader::from_source(contents.clone()) {
            Ok(reader) => Ok(Self::MaxMind(reader)),
            Err(_) if legacy::is_legacy(&contents) => Legacy::open(contents).map(Self::Legacy),
            Err(error) => Err(format!(
                "the file is no MaxMind database (`.mmdb`) and no GeoIP Legacy one (`.dat`): {error}"
            )),
        }
    }

    /// The place of an address in text form; names of hosts are not resolved.
    pub(crate) fn find(&self, address: &[u8]) -> Option<Place> {
        let address = IpAddr::from_str(std::str::from_utf8(address).ok()?).ok()?.to_canonical();
        match self {
            Self::MaxMind(reader) => {
                let found = reader.lookup(address).ok()?;
                found.has_data().then(|| members(&found))
            }
            Self::Legacy(legacy) => legacy.find(address),
        }
    }
}

fn members(found: &LookupResult<'_, Arc<[u8]>>) -> Place {
    use PathElement::{Index, Key};
    let code = text(found, &[Key("country"), Key("iso_code")]);
    let code3 = code.as_deref().and_then(countries::alpha3).map(str::to_owned);
    let region = text(found, &[Key("subdivisions"), Index(0), Key("names"), Key("en")]);
    let all = [
        ("COUNTRY_CODE", code),
        ("COUNTRY_CODE3", code3),
        ("COUNTRY_NAME", text(found, &[Key("country"), Key("names"), Key("en")])),
        ("COUNTRY_CONTINENT", text(found, &[Key("continent"), Key("names"), Key("en")])),
        ("REGION", region),
        ("CITY", text(found, &[Key("city"), Key("names"), Key("en")])),
        ("POSTAL_CODE", text(found, &[Key("postal"), Key("code")])),
        ("LATITUDE", degrees(found, "latitude")),
        ("LONGITUDE", degrees(found, "longitude")),
        ("DMA_CODE", number(found, &[Key("location"), Key("metro_code")])),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What is missing and what has another type are the same: not there.
fn text(found: &LookupResult<'_, Arc<[u8]>>, path: &[PathElement<'_>]) -> Option<String> {
    found.decode_path::<String>(path).ok().flatten()
}

fn number(found: &LookupResult<'_, Arc<[u8]>>, path: &[PathElement<'_>]) -> Option<String> {
    found.decode_path::<u16>(path).ok().flatten().map(|number| number.to_string())
}

/// With six decimals, as C prints a `double`.
fn degrees(found: &LookupResult<'_, Arc<[u8]>>, key: &str) -> Option<String> {
    let path = [PathElement::Key("location"), PathElement::Key(key)];
    let number = found.decode_path::<f64>(&path).ok().flatten().map(|degrees| format!("{degrees:.6}"));
    number.or_else(|| text(found, &path))
}

impl State {
    /// Fills GEO with the place of an address, or empties it.
    pub(crate) fn locate(&mut self, places: &Places, address: TextId) {
        let place = places.find(self.texts.bytes(address)).unwrap_or_default();
        self.collections.geo =
            place.iter().map(|(name, value)| self.field(name.as_bytes(), value.as_bytes())).collect();
    }
}
