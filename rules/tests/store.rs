//! The store on a real disk, with a small ruleset made here and the real one where its data lie.
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use hop3_rules::{Mode, PINNED, RulesError, RulesetName, Selection, Snippet, Source, Store, Version};

const RULE: &str = "SecRule ARGS \"@contains attack\" \"id:100,phase:2,deny,ver:'OWASP_CRS/4.1.0'\"\n";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A ruleset of one rule in a folder.
fn small(dir: &Path, rule: &str) -> PathBuf {
    let root = dir.join("small");
    fs::create_dir_all(root.join("rules")).unwrap();
    fs::write(root.join("crs-setup.conf.example"), "SecDefaultAction \"phase:2,log,pass\"\n").unwrap();
    fs::write(root.join("rules/REQUEST-900.conf"), rule).unwrap();
    root
}

/// A gzipped tar of `entries`; an entry whose content is `->TARGET` is a link.
fn archive(path: &Path, entries: &[(&str, &str)]) {
    let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast()));
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(target) = content.strip_prefix("->") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, name, target).unwrap();
        } else {
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
    }
    tar.into_inner().unwrap().finish().unwrap().flush().unwrap();
}

#[test]
fn base_needs_nothing_installed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let assembled = store.assemble(&Selection::new(RulesetName::Base)).unwrap();
    assert_eq!(assembled.name, "base");
    assert!(assembled.document.rules().count() > 30);
    assert!(assembled.document.warnings.is_empty(), "{:?}", assembled.document.warnings);
}

#[test]
fn installs_a_folder_puts_it_to_use_and_keeps_versions_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let crs = Selection::new(RulesetName::OwaspCrs(None));
    assert!(matches!(store.assemble(&crs), Err(RulesError::NotInstalled)));

    let source = Source::Path(small(dir.path(), RULE));
    let (installed, _) = store.install(&source, now()).unwrap();
    assert_eq!((installed.version, installed.official), (version("4.1.0"), false));
    assert_eq!(store.current().unwrap(), Some(version("4.1.0")));
    // Repeating it changes nothing.
    store.install(&source, now()).unwrap();

    small(dir.path(), &RULE.replace("4.1.0", "4.2.0"));
    store.install(&source, now()).unwrap();
    assert_eq!(store.current().unwrap(), Some(version("4.1.0")), "installing does not switch");
    let versions: Vec<_> = store.installed().unwrap().into_iter().map(|i| i.version.to_string()).collect();
    assert_eq!(versions, ["4.1.0", "4.2.0"]);
    store.use_version(&version("4.2.0")).unwrap();
    assert_eq!(store.assemble(&crs).unwrap().version.as_deref(), Some("4.2.0"));
}

#[test]
fn refuses_other_content_under_an_installed_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let source = Source::Path(small(dir.path(), RULE));
    store.install(&source, now()).unwrap();
    small(dir.path(), &RULE.replace("attack", "other"));
    assert!(matches!(store.install(&source, now()), Err(RulesError::Conflict(_))));
}

#[test]
fn broken_rules_are_not_installed_and_say_where() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let broken = RULE.replace("@contains", "@contain");
    let error = store.install(&Source::Path(small(dir.path(), &broken)), now()).unwrap_err().to_string();
    assert!(error.contains("REQUEST-900.conf:1:"), "{error}");
    assert!(error.contains("did you mean `@contains`"), "{error}");
    assert!(store.installed().unwrap().is_empty());
    assert_eq!(fs::read_dir(dir.path().join("store/owasp-crs")).unwrap().count(), 0, "nothing is left over");
}

#[test]
fn verify_names_each_changed_file_and_use_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    store.install(&Source::Path(small(dir.path(), RULE)), now()).unwrap();
    assert!(store.verify(&version("4.1.0")).unwrap().changes.is_empty());

    let folder = dir.path().join("store/owasp-crs/4.1.0");
    fs::write(folder.join("rules/REQUEST-900.conf"), "").unwrap();
    fs::write(folder.join("rules/extra.conf"), "").unwrap();
    fs::remove_file(folder.join("crs-setup.conf.example")).unwrap();
    let changes = store.verify(&version("4.1.0")).unwrap().changes;
    assert_eq!(
        changes,
        [
            "crs-setup.conf.example is missing",
            "rules/REQUEST-900.conf was changed",
            "rules/extra.conf was added"
        ]
    );
    assert!(matches!(store.use_version(&version("4.1.0")), Err(RulesError::Changed { .. })));
    assert!(matches!(store.verify(&version("9.9.9")), Err(RulesError::UnknownVersion { .. })));
}

#[test]
fn unpacks_an_archive_and_only_what_belongs_to_a_ruleset() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let path = dir.path().join("crs.tar.gz");
    archive(
        &path,
        &[
            ("coreruleset-4.1.0/crs-setup.conf.example", ""),
            ("coreruleset-4.1.0/rules/REQUEST-900.conf", RULE),
            ("coreruleset-4.1.0/util/run.sh", "#!/bin/sh"),
            ("coreruleset-4.1.0/rules/deep/er.conf", "nonsense"),
        ],
    );
    let (installed, _) = store.install(&Source::Path(path), now()).unwrap();
    let files: Vec<_> = installed.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(files, ["crs-setup.conf.example", "rules/REQUEST-900.conf"]);
}

