//! `app:list` and `app list` are the same command.

use std::ffi::OsString;

/// Global options that take a value, which must not be mistaken for the command.
const WITH_VALUE: [&str; 3] = ["--data", "--app", "-a"];

/// Splits the first word that is neither an option nor an option's value at its colons.
pub fn separate(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut words = Vec::with_capacity(arguments.len() + 1);
    let mut arguments = arguments.into_iter();
    words.extend(arguments.next());
    while let Some(word) = arguments.next() {
        let text = word.to_str().unwrap_or_default().to_owned();
        if text == "--" || text.is_empty() {
            words.push(word);
            break;
        }
        if text.starts_with('-') {
            words.push(word);
            if WITH_VALUE.contains(&text.as_str()) {
                words.extend(arguments.next());
            }
            continue;
        }
        words.extend(text.split(':').map(OsString::from));
        break;
    }
    words.extend(arguments);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_command_is_split() {
        let cases = [
            ("hop3 app:list", "hop3 app list"),
            ("hop3 app list", "hop3 app list"),
            ("hop3 --data /x:y app:status a:b", "hop3 --data /x:y app status a:b"),
            ("hop3 --data=/x:y -v app:list", "hop3 --data=/x:y -v app list"),
            ("hop3 waf:rules:list", "hop3 waf rules list"),
            ("hop3 config:set demo A=b:c", "hop3 config set demo A=b:c"),
            ("hop3 deploy a:b", "hop3 deploy a:b"),
            ("hop3", "hop3"),
        ];
        for (typed, meant) in cases {
            let typed = typed.split(' ').map(OsString::from).collect();
            let meant: Vec<OsString> = meant.split(' ').map(OsString::from).collect();
            assert_eq!(separate(typed), meant);
        }
    }
}
