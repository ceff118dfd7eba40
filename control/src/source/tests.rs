//! Round trips, and archives made to break out.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::*;

fn packed(root: &Path) -> Result<Vec<u8>, PackError> {
    let mut bytes = Vec::new();
    pack(root, &Ignore::new([]), Limits::DEFAULT, &mut bytes)?;
    Ok(bytes)
}

#[test]
fn a_tree_survives_the_journey() {
    let source = tempfile::tempdir().unwrap();
    let long = "long-".repeat(30);
    fs::create_dir_all(source.path().join("bin/empty")).unwrap();
    fs::create_dir_all(source.path().join(".git/objects")).unwrap();
    fs::write(source.path().join("bin/run"), "#!/bin/sh\n").unwrap();
    fs::write(source.path().join(&long), "x").unwrap();
    fs::set_permissions(source.path().join("bin/run"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("bin/run", source.path().join("start")).unwrap();
    let bytes = packed(source.path()).unwrap();
    assert_eq!(bytes, packed(source.path()).unwrap(), "the same tree gives the same bytes");

    let target = tempfile::tempdir().unwrap();
    unpack(bytes.as_slice(), target.path(), Limits::DEFAULT).unwrap();
    let mode = fs::metadata(target.path().join("bin/run")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert_eq!(fs::read_link(target.path().join("start")).unwrap(), Path::new("bin/run"));
    assert!(target.path().join("bin/empty").is_dir());
    assert!(target.path().join(long).is_file());
    assert!(!target.path().join(".git").exists());
}

#[test]
fn a_file_with_holes_is_a_plain_file() {
    let source = tempfile::tempdir().unwrap();
    fs::File::create(source.path().join("data.db")).unwrap().set_len(1 << 20).unwrap();
    let target = tempfile::tempdir().unwrap();
    unpack(&packed(source.path()).unwrap()[..], target.path(), Limits::DEFAULT).unwrap();
    assert_eq!(fs::metadata(target.path().join("data.db")).unwrap().len(), 1 << 20);
}

#[test]
fn links_out_of_the_tree_are_not_packed() {
    for target in ["/etc/passwd", "../x", "a/../../x"] {
        let source = tempfile::tempdir().unwrap();
        symlink(target, source.path().join("link")).unwrap();
        assert!(matches!(packed(source.path()), Err(PackError::LinkOutside { .. })), "{target}");
    }
}

/// An entry whose path is written raw, as no honest packer would.
fn entry(kind: EntryType, path: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, content).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(512 + content.len().div_ceil(512) * 512);
    bytes
}

#[test]
fn hostile_archives_are_refused_and_write_nothing_outside() {
    let link_then_file =
        [entry(EntryType::Symlink, "d", "e", b""), entry(EntryType::Regular, "d/x", "", b"x")].concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("parent", entry(EntryType::Regular, "../escaped", "", b"x")),
        ("inner parent", entry(EntryType::Regular, "a/../../escaped", "", b"x")),
        ("absolute", entry(EntryType::Regular, "/tmp/hop3-escaped", "", b"x")),
        ("link out", entry(EntryType::Symlink, "l", "../../etc", b"")),
        ("absolute link", entry(EntryType::Symlink, "l", "/etc", b"")),
        ("hard link", entry(EntryType::Link, "l", "/etc/passwd", b"")),
        ("device", entry(EntryType::Char, "null", "", b"")),
        ("pipe", entry(EntryType::Fifo, "pipe", "", b"")),
        ("cut short", entry(EntryType::Regular, "a", "", &[b'x'; 2000])[..1024].to_vec()),
    ];
    for (name, bytes) in cases {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("in/side");
        fs::create_dir_all(&target).unwrap();
        assert!(unpack(bytes.as_slice(), &target, Limits::DEFAULT).is_err(), "{name} was accepted");
        assert!(!root.path().join("escaped").exists() && !root.path().join("in/escaped").exists(), "{name}");
    }
    let target = tempfile::tempdir().unwrap();
    assert!(
        unpack(link_then_file.as_slice(), target.path(), Limits::DEFAULT).is_err(),
        "links are made last, so a link cannot take the place of a folder"
    );
}

#[test]
fn bounds_hold_on_both_sides() {
    let source = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(source.path().join(name), [0; 1000]).unwrap();
    }
    let bytes = packed(source.path()).unwrap();
    for limits in [Limits { files: 2, bytes: 1 << 20 }, Limits { files: 9, bytes: 2999 }] {
        let refused = pack(source.path(), &Ignore::new([]), limits, std::io::sink());
        assert!(matches!(refused, Err(PackError::TooLarge { .. })));
        let target = tempfile::tempdir().unwrap();
        let refused = unpack(bytes.as_slice(), target.path(), limits);
        assert!(matches!(refused, Err(UnpackError::TooLarge(_))));
    }
}
