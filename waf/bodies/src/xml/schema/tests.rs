//! Schemas, and what is valid by them.

use super::Schema;
use crate::Limits;
use crate::xml::parse_tree;

const ORDER: &str = r###"<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:o="urn:order" targetNamespace="urn:order"
           elementFormDefault="qualified">
  <xs:annotation><xs:documentation>An <b>order</b></xs:documentation></xs:annotation>
  <xs:element name="order" type="o:order"/>
  <xs:element name="note" type="xs:string"/>
  <xs:attribute name="lang" type="xs:language"/>
  <xs:complexType name="order">
    <xs:sequence>
      <xs:element name="customer" minOccurs="0">
        <xs:complexType><xs:simpleContent><xs:extension base="xs:token">
          <xs:attribute name="id" type="xs:positiveInteger" use="required"/>
        </xs:extension></xs:simpleContent></xs:complexType>
      </xs:element>
      <xs:element name="item" type="o:item" maxOccurs="3"/>
      <xs:choice minOccurs="0"><xs:element ref="o:note"/><xs:element name="gift" type="xs:boolean"/></xs:choice>
      <xs:any namespace="##other" processContents="lax" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence>
    <xs:attributeGroup ref="o:common"/>
  </xs:complexType>
  <xs:complexType name="item">
    <xs:all><xs:element name="code" type="o:code"/><xs:element name="price" type="o:price"/>
      <xs:element name="sizes" type="o:sizes" minOccurs="0"/></xs:all>
  </xs:complexType>
  <xs:complexType name="base" abstract="true"><xs:sequence><xs:element name="a" type="xs:int"/></xs:sequence></xs:complexType>
  <xs:complexType name="derived"><xs:complexContent><xs:extension base="o:base">
    <xs:sequence><xs:element name="b" type="xs:date" nillable="true"/></xs:sequence></xs:extension></xs:complexContent></xs:complexType>
  <xs:element name="tree" type="o:tree"/>
  <xs:complexType name="tree" mixed="true"><xs:sequence><xs:element ref="o:tree" minOccurs="0" maxOccurs="unbounded"/></xs:sequence></xs:complexType>
  <xs:element name="some" type="o:base"/>
  <xs:simpleType name="code"><xs:restriction base="xs:string"><xs:pattern value="[A-Z]{2}\d+|none"/><xs:maxLength value="6"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="price"><xs:restriction base="xs:decimal"><xs:minExclusive value="0"/><xs:maxInclusive value="1e2000"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="size"><xs:restriction base="xs:token"><xs:enumeration value="S"/><xs:enumeration value="L"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="sizes"><xs:list><xs:simpleType><xs:union memberTypes="o:size xs:unsignedByte"/></xs:simpleType></xs:list></xs:simpleType>
  <xs:attributeGroup name="common"><xs:attribute ref="o:lang"/><xs:attribute name="version" fixed="1"/></xs:attributeGroup>
</xs:schema>"###;

