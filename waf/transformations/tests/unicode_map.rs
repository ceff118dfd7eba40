//! Reads ModSecurity's own `unicode.mapping` (below `HOP3_TEST_DATA`).

use std::path::Path;

use hop3_transformations::{Context, Transformation, UnicodeMap, UnicodeMapError};

#[test]
fn the_file_of_modsecurity_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = root.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()));
    let file = data.join("modsecurity-tests/unicode.mapping");
    let Ok(text) = std::fs::read_to_string(&file) else {
        println!("skipped: {} is missing (HOP3_TEST_DATA)", file.display());
        return;
    };
    let Err(UnicodeMapError::UnknownCodePage { available, .. }) = UnicodeMap::parse(&text, 0) else {
        panic!("code page 0 found");
    };
    assert!(available.len() >= 28 && available.contains(&20127), "{available:?}");
    for page in available {
        let map = UnicodeMap::parse(&text, page).unwrap();
        assert!(map.len() > 5, "{page} maps {}", map.len());
    }
    let ascii = UnicodeMap::parse(&text, 20127).unwrap();
    assert_eq!((ascii.get(0x00c0), ascii.get(0x2039), ascii.get(0x4e00)), (Some(b'A'), Some(b'<'), None));
    let context = Context { unicode_map: Some(&ascii) };
    let mut output = Vec::new();
    assert!(Transformation::UrlDecodeUni.apply(b"%uff0fetc%uff0fpa%u015fswd%u4e41", &mut output, &context));
    assert_eq!(output, b"/etc/passwdA");
}
