//! The countries of GeoIP Legacy databases, in the order of their numbers.

/// Code, continent and English name of each country.
const COUNTRIES: &str = "\
-- -- ?|AP AS Asia/Pacific Region|EU EU Europe|AD EU Andorra|AE AS United Arab Emirates|AF AS Afghanistan|\
AG NA Antigua and Barbuda|AI NA Anguilla|AL EU Albania|AM AS Armenia|CW NA Curacao|AO AF Angola|\
AQ AN Antarctica|AR SA Argentina|AS OC American Samoa|AT EU Austria|AU OC Australia|AW NA Aruba|\
AZ AS Azerbaijan|BA EU Bosnia and Herzegovina|BB NA Barbados|BD AS Bangladesh|BE EU Belgium|\
BF AF Burkina Faso|BG EU Bulgaria|BH AS Bahrain|BI AF Burundi|BJ AF Benin|BM NA Bermuda|\
BN AS Brunei Darussalam|BO SA Bolivia|BR SA Brazil|BS NA Bahamas|BT AS Bhutan|BV AN Bouvet Island|\
BW AF Botswana|BY EU Belarus|BZ NA Belize|CA NA Canada|CC AS Cocos (Keeling) Islands|\
CD AF Congo, The Democratic Republic of the|CF AF Central African Republic|CG AF Congo|CH EU Switzerland|\
CI AF Cote D'Ivoire|CK OC Cook Islands|CL SA Chile|CM AF Cameroon|CN AS China|CO SA Colombia|\
CR NA Costa Rica|CU NA Cuba|CV AF Cape Verde|CX AS Christmas Island|CY AS Cyprus|CZ EU Czech Republic|\
DE EU Germany|DJ AF Djibouti|DK EU Denmark|DM NA Dominica|DO NA Dominican Republic|DZ AF Algeria|\
EC SA Ecuador|EE EU Estonia|EG AF Egypt|EH AF Western Sahara|ER AF Eritrea|ES EU Spain|ET AF Ethiopia|\
FI EU Finland|FJ OC Fiji|FK SA Falkland Islands (Malvinas)|FM OC Micronesia, Federated States of|\
FO EU Faroe Islands|FR EU France|SX NA Sint Maarten (Dutch part)|GA AF Gabon|GB EU United Kingdom|\
GD NA Grenada|GE AS Georgia|GF SA French Guiana|GH AF Ghana|GI EU Gibraltar|GL NA Greenland|\
GM AF Gambia|GN AF Guinea|GP NA Guadeloupe|GQ AF Equatorial Guinea|GR EU Greece|\
GS AN South Georgia and the South Sandwich Islands|GT NA Guatemala|GU OC Guam|GW AF Guinea-Bissau|\
GY SA Guyana|HK AS Hong Kong|HM AN Heard Island and McDonald Islands|HN NA Honduras|HR EU Croatia|\
HT NA Haiti|HU EU Hungary|ID AS Indonesia|IE EU Ireland|IL AS Israel|IN AS India|\
IO AS British Indian Ocean Territory|IQ AS Iraq|IR AS Iran, Islamic Republic of|IS EU Iceland|IT EU Italy|\
JM NA Jamaica|JO AS Jordan|JP AS Japan|KE AF Kenya|KG AS Kyrgyzstan|KH AS Cambodia|KI OC Kiribati|\
KM AF Comoros|KN NA Saint Kitts and Nevis|KP AS Korea, Democratic People's Republic of|\
KR AS Korea, Republic of|KW AS Kuwait|KY NA Cayman Islands|KZ AS Kazakhstan|\
LA AS Lao People's Democratic Republic|LB AS Lebanon|LC NA Saint Lucia|LI EU Liechtenstein|\
LK AS Sri Lanka|LR AF Liberia|LS AF Lesotho|LT EU Lithuania|LU EU Luxembourg|LV EU Latvia|LY AF Libya|\
MA AF Morocco|MC EU Monaco|MD EU Moldova, Republic of|MG AF Madagascar|MH OC Marshall Islands|\
MK EU Macedonia|ML AF Mali|MM AS Myanmar|MN AS Mongolia|MO AS Macau|MP OC Northern Mariana Islands|\
MQ NA Martinique|MR AF Mauritania|MS NA Montserrat|MT EU Malta|MU AF Mauritius|MV AS Maldives|\
MW AF Malawi|MX NA Mexico|MY AS Malaysia|MZ AF Mozambique|NA AF Namibia|NC OC New Caledonia|NE AF Niger|\
NF OC Norfolk Island|NG AF Nigeria|NI NA Nicaragua|NL EU Netherlands|NO EU Norway|NP AS Nepal|\
NR OC Nauru|NU OC Niue|NZ OC New Zealand|OM AS Oman|PA NA Panama|PE SA Peru|PF OC French Polynesia|\
PG OC Papua New Guinea|PH AS Philippines|PK AS Pakistan|PL EU Poland|PM NA Saint Pierre and Miquelon|\
PN OC Pitcairn Islands|PR NA Puerto Rico|PS AS Palestinian Territory|PT EU Portugal|PW OC Palau|\
PY SA Paraguay|QA AS Qatar|RE AF Reunion|RO EU Romania|RU EU Russian Federation|RW AF Rwanda|\
SA AS Saudi Arabia|SB OC Solomon Islands|SC AF Seychelles|SD AF Sudan|SE EU Sweden|SG AS Singapore|\
SH AF Saint Helena|SI EU Slovenia|SJ EU Svalbard and Jan Mayen|SK EU Slovakia|SL AF Sierra Leone|\
SM EU San Marino|SN AF Senegal|SO AF Somalia|SR SA Suriname|ST AF Sao Tome and Principe|\
SV NA El Salvador|SY AS Syrian Arab Republic|SZ AF Swaziland|TC NA Turks and Caicos Islands|TD AF Chad|\
TF AN French Southern Territories|TG AF Togo|TH AS Thailand|TJ AS Tajikistan|TK OC Tokelau|\
TM AS Turkmenistan|TN AF Tunisia|TO OC Tonga|TL AS Timor-Leste|TR EU Turkey|TT NA Trinidad and Tobago|\
TV OC Tuvalu|TW AS Taiwan|TZ AF Tanzania, United Republic of|UA EU Ukraine|UG AF Uganda|\
UM OC United States Minor Outlying Islands|US NA United States|UY SA Uruguay|UZ AS Uzbekistan|\
VA EU Holy See (Vatican City State)|VC NA Saint Vincent and the Grenadines|VE SA Venezuela|\
VG NA Virgin Islands, British|VI NA Virgin Islands, U.S.|VN AS Vietnam|VU OC Vanuatu|\
WF OC Wallis and Futuna|WS OC Samoa|YE AS Yemen|YT AF Mayotte|RS EU Serbia|ZA AF South Africa|\
ZM AF Zambia|ME EU Montenegro|ZW AF Zimbabwe|A1 -- Anonymous Proxy|A2 -- Satellite Provider|O1 -- Other|\
AX EU Aland Islands|GG EU Guernsey|IM EU Isle of Man|JE EU Jersey|BL NA Saint Barthelemy|\
MF NA Saint Martin|BQ NA Bonaire, Saint Eustatius and Saba|SS AF South Sudan|O1 -- Other";

