//! `[[waf.tuning]]` and `[[waf.rules]]` as SecLang.
//!
//! An exception without a path becomes a directive after the ruleset; one with a path becomes a rule before it that
//! changes the rules for this transaction only (ModSecurity manual, `ctl`).

use std::fs;
use std::path::{Path, PathBuf};

use hop3_rules::Snippet;
use hop3_runtimes::manifest::waf::{OwnRules, RuleSelector, RulesPosition, Tuning};

use super::Owner;
use super::places::place;
use crate::failure::Failure;

/// First id of the rules made here; 8,100,000 to 8,199,999 are the product's own.
const FIRST_ID: u64 = 8_100_200;
/// Largest file of own rules: 1 MiB.
const LARGEST_FILE: u64 = 1 << 20;

/// Own SecLang, by where it stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Snippets {
    /// Before the ruleset.
    pub before: Vec<Snippet>,
    /// After the ruleset.
    pub after: Vec<Snippet>,
}

/// The SecLang of all exceptions and own rules of `owner`.
///
/// # Errors
/// A path or target that cannot be written in SecLang, or a file that cannot be read.
pub fn snippets(tuning: &[Tuning], rules: &[OwnRules], owner: &Owner) -> Result<Snippets, Failure> {
    let mut snippets = Snippets::default();
    let (mut before, mut after) = (String::new(), String::new());
    for (index, exception) in tuning.iter().enumerate() {
        match &exception.path {
            None => after.push_str(&directives(exception)),
            Some(path) => before.push_str(&path_rule(exception, path, index)?),
        }
    }
    for (text, place) in [(before, &mut snippets.before), (after, &mut snippets.after)] {
        if !text.is_empty() {
            place.push(Snippet { name: "hop3.toml [[waf.tuning]]".into(), text });
        }
    }
    for (index, own) in rules.iter().enumerate() {
        let snippet = own_rules(own, index, owner)?;
        match own.position {
            RulesPosition::Before => snippets.before.push(snippet),
            RulesPosition::After => snippets.after.push(snippet),
        }
    }
    Ok(snippets)
}

/// An exception that holds everywhere.
fn directives(exception: &Tuning) -> String {
    let mut text = String::new();
    for selector in &exception.disable {
        let (verb, what) = match selector {
            RuleSelector::Ids(first, last) if first == last => ("Id", first.to_string()),
            RuleSelector::Ids(first, last) => ("Id", format!("{first}-{last}")),
            RuleSelector::Tag(tag) => ("Tag", format!("\"{}\"", exact(tag))),
        };
        if exception.targets.is_empty() {
            text.push_str(&format!("SecRuleRemoveBy{verb} {what}\n"));
        }
        for target in &exception.targets {
            text.push_str(&format!("SecRuleUpdateTargetBy{verb} {what} \"!{target}\"\n"));
        }
    }
    text
}

/// An exception for a path: the path is decoded and normalised before it is compared, so that `/a/../b` gets no
/// exception made for `/a`.
fn path_rule(exception: &Tuning, path: &str, index: usize) -> Result<String, Failure> {
    let plain = |character: char| !character.is_control() && !"\"'\\%, ".contains(character);
    if !path.chars().all(plain) {
        return Err(Failure::usage(format!(
            "[[waf.tuning]] number {}: `path` cannot be written in a rule",
            index + 1
        ))
        .cause("it holds a quote, a backslash, a percent sign, a comma or white space")
        .hint("name the decoded path up to that character"));
    }
    let mut controls = String::new();
    for selector in &exception.disable {
        let (verb, what) = match selector {
            RuleSelector::Ids(first, last) if first == last => ("Id", first.to_string()),
            RuleSelector::Ids(first, last) => ("Id", format!("{first}-{last}")),
            RuleSelector::Tag(tag) => ("Tag", tag.clone()),
        };
        if exception.targets.is_empty() {
            controls.push_str(&format!(",\\\n    ctl:ruleRemoveBy{verb}={what}"));
        }
        for target in &exception.targets {
            controls.push_str(&format!(",\\\n    ctl:ruleRemoveTargetBy{verb}={what};{target}"));
        }
    }
    let id = FIRST_ID + u64::try_from(index).unwrap_or(u64::MAX - FIRST_ID);
    Ok(format!(
        "SecRule REQUEST_FILENAME \"@beginsWith {path}\" \\\n    \
         \"id:{id},phase:1,pass,nolog,t:none,t:urlDecodeUni,t:normalizePath{controls}\"\n"
    ))
}

