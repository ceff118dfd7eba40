//! The variables an app gets: what its manifest writes out, what is made once for it, what the operator set.

use std::collections::BTreeMap;
use std::fmt::Write;

use hop3_runtimes::manifest::Manifest;
use hop3_runtimes::manifest::environment::{EnvValue, Generator};

use crate::failure::Failure;
use crate::model::{ConfigKey, Secret, Variables, hexadecimal};

/// Random bytes of a generated value whose length is not given.
const DEFAULT_LENGTH: u16 = 32;

/// The variables of `[env]` that have to be made and that `known` does not hold yet.
///
/// # Errors
/// The machine has no randomness, or a name is none.
pub fn generated(manifest: &Manifest, known: &Variables) -> Result<Variables, Failure> {
    let mut made = Variables::new();
    for (name, value) in &manifest.env.variables {
        let EnvValue::Generated { generate, length } = value else { continue };
        let key: ConfigKey = name
            .as_str()
            .parse()
            .map_err(|error: crate::model::InvalidConfigKey| Failure::usage(error.to_string()))?;
        if !known.contains_key(&key) {
            made.insert(key, Secret::new(generate_value(*generate, length.unwrap_or(DEFAULT_LENGTH))?));
        }
    }
    Ok(made)
}

/// All variables of a process, from weakest to strongest: `ENV` and literals of `[env]`, facts, configuration, then
/// `[env.computed]` over all of them where the configuration has no own value. The result holds secrets.
///
/// # Errors
/// A template names a variable that does not exist.
pub fn complete(
    manifest: &Manifest,
    config: &Variables,
    domain: Option<&str>,
) -> Result<BTreeMap<String, String>, Failure> {
    let literals = manifest.literal_env();
    let mut variables: BTreeMap<String, String> =
        literals.into_iter().map(|(name, value)| (String::from(name), value)).collect();
    for (name, value) in &manifest.env.variables {
        if let (EnvValue::Fact { key }, Some(domain)) = (value, domain)
            && key == "domain"
        {
            variables.insert(name.to_string(), domain.to_owned());
        }
    }
    variables.extend(config.iter().map(|(key, value)| (key.to_string(), value.reveal().clone())));
    for (name, template) in &manifest.env.computed {
        if !config.keys().any(|key| key.as_str() == name.as_str()) {
            let value = fill(template, &variables).map_err(|missing| {
                Failure::usage(format!("[env.computed] `{name}` uses `{missing}`, which has no value"))
                    .hint(format!("set it: hop3 config:set APP {missing}=VALUE"))
            })?;
            variables.insert(name.to_string(), value);
        }
    }
    Ok(variables)
}

/// `template` with each `${NAME}` replaced; `$$` is a dollar sign. `Err` is the first name without a value.
fn fill(template: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            after
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|name| name.split_once('}')) {
            filled.push_str(variables.get(name).ok_or_else(|| name.to_owned())?);
            after
        } else {
            filled.push('$');
            after
        };
    }
    filled.push_str(rest);
    Ok(filled)
}

fn generate_value(generator: Generator, length: u16) -> Result<String, Failure> {
    let length = usize::from(length.clamp(1, 1024));
    let random = |count: usize| {
        let mut bytes = vec![0; count];
        getrandom::fill(&mut bytes)
            .map_err(|error| Failure::internal("the machine has no randomness").because(&error))?;
        Ok::<_, Failure>(bytes)
    };
    Ok(match generator {
        Generator::Hex => hexadecimal(&random(length)?),
        Generator::Base64 => base64(&random(length)?, b"+/", true),
        Generator::Urlsafe => base64(&random(length)?, b"-_", false),
        Generator::Password => {
            const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
            random(length)?.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
        }
        Generator::Uuid => {
            let mut bytes = random(16)?;
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let mut text = String::new();
            for (index, byte) in bytes.iter().enumerate() {
                if [4, 6, 8, 10].contains(&index) {
                    text.push('-');
                }
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    })
}

/// RFC 4648 sections 4 and 5; `last` are the two characters in which the alphabets differ.
fn base64(bytes: &[u8], last: &[u8; 2], pad: bool) -> String {
    let character = |six: u32| {
        let six = u8::try_from(six & 63).unwrap_or(0);
        char::from(match six {
            0..=25 => b'A' + six,
            26..=51 => b'a' + six - 26,
            52..=61 => b'0' + six - 52,
            _ => last[usize::from(six - 62)],
        })
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .enumerate()
            .fold(0_u32, |group, (index, &byte)| group | u32::from(byte) << (16 - 8 * index));
        for index in 0..4 {
            if index <= chunk.len() {
                text.push(character(group >> (18 - 6 * index)));
            } else if pad {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn manifest(text: &str) -> Manifest {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hop3.toml"), text).unwrap();
        Manifest::load(Path::new(folder.path())).unwrap()
    }

    #[test]
    fn base64_follows_the_vectors_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes(), b"+/", true), text);
            assert_eq!(base64(bytes.as_bytes(), b"+/", false), text.trim_end_matches('='));
        }
        assert_eq!(base64(&[0xfb, 0xff], b"-_", false), "-_8");
    }

    #[test]
    fn values_are_made_once_and_have_their_form() {
        let manifest = manifest(
            "[env]\nA = {generate = 'hex', length = 4}\nB = {generate = 'password', length = 20}\n\
             C = {generate = 'uuid'}\nD = 'plain'\n",
        );
        let made = generated(&manifest, &Variables::new()).unwrap();
        let value = |name: &str| made[&name.parse::<ConfigKey>().unwrap()].reveal().clone();
        assert_eq!((made.len(), value("A").len(), value("B").len(), value("C").len()), (3, 8, 20, 36));
        assert_eq!(&value("C")[14..15], "4");
        assert!(generated(&manifest, &made).unwrap().is_empty(), "nothing is made twice");
    }

    #[test]
    fn the_strongest_source_wins_and_templates_see_all() {
        let manifest = manifest(
            "[env]\nA = 'manifest'\nB = 'manifest'\nHOST = {key = 'domain'}\n\
             [env.computed]\nURL = 'https://${HOST}/${B}$$'\n",
        );
        let config: Variables =
            [("B".parse().unwrap(), Secret::new("config".to_owned()))].into_iter().collect();
        let complete = super::complete(&manifest, &config, Some("a.example")).unwrap();
        assert_eq!(complete["A"], "manifest");
        assert_eq!(complete["B"], "config");
        assert_eq!(complete["URL"], "https://a.example/config$");
        let missing = super::complete(&manifest, &config, None).unwrap_err();
        assert!(missing.message.contains("`HOST`"), "{missing}");
    }
}
