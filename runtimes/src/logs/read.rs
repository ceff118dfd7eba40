//! Shows logs: the last lines under heads `==> web.1 <==`, then what is added, as tail(1) does.
//!
//! Memory is bounded: no more than the wanted lines and one block are held, and long lines are cut.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::parse_file_name;
use super::rotation::Rotation;
use crate::names::ProcessName;

/// Most lines that one request gets per log.
pub const MAX_LINES: usize = 10_000;
/// Longest line that is shown; the rest of it is cut.
pub const MAX_LINE: usize = 8 * 1024;
/// Furthest that is looked back in one log, in bytes.
const MAX_SCAN: u64 = 32 << 20;
/// Most that one poll reads of one log, in bytes.
const MAX_POLL: u64 = 1 << 20;

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Last lines per log, at most [`MAX_LINES`].
    pub lines: usize,
    /// Only lines that contain this text; letter case counts.
    pub grep: Option<String>,
    /// Only this process type, or this instance of it.
    pub process: Option<(ProcessName, Option<u32>)>,
}

/// Lines of one log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// The instance, e.g. `web.1`.
    pub name: String,
    /// Lines without their ends; invalid UTF-8 and control characters other than tab and escape are replaced.
    pub lines: Vec<String>,
}

/// Remembers what was shown, to show what comes after.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    query: Query,
    positions: Vec<Position>,
}

#[derive(Debug)]
struct Position {
    path: PathBuf,
    inode: u64,
    offset: u64,
}

/// Parses what a user gives for `--process`: `web` or `web.1`.
///
/// # Errors
/// When it is no process name.
pub fn parse_process(text: &str) -> Result<(ProcessName, Option<u32>), crate::names::NameError> {
    if let Some((process, index)) = text.rsplit_once('.')
        && let Ok(index) = index.parse()
    {
        return Ok((ProcessName::new(process)?, Some(index)));
    }
    Ok((ProcessName::new(text)?, None))
}

/// The last lines of each log in the folder, in name order.
///
/// # Errors
/// When a log cannot be read; a missing folder has no logs.
pub fn tail(folder: &Path, query: &Query) -> io::Result<Vec<LogPart>> {
    let mut parts = Vec::new();
    for (name, path) in logs(folder, query)? {
        let lines = tail_file(&path, query)?;
        parts.push(LogPart { name, lines });
    }
    Ok(parts)
}

/// Text for a terminal: each part under its head, parts without lines left out.
#[must_use]
pub fn render(parts: &[LogPart]) -> String {
    let mut text = String::new();
    for part in parts.iter().filter(|part| !part.lines.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("==> {} <==\n", part.name));
        for line in &part.lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The last `count` lines of one log as plain text, for error messages; empty when it cannot be read.
#[must_use]
pub fn last_lines(log: &Path, count: usize) -> Vec<String> {
    tail_file(log, &Query { lines: count, ..Query::default() }).unwrap_or_default()
}

impl Follower {
    /// Starts at the present end of the logs in the folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn at_end(folder: impl Into<PathBuf>, query: Query) -> io::Result<Self> {
        let folder = folder.into();
        let mut positions = Vec::new();
        for (_, path) in logs(&folder, &query)? {
            if let Ok(metadata) = path.metadata() {
                positions.push(Position { inode: metadata.ino(), offset: metadata.len(), path });
            }
        }
        Ok(Self { folder, query, positions })
    }

    /// What was added since the last call: whole lines only, at most 1 MiB per log; call again for more. New logs
    /// are picked up, truncated and replaced ones are read from their start.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn poll(&mut self) -> io::Result<Vec<LogPart>> {
        let mut parts = Vec::new();
        for (name, path) in logs(&self.folder, &self.query)? {
            let Ok(mut file) = File::open(&path) else { continue };
            let metadata = file.metadata()?;
            let index = match self.positions.iter().position(|position| position.path == path) {
                Some(index) => index,
                None => {
                    self.positions.push(Position { path, inode: metadata.ino(), offset: 0 });
                    self.positions.len() - 1
                }
            };
            let position = &mut self.positions[index];
            if position.inode != metadata.ino() || position.offset > metadata.len() {
                position.inode = metadata.ino();
                position.offset = 0;
            }
            let (lines, read) = added(&mut file, position.offset, &self.query)?;
            position.offset += read;
            if !lines.is_empty() {
                parts.push(LogPart { name, lines });
            }
        }
        Ok(parts)
    }
}

/// Whole lines after `offset`, and how many bytes they take.
fn added(file: &mut File, offset: u64, query: &Query) -> io::Result<(Vec<String>, u64)> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(MAX_POLL).read_to_end(&mut bytes)?;
    let whole = match bytes.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => end + 1,
        // A line longer than a poll is shown in pieces rather than never.
        None if bytes.len() as u64 == MAX_POLL => bytes.len(),
        None => 0,
    };
    let lines = bytes[..whole].split_inclusive(|&byte| byte == b'\n').map(clean);
    Ok((lines.filter(|line| matches(line, query)).collect(), whole as u64))
}

fn logs(folder: &Path, query: &Query) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some((process, index)) = entry.file_name().to_str().and_then(parse_file_name) else { continue };
        let wanted = query
            .process
            .as_ref()
            .is_none_or(|(wanted, number)| *wanted == process && number.is_none_or(|number| number == index));
        if wanted && entry.file_type()?.is_file() {
            found.push((process, index, entry.path()));
        }
    }
    // `web.10` after `web.2`, and `web` before the others: it is what most people look for.
    found.sort_by_key(|(process, index, _)| (!process.is_web(), process.clone(), *index));
    Ok(found.into_iter().map(|(process, index, path)| (format!("{process}.{index}"), path)).collect())
}