#[test]
fn refuses_hostile_archives() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let path = dir.path().join("crs.tar.gz");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("c/crs-setup.conf.example", ""), ("c/rules/a.conf", "->/etc/passwd")], "is not a regular file"),
        (&[("c/README", "")], "crs-setup.conf.example is missing"),
        (&[("c/crs-setup.conf.example", "")], "no rules/*.conf"),
        (&[("c/crs-setup.conf.example", ""), ("c/rules/a.conf", "SecMarker a")], "states its version"),
    ];
    for (entries, expected) in cases {
        archive(&path, entries);
        let error = store.install(&Source::Path(path.clone()), now()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    fs::write(&path, b"no archive").unwrap();
    assert!(matches!(store.install(&Source::Path(path), now()), Err(RulesError::Archive { .. })));
    assert!(store.installed().unwrap().is_empty());
}

#[test]
fn plain_http_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let error = store.install(&Source::from_argument("http://127.0.0.1:1/crs.tar.gz"), now()).unwrap_err();
    assert!(error.to_string().contains("only downloaded over https"), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn snippets_and_mode_reach_the_document() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut selection = Selection::new(RulesetName::Base);
    selection.mode = Mode::Detect;
    let count = |selection: &Selection| store.assemble(selection).unwrap().document.rules().count();
    let before = count(&selection);
    let text = "SecRule ARGS:q \"@streq x\" \"id:7,phase:2,deny\"".to_owned();
    selection.after.push(Snippet { name: "hop3.toml [[waf.rules]] 1".to_owned(), text });
    assert_eq!(count(&selection), before + 1);
    selection.after[0].text = "SecRule ARGS:q \"@streqx x\" \"id:7,phase:2,deny\"".to_owned();
    let error = store.assemble(&selection).unwrap_err().to_string();
    assert!(error.contains("hop3.toml [[waf.rules]] 1:1:17"), "{error}");
}

#[test]
fn a_kept_release_is_read_again_when_a_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Store::open(dir.path()).unwrap();
    plain.install(&Source::Path(small(dir.path(), RULE)), now()).unwrap();
    let store = Store::open(dir.path()).unwrap().keeping();
    let mut selection = Selection::new(RulesetName::OwaspCrs(None));
    let head = |store: &Store, selection: &Selection| {
        let document = store.assemble(selection).unwrap().document;
        document
            .rules()
            .find(|rule| rule.id == 100)
            .map(|rule| (std::ptr::from_ref(rule), document.clone()))
            .unwrap()
    };
    let (first, whole) = head(&store, &selection);
    assert_eq!(whole, head(&plain, &selection).1);
    let text = "SecAction \"id:7,phase:1,pass\"\n".to_owned();
    selection.before.push(Snippet { name: "hop3.toml [[waf.tuning]]".to_owned(), text });
    let (second, own) = head(&store, &selection);
    assert_eq!(own, head(&plain, &selection).1);
    assert_eq!((own.rules().count(), first), (whole.rules().count() + 1, second), "the rule is shared");
    // Also where an application's own rules contradict the release.
    selection.after.push(Snippet { name: "own".to_owned(), text: "SecAction \"id:100,pass\"\n".to_owned() });
    let told = |store: &Store| store.assemble(&selection).unwrap_err().to_string();
    assert_eq!(told(&store), told(&plain));
    selection.after.clear();

    let rules = dir.path().join("owasp-crs/4.1.0/rules/REQUEST-900.conf");
    fs::write(&rules, RULE.replace("attack", "assault")).unwrap();
    let (changed, document) = head(&store, &selection);
    assert_ne!(document, own);
    assert_eq!(document, head(&plain, &selection).1);
    fs::write(rules.with_file_name("REQUEST-901.conf"), "SecAction \"id:901,phase:1,pass\"\n").unwrap();
    assert_eq!(head(&store, &selection).1.rules().count(), document.rules().count() + 1);
    store.forget();
    assert_ne!(head(&store, &selection).0, changed);
}

#[test]
fn a_file_of_the_operator_is_read_with_its_includes_and_nothing_outside() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let own = dir.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("main.conf"), "Include more.conf\n").unwrap();
    fs::write(own.join("more.conf"), RULE).unwrap();
    let selection = Selection::new(RulesetName::File(own.join("main.conf")));
    assert!(store.assemble(&selection).is_ok());
    fs::write(own.join("main.conf"), "Include /etc/hostname\n").unwrap();
    assert!(matches!(store.assemble(&selection), Err(RulesError::Syntax(_))));
}

#[test]
fn the_pinned_release_is_recognised_by_its_content() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let data = workspace.join(std::env::var_os("HOP3_TEST_DATA").unwrap_or_else(|| "../shared".into()));
    if !data.join("crs/rules").is_dir() {
        eprintln!("no Core Rule Set at {}; set HOP3_TEST_DATA", data.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (installed, _) = store.install(&Source::Path(data.join("crs")), now()).unwrap();
    // Another copy than the one that is there by default may have been changed.
    if installed.version == version(PINNED.version) && std::env::var_os("HOP3_TEST_DATA").is_none() {
        assert!(installed.official, "digest is {}", installed.digest);
    }
    let assembled = store.assemble(&Selection::new(RulesetName::OwaspCrs(None))).unwrap();
    assert!(assembled.document.rules().count() > 0);
}

#[test]
fn debians_package_serves_when_its_version_is_asked_for() {
    if !Path::new("/usr/share/modsecurity-crs/rules").is_dir() {
        eprintln!("Debian's package modsecurity-crs is not installed");
        return;
    }
    // The package is reached through its files, so that the test needs no network.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    fs::create_dir_all(copy.join("rules")).unwrap();
    for entry in fs::read_dir("/usr/share/modsecurity-crs/rules").unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join("rules").join(entry.file_name())).unwrap();
    }
    fs::copy("/etc/modsecurity/crs/crs-setup.conf", copy.join("crs-setup.conf")).unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let (installed, _) = store.install(&Source::Path(copy), now()).unwrap();
    assert_eq!(installed.version.major(), 3);
    assert!(
        store.assemble(&Selection::new(RulesetName::OwaspCrs(None))).unwrap().document.rules().count() > 400
    );
}