fn order() -> Schema {
    Schema::parse(ORDER.replace("1e2000", "99.50").as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn verdict(schema: &Schema, body: &str) -> Result<(), String> {
    let (_, tree) = parse_tree(body.as_bytes(), &Limits::default());
    assert!(tree.is_whole(), "{body}");
    schema.validate(&tree)
}

fn wrapped(inside: &str) -> String {
    format!(
        "<order xmlns='urn:order' xmlns:o='urn:order' xmlns:x='urn:x' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:xs='http://www.w3.org/2001/XMLSchema'{inside}</order>"
    )
}

const ITEM: &str = "<item><price>9.50</price><code>AB1</code></item>";

#[test]
fn documents_are_valid_or_not() {
    let schema = order();
    let valid = [
        format!(">{ITEM}"),
        format!(
            " version='1' o:lang='en-GB'> <customer id='7'> A  B </customer>{ITEM}{ITEM}{ITEM}<note>x</note>"
        ),
        "><item><sizes>S 7 L</sizes><code>none</code><price>99.50</price></item><gift>1</gift>".to_owned(),
        format!(">{ITEM}<x:y><z xsi:type='xs:int'>5</z></x:y><x:y o:lang='de'/>"),
    ];
    for inside in valid {
        assert_eq!(verdict(&schema, &wrapped(&inside)), Ok(()), "{inside}");
    }
    let invalid = [
        (
            ">".to_owned(),
            "Missing child element(s). Expected is one of ( {urn:order}customer, {urn:order}item ).",
        ),
        (format!(">{ITEM}<note/><gift>1</gift>"), "{urn:order}gift': This element is not expected."),
        (format!(">{ITEM}{ITEM}{ITEM}{ITEM}"), "{urn:order}item': This element is not expected."),
        (format!(">text{ITEM}"), "Character content other than whitespace"),
        (format!(">{ITEM}<gift>yes</gift>"), "'yes' is not a valid value of the atomic type 'xs:boolean'."),
        (format!("><customer>A</customer>{ITEM}"), "The attribute 'id' is required but missing."),
        (
            format!("><customer id='0'>A</customer>{ITEM}"),
            "attribute 'id': '0' is not a valid value of the atomic type 'xs:positiveInteger'.",
        ),
        (format!(" version='2'>{ITEM}"), "attribute 'version': '2' is not"),
        (format!(" o:lang='?'>{ITEM}"), "attribute '{urn:order}lang': '?' is not"),
        (format!(" other='2'>{ITEM}"), "The attribute 'other' is not allowed."),
        (
            "><item><price>1</price></item>".to_owned(),
            "Missing child element(s). Expected is ( {urn:order}code ).",
        ),
        (
            "><item><price>1</price><price>1</price></item>".to_owned(),
            "{urn:order}price': This element is not expected.",
        ),
        (
            "><item><price>0</price><code>AB1</code></item>".to_owned(),
            "'0' is not a valid value of the atomic type 'price'.",
        ),
        ("><item><price>99.51</price><code>AB1</code></item>".to_owned(), "'99.51' is not"),
        ("><item><price>1</price><code>ab1</code></item>".to_owned(), "'ab1' is not"),
        ("><item><price>1</price><code>AB12345</code></item>".to_owned(), "'AB12345' is not"),
        (
            "><item><price>1</price><code>AB1</code><sizes>S M</sizes></item>".to_owned(),
            "'S M' is not a valid value of the list type 'sizes'.",
        ),
        (
            format!(">{ITEM}<x:y><z xsi:type='xs:int'>x</z></x:y>"),
            "'x' is not a valid value of the atomic type 'xs:int'.",
        ),
        (format!(">{ITEM}<x:y o:lang='?'/>"), "attribute '{urn:order}lang'"),
        (format!(">{ITEM}<x:y><o:note><z/></o:note></x:y>"), "z': This element is not expected."),
        (format!(">{ITEM}<x:y xsi:type='xs:none'/>"), "does not resolve to a type definition"),
    ];
    for (inside, expected) in invalid {
        let found = verdict(&schema, &wrapped(&inside)).unwrap_err();
        assert!(found.contains(expected), "{inside}: {found}");
    }
    assert!(verdict(&schema, "<order/>").unwrap_err().contains("No matching global declaration"));
}

#[test]
fn types_can_be_derived_and_recursive() {
    let schema = order();
    let some = |inside: &str| {
        verdict(
            &schema,
            &format!(
                "<some xmlns='urn:order' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' {inside}</some>"
            ),
        )
    };
    assert_eq!(some("xsi:type='derived'><a>1</a><b>2024-02-29</b>"), Ok(()));
    assert_eq!(some("xsi:type='derived'><a>1</a><b xsi:nil='true'/>"), Ok(()));
    assert!(some("><a>1</a>").unwrap_err().contains("abstract"));
    assert!(some("xsi:type='derived'><a>1</a><b>2023-02-29</b>").is_err());
    assert!(some("xsi:type='order'><a>1</a>").unwrap_err().contains("not validly derived"));
    let deep = format!("<tree xmlns='urn:order'>x{}</tree>", "<tree>y</tree>".repeat(3));
    assert_eq!(verdict(&schema, &deep), Ok(()));
}

#[test]
fn built_in_types() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("decimal", &["1", "-1.50", "+.5", "5."], &["", "1e2", ".", "1,0"]),
        ("int", &["2147483647", "-2147483648", "+0007"], &["2147483648", "1.0", "--1"]),
        ("double", &["1e5", "-INF", "NaN", ".5"], &["inf", "1e", "infinity"]),
        (
            "dateTime",
            &["2024-02-29T23:59:59.5Z", "2024-01-01T24:00:00+14:00", "-0001-01-01T00:00:00"],
            &["2024-02-30T00:00:00", "2024-01-01T24:00:01", "2024-01-01", "2024-01-01T00:00:00+14:01"],
        ),
        ("time", &["00:00:00", "23:59:59.25Z"], &["24:01:00", "1:00:00"]),
        ("gMonthDay", &["--02-29"], &["--02-30", "02-29"]),
        ("gYear", &["2024", "-0001Z", "12024"], &["24", "02024"]),
        ("duration", &["P1Y", "-P1DT2H3.5S", "PT1M"], &["P", "P1", "PT", "P1S", "PT1.5H"]),
        ("hexBinary", &["", "0aFF"], &["0", "xx"]),
        ("base64Binary", &["", "QUJD", "QU I=", "QQ=="], &["QUJ", "Q===", "Q!=="]),
        ("QName", &["a", "b:a"], &["a:b:c", ":a", ""]),
        ("language", &["en", "de-CH-1996"], &["", "e1", "toolonglang"]),
        ("NMTOKENS", &["1 -a b"], &["", "a,b"]),
    ];
    for (name, valid, invalid) in cases {
        let schema = format!(
            "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='e' type='xs:{name}'/></xs:schema>"
        );
        let schema = Schema::parse(schema.as_bytes()).unwrap();
        for (value, expected) in
            valid.iter().map(|value| (value, true)).chain(invalid.iter().map(|value| (value, false)))
        {
            assert_eq!(verdict(&schema, &format!("<e>{value}</e>")).is_ok(), expected, "{name} {value:?}");
        }
    }
}