/// The last matching lines of a log and, if it is too short, of what was rotated away.
fn tail_file(log: &Path, query: &Query) -> io::Result<Vec<String>> {
    let wanted = query.lines.min(MAX_LINES);
    let mut lines = VecDeque::new();
    let mut budget = MAX_SCAN;
    for age in 0.. {
        let mut file = match File::open(Rotation::file(log, age)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let more = wanted - lines.len();
        if more == 0 || budget == 0 {
            break;
        }
        read_backwards(&mut file, more, query, &mut budget, &mut lines)?;
    }
    Ok(lines.into())
}

/// Reads a file from its end in blocks and puts up to `wanted` matching lines in front of `lines`.
fn read_backwards(
    file: &mut File,
    wanted: usize,
    query: &Query,
    budget: &mut u64,
    lines: &mut VecDeque<String>,
) -> io::Result<()> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    let goal = lines.len() + wanted;
    // The beginning of a line whose end has been read already, cut to what is shown of a line.
    let mut partial: Vec<u8> = Vec::new();
    let push = |bytes: &[u8], lines: &mut VecDeque<String>| {
        let line = clean(bytes);
        if matches(&line, query) {
            lines.push_front(line);
        }
    };
    let mut first = true;
    while end > 0 && *budget > 0 {
        let start = end.saturating_sub(BLOCK.min(*budget));
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        *budget -= end - start;
        end = start;
        if first && block.last() == Some(&b'\n') {
            block.pop();
        }
        first = false;
        while let Some(at) = block.iter().rposition(|&byte| byte == b'\n') {
            let mut line = block.split_off(at + 1);
            line.append(&mut partial);
            block.pop();
            push(&line, lines);
            if lines.len() == goal {
                return Ok(());
            }
        }
        block.append(&mut partial);
        block.truncate(BLOCK as usize);
        partial = block;
    }
    if !first && end == 0 {
        push(&partial, lines);
    }
    Ok(())
}

fn matches(line: &str, query: &Query) -> bool {
    query.grep.as_ref().is_none_or(|text| line.contains(text))
}

/// A line as text that a terminal can be shown: only colours (`ESC [ … m`) survive of escape sequences.
fn clean(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let cut = &bytes[..bytes.len().min(MAX_LINE)];
    let text = String::from_utf8_lossy(cut);
    let mut clean = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            clean.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        clean.push(if character.is_control() && character != '\t' { '\u{fffd}' } else { character });
        rest = &rest[character.len_utf8()..];
    }
    if cut.len() < bytes.len() {
        clean.push('…');
    }
    clean
}

/// The length of a colour sequence (ECMA-48, SGR) at the start of the text.
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b';').count();
    (digits <= 32 && rest[digits..].starts_with('m')).then_some(2 + digits + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn query(lines: usize) -> Query {
        Query { lines, ..Query::default() }
    }

    #[test]
    fn last_lines_across_processes_and_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("web.1.log.1"), "one\ntwo\n").unwrap();
        fs::write(at("web.1.log"), "three\nfour").unwrap();
        fs::write(at("worker.1.log"), "busy\n").unwrap();
        fs::write(at("web.10.log"), "ten\n").unwrap();
        fs::write(at("web.2.log"), "").unwrap();
        fs::write(at("other"), "no log").unwrap();
        let text = render(&tail(folder.path(), &query(3)).unwrap());
        assert_eq!(
            text,
            "==> web.1 <==\ntwo\nthree\nfour\n\n==> web.10 <==\nten\n\n==> worker.1 <==\nbusy\n"
        );
        let grep =
            Query { grep: Some("o".into()), process: Some(parse_process("web.1").unwrap()), lines: 10 };
        assert_eq!(tail(folder.path(), &grep).unwrap()[0].lines, ["one", "two", "four"]);
        assert!(tail(&at("missing"), &query(3)).unwrap().is_empty());
        assert!(tail(folder.path(), &query(0)).unwrap().iter().all(|part| part.lines.is_empty()));
    }

    #[test]
    fn blocks_and_long_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("web.1.log");
        let long = "x".repeat(200_000);
        let mut text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        text.push_str(&format!("{long}\nlast\n"));
        fs::write(&log, text).unwrap();
        let lines = last_lines(&log, 5_000);
        assert_eq!(lines.len(), 5_000);
        assert_eq!(lines[4_999], "last");
        assert!(lines[4_998].starts_with("xxx") && lines[4_998].len() <= MAX_LINE + 3);
        assert_eq!(lines[0], "line 15002");
    }

    #[test]
    fn follows_across_truncation_and_new_files() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("web.1.log");
        fs::write(&log, "old\n").unwrap();
        let mut follower = Follower::at_end(folder.path(), query(0)).unwrap();
        assert!(follower.poll().unwrap().is_empty());
        let mut writer = super::super::open(&log).unwrap();
        write!(writer, "new\nhalf").unwrap();
        assert_eq!(follower.poll().unwrap()[0].lines, ["new"]);
        writeln!(writer, " done").unwrap();
        assert_eq!(follower.poll().unwrap()[0].lines, ["half done"]);
        File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
        writeln!(writer, "again").unwrap();
        fs::write(folder.path().join("worker.1.log"), "hello\n").unwrap();
        let parts = follower.poll().unwrap();
        assert_eq!(render(&parts), "==> web.1 <==\nagain\n\n==> worker.1 <==\nhello\n");
    }

    #[test]
    fn terminals_are_not_taken_over() {
        assert_eq!(clean(b"\x1b[31mred\x1b[0m\tok\r\n"), "\u{1b}[31mred\u{1b}[0m\tok");
        assert_eq!(clean(b"a\x1b]0;title\x07\x1b[2Jb\xff"), "a\u{fffd}]0;title\u{fffd}\u{fffd}[2Jb\u{fffd}");
    }
}