/// A country of a legacy database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Country {
    pub(super) code: &'static str,
    /// Code of the continent, two letters.
    pub(super) continent: &'static str,
    pub(super) name: &'static str,
}

/// The country of a number; 0 is none.
pub(super) fn country(number: usize) -> Option<Country> {
    let entry = COUNTRIES.split('|').nth(number).filter(|_| number > 0)?;
    let (code, rest) = entry.split_once(' ')?;
    let (continent, name) = rest.split_once(' ')?;
    Some(Country { code, continent, name })
}

#[cfg(test)]
mod tests {
    use super::country;

    #[test]
    fn numbers() {
        let code = |number| country(number).map(|country| country.code);
        assert_eq!(super::COUNTRIES.split('|').count(), 256);
        for (number, expected) in [
            (1, "AP"),
            (38, "CA"),
            (74, "FR"),
            (77, "GB"),
            (111, "JP"),
            (162, "NO"),
            (191, "SE"),
            (225, "US"),
            (255, "O1"),
        ] {
            assert_eq!(code(number), Some(expected), "{number}");
        }
        assert_eq!((code(0), code(256), code(100_000)), (None, None, None));
        for number in 1..256 {
            let country = country(number).unwrap();
            assert!(
                country.code.len() == 2 && country.continent.len() == 2 && country.name.len() > 2,
                "{country:?}"
            );
        }
    }
}