#[test]
fn what_is_not_supported_is_refused() {
    let cases = [
        ("<xs:import namespace='urn:x'/>", "`import` is not supported"),
        ("<xs:element name='a' substitutionGroup='b'/>", "substitution groups"),
        ("<xs:element name='a' type='xs:nothing'/>", "there is no type `xs:nothing`"),
        ("<xs:element name='a' type='none:x'/>", "prefix of `none:x`"),
        ("<xs:element name='a'/><xs:element name='a'/>", "declared twice"),
        ("<xs:simpleType name='a'><xs:restriction base='a'/></xs:simpleType>", "defined by itself"),
        (
            "<xs:simpleType name='a'><xs:restriction base='xs:date'><xs:minInclusive value='1'/></xs:restriction></xs:simpleType>",
            "decimal numbers only",
        ),
        (
            "<xs:simpleType name='a'><xs:restriction base='xs:string'><xs:pattern value='\\w'/></xs:restriction></xs:simpleType>",
            "`\\w` is not supported",
        ),
        (
            "<xs:complexType name='a'><xs:choice><xs:element name='b'/><xs:element name='b'/></xs:choice></xs:complexType>",
            "ambiguous",
        ),
        (
            "<xs:complexType name='a'><xs:sequence maxOccurs='1000'><xs:element name='b'/></xs:sequence></xs:complexType>",
            "too large",
        ),
        (
            "<xs:element name='a'><xs:complexType/><xs:key name='k'/></xs:element>",
            "`xs:key` is not supported",
        ),
        (
            "<xs:group name='g'><xs:sequence><xs:group ref='g'/></xs:sequence></xs:group><xs:complexType name='a'><xs:group ref='g'/></xs:complexType>",
            "too deep",
        ),
        ("<xs:other/>", "`xs:other` is not supported"),
    ];
    for (inside, reason) in cases {
        let schema = format!("<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>{inside}</xs:schema>");
        let error = Schema::parse(schema.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(reason), "{inside}: {error:?}");
    }
    assert!(Schema::parse(b"<xs:chema xmlns:xs='http://www.w3.org/2001/XMLSchema'/>").is_err());
    assert!(Schema::parse(b"<xs:schema").is_err() && Schema::parse(b"").is_err());
}

#[test]
fn damaged_schemas_never_panic() {
    for at in (0..ORDER.len()).step_by(7) {
        let mut bytes = ORDER.as_bytes().to_vec();
        bytes[at] = b'x';
        let _ = Schema::parse(&bytes);
        let _ = Schema::parse(&ORDER.as_bytes()[..at]);
    }
}