/// A pattern that matches this tag and no other (`SecRuleRemoveByTag` takes a regular expression).
fn exact(tag: &str) -> String {
    let mut pattern = String::from("^");
    for character in tag.chars() {
        if !character.is_ascii_alphanumeric() && !"-_/".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('$');
    pattern
}

fn own_rules(own: &OwnRules, index: usize, owner: &Owner) -> Result<Snippet, Failure> {
    let name = || own.name.clone().unwrap_or_else(|| format!("hop3.toml [[waf.rules]] {}", index + 1));
    if let Some(text) = &own.seclang {
        return Ok(match place(text, &owner.configuration) {
            Some(placed) => Snippet { name: placed.file, text: placed.text },
            None => Snippet { name: name(), text: text.clone() },
        });
    }
    let Some(file) = &own.file else { return Ok(Snippet { name: name(), text: String::new() }) };
    let refuse =
        |cause: String| Failure::usage(format!("cannot read the rules `{}`", file.display())).cause(cause);
    let folder =
        owner.folder.as_deref().ok_or_else(|| refuse("files of rules belong to an app's folder".into()))?;
    let path = inside(folder, file)?;
    let size = fs::metadata(&path).map_err(|error| refuse(error.to_string()))?.len();
    if size > LARGEST_FILE {
        return Err(refuse(format!("it is larger than {} KiB", LARGEST_FILE >> 10)));
    }
    let text = fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
    Ok(Snippet { name: file.display().to_string(), text })
}

/// The file `name` of the app in `folder`, if it lies there, links resolved: an error in a rule file shows its lines,
/// so no other file may ever be read as one.
///
/// # Errors
/// It does not exist, or lies elsewhere.
pub fn inside(folder: &Path, name: &Path) -> Result<PathBuf, Failure> {
    let refuse =
        |cause: String| Failure::usage(format!("cannot read the rules `{}`", name.display())).cause(cause);
    let root = folder.canonicalize().map_err(|error| refuse(error.to_string()))?;
    let path = root.join(name).canonicalize().map_err(|error| refuse(error.to_string()))?;
    if path.starts_with(&root) { Ok(path) } else { Err(refuse("it lies outside the app's folder".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuning(text: &str) -> Tuning {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn exceptions_become_directives() {
        let cases = [
            ("disable = [942100]", "", "SecRuleRemoveById 942100\n"),
            ("disable = ['942100-942199']", "", "SecRuleRemoveById 942100-942199\n"),
            ("disable = ['tag:attack-sqli']", "", "SecRuleRemoveByTag \"^attack-sqli$\"\n"),
            ("disable = [942100]\ntargets = ['ARGS:q']", "", "SecRuleUpdateTargetById 942100 \"!ARGS:q\"\n"),
            (
                "path = '/admin'\ndisable = [942100]",
                "SecRule REQUEST_FILENAME \"@beginsWith /admin\" \\\n    \
                 \"id:8100200,phase:1,pass,nolog,t:none,t:urlDecodeUni,t:normalizePath,\\\n    \
                 ctl:ruleRemoveById=942100\"\n",
                "",
            ),
            (
                "path = '/admin'\ndisable = ['tag:x']\ntargets = ['ARGS:a', 'ARGS:b']",
                "SecRule REQUEST_FILENAME \"@beginsWith /admin\" \\\n    \
                 \"id:8100200,phase:1,pass,nolog,t:none,t:urlDecodeUni,t:normalizePath,\\\n    \
                 ctl:ruleRemoveTargetByTag=x;ARGS:a,\\\n    ctl:ruleRemoveTargetByTag=x;ARGS:b\"\n",
                "",
            ),
        ];
        for (written, before, after) in cases {
            let snippets = snippets(&[tuning(written)], &[], &Owner::default()).unwrap();
            let text = |list: &[Snippet]| list.iter().map(|snippet| snippet.text.clone()).collect::<String>();
            assert_eq!((text(&snippets.before).as_str(), text(&snippets.after).as_str()), (before, after));
        }
    }

    #[test]
    fn a_path_cannot_break_out_of_its_rule() {
        for path in ["/a\",deny,\"", "/a b", "/%{TX.0}", "/a\\", "/a\nSecRuleEngine Off"] {
            let mut exception = tuning("disable = [1]");
            exception.path = Some(path.into());
            assert!(snippets(&[exception], &[], &Owner::default()).is_err(), "{path:?}");
        }
    }

    #[test]
    fn files_of_rules_stay_in_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("app");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("own.conf"), "SecAction \"id:1,pass\"").unwrap();
        fs::write(root.path().join("secret.conf"), "x").unwrap();
        std::os::unix::fs::symlink("../secret.conf", folder.join("link.conf")).unwrap();
        let own = |file: &str| OwnRules { file: Some(file.into()), ..OwnRules::default() };
        let owner = Owner { folder: Some(folder), ..Owner::default() };
        let read = snippets(&[], &[own("own.conf")], &owner).unwrap();
        assert_eq!(read.before[0].name, "own.conf");
        for outside in ["../secret.conf", "link.conf", "absent.conf", "/etc/passwd"] {
            assert!(snippets(&[], &[own(outside)], &owner).is_err(), "{outside}");
        }
    }
}
