//! Names of regions by the codes of GeoIP Legacy databases: the postal codes of
//! the United States and Canada. Other countries have codes of a withdrawn
//! standard (FIPS 10-4) in these files; they are shown as they are.

const UNITED_STATES: &str = "AA Armed Forces Americas|AE Armed Forces Europe, Middle East, & Canada|AK Alaska|AL Alabama|\
AP Armed Forces Pacific|AR Arkansas|AS American Samoa|AZ Arizona|CA California|CO Colorado|CT Connecticut|\
DC District of Columbia|DE Delaware|FL Florida|FM Federated States of Micronesia|GA Georgia|GU Guam|HI Hawaii|\
IA Iowa|ID Idaho|IL Illinois|IN Indiana|KS Kansas|KY Kentucky|LA Louisiana|MA Massachusetts|MD Maryland|\
ME Maine|MH Marshall Islands|MI Michigan|MN Minnesota|MO Missouri|MP Northern Mariana Islands|MS Mississippi|\
MT Montana|NC North Carolina|ND North Dakota|NE Nebraska|NH New Hampshire|NJ New Jersey|NM New Mexico|\
NV Nevada|NY New York|OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|PR Puerto Rico|PW Palau|\
RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VA Virginia|\
VI Virgin Islands|VT Vermont|WA Washington|WI Wisconsin|WV West Virginia|WY Wyoming";

const CANADA: &str = "AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland|NS Nova Scotia|\
NT Northwest Territories|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec|SK Saskatchewan|YT Yukon Territory";

/// The name of a region, or its code when the name is not known.
pub(super) fn name(country: &str, code: String) -> String {
    let names = match country {
        "US" => UNITED_STATES,
        "CA" => CANADA,
        _ => return code,
    };
    let mut entries = names.split('|').filter_map(|entry| entry.split_once(' '));
    entries.find(|(known, _)| *known == code).map_or(code, |(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = |country, code: &str| name(country, code.to_owned());
        assert_eq!(name("US", "CA"), "California");
        assert_eq!(name("CA", "QC"), "Quebec");
        assert_eq!(name("FR", "B4"), "B4");
        assert_eq!(name("US", "ZZ"), "ZZ");
        assert_eq!(UNITED_STATES.split('|').count(), 62);
    }
}
