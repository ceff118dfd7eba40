//! Manifest files that must load, and files that must be refused with exactly the text that lies beside them.
//!
//! `HOP3_BLESS=1` writes the texts anew; read the difference before keeping it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

use std::fs;
use std::path::{Path, PathBuf};

use hop3_runtimes::manifest::{Manifest, ManifestError, ProcessCommand};

fn cases(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(kind);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn load(files: &[(&str, &str)]) -> Result<Manifest, ManifestError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    Manifest::load(folder.path())
}

#[test]
fn valid_files_load_and_survive_storage() {
    for file in cases("valid") {
        let text = fs::read_to_string(&file).unwrap();
        let manifest =
            load(&[("hop3.toml", &text)]).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let json = serde_json::to_string(&manifest).unwrap();
        let stored: Manifest =
            serde_json::from_str(&json).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert_eq!(stored, manifest, "{}", file.display());
    }
}

#[test]
fn invalid_files_are_refused_with_place_and_hint() {
    let bless = std::env::var_os("HOP3_BLESS").is_some();
    let mut faults = Vec::new();
    for file in cases("invalid") {
        let text = fs::read_to_string(&file).unwrap();
        let Err(error) = load(&[("hop3.toml", &text)]) else {
            faults.push(format!("{}: loaded", file.display()));
            continue;
        };
        let expected_file = file.with_extension("txt");
        let message = format!("{error}\n");
        if bless {
            fs::write(&expected_file, &message).unwrap();
        }
        let expected = fs::read_to_string(&expected_file).unwrap_or_default();
        if message != expected {
            faults.push(format!("{}:\n--- expected\n{expected}--- got\n{message}", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn hop3_toml_wins_over_procfile_and_the_rest_is_merged() {
    let manifest = load(&[
        (
            "Procfile",
            "web: from procfile\nworker: celery\nprebuild: make a\nprerun: check\nrelease: migrate\n",
        ),
        (
            "hop3.toml",
            "[run]\nstart = ['a', 'b']\nbefore-run = 'other'\n[run.workers]\nmail = 'm'\n[env]\nB = 'toml'\n",
        ),
        ("ENV", "A=file\nB=file\n"),
    ])
    .unwrap();
    assert_eq!(manifest.web(), Some(&ProcessCommand::Command("a && b".into())));
    let names: Vec<_> = manifest.run.processes.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["mail", "web", "worker"]);
    assert_eq!(manifest.build.before_build, ["make a"]);
    assert_eq!(
        (&manifest.run.before_run[..], &manifest.run.release[..]),
        (&["other".into()][..], &["migrate".into()][..])
    );
    let env: Vec<_> = manifest.literal_env().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=file", "B=toml"]);
    assert_eq!(manifest.files.len(), 3);
}

#[test]
fn procfile_alone() {
    let manifest = load(&[("Procfile", "wsgi: shop.wsgi:app\n")]).unwrap();
    assert!(
        matches!(manifest.web(), Some(ProcessCommand::Wsgi(target)) if target.as_str() == "shop.wsgi:app")
    );
    let manifest = load(&[("Procfile", "static: public\n")]).unwrap();
    assert_eq!(manifest.web(), Some(&ProcessCommand::Static("public".into())));
    let error = load(&[("Procfile", "static: ../../etc\n")]).unwrap_err().to_string();
    assert!(error.contains("must lie inside the app"), "{error}");
    assert!(load(&[]).unwrap().web().is_none());
}

#[test]
fn what_is_not_acted_on_is_said() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/valid/everything.toml");
    let manifest = load(&[("hop3.toml", &fs::read_to_string(file).unwrap())]).unwrap();
    let all: Vec<_> = manifest.unenforced(&[]).iter().map(ToString::to_string).collect();
    for part in ["[limits]", "[sandbox]", "[backup]", "[[cron]]", "[[addons]]", "[waf.bans]"] {
        assert!(
            all.iter().any(|line| line.starts_with(&format!("`{part}` is read but not enforced yet"))),
            "{part}"
        );
    }
    assert_eq!(manifest.unenforced(&["[limits]"]).len(), all.len() - 1);
    assert!(load(&[("hop3.toml", "[run]\nstart = 'x'\n")]).unwrap().unenforced(&[]).is_empty());
}

#[test]
fn links_and_oversized_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("ENV")).unwrap();
    assert_eq!(Manifest::load(folder.path()).unwrap_err().to_string(), "`ENV` is not a plain file");
    let error = load(&[("Procfile", &"#".repeat(2 << 20))]).unwrap_err().to_string();
    assert_eq!(error, "`Procfile` is larger than 1 MiB");
}
