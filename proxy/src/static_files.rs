//! Files below a folder: safe paths, conditional requests (RFC 9110 section 13), single ranges (section 14).

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::http1::response::ResponseHead;
use crate::http1::target::normalized_path;
use crate::request::Request;

mod content_type;

/// A folder to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFiles {
    /// The folder. Nothing outside it is ever opened, symbolic links that lead out of it included.
    pub root: PathBuf,
    /// The file that stands for a folder.
    pub index: String,
    /// Removed from the start of the path before a file is looked for, for routes with a path prefix.
    pub strip_prefix: String,
    /// What clients may keep, in seconds; `None` sends no `Cache-Control`.
    pub max_age: Option<u32>,
    /// Answer with this file (status 200) where none exists, for single-page applications.
    pub fallback: Option<String>,
}

impl StaticFiles {
    /// A folder with `index.html` and without caching rules.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            index: "index.html".to_owned(),
            strip_prefix: String::new(),
            max_age: None,
            fallback: None,
        }
    }
}

/// An answer: its head, and the part of a file to send.
#[derive(Debug)]
pub struct FileAnswer {
    /// Head without framing.
    pub head: ResponseHead,
    /// Length of the body.
    pub length: u64,
    /// The rest of the body; `None` when there is none.
    pub file: Option<FileReader>,
}

/// Reads a part of a file in pieces on the blocking pool.
#[derive(Debug)]
pub struct FileReader {
    file: Arc<File>,
    left: u64,
}

/// Bytes read at a time.
const PIECE: u64 = 128 * 1024;

impl FileReader {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let (file, wanted) = (self.file.clone(), self.left.min(PIECE));
        let piece = blocking(move || {
            let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
            (&*file).take(wanted).read_to_end(&mut piece)?;
            Ok(piece)
        })
        .await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= piece.len() as u64;
        Ok(Some(piece.into()))
    }
}

impl StaticFiles {
    /// Answers a GET or HEAD; the status alone (403, 404, 405, 416) for everything that has no file to show.
    pub async fn answer(&self, request: &Request) -> Result<FileAnswer, u16> {
        if !matches!(&request.method[..], b"GET" | b"HEAD") {
            return Err(405);
        }
        let path = normalized_path(&request.path_and_query).into_owned();
        let query =
            memchr::memchr(b'?', &request.path_and_query).map(|mark| request.path_and_query.slice(mark..));
        let path =
            path.strip_prefix(self.strip_prefix.trim_end_matches('/').as_bytes()).unwrap_or(&path).to_vec();
        let relative = relative_path(&path).ok_or(404_u16)?;
        let files = self.clone();
        let found = blocking(move || files.find(&relative, path.ends_with(b"/"))).await;
        match found {
            Ok(Found::File { file, metadata, name }) => self.file_answer(request, file, &metadata, &name),
            Ok(Found::Directory) => Ok(directory_redirect(request, query.as_deref().unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(403),
            Err(_) => Err(404),
        }
    }

    /// Opens what a relative path names; the index for a folder, the fallback for nothing.
    fn find(&self, relative: &str, as_directory: bool) -> io::Result<Found> {
        let found = self.open(relative).and_then(|(file, metadata)| {
            if metadata.is_file() && !as_directory {
                return Ok(Found::File { file, metadata, name: relative.to_owned() });
            }
            if !metadata.is_dir() {
                return Err(io::ErrorKind::NotFound.into());
            }
            let index =
                if relative.is_empty() { self.index.clone() } else { format!("{relative}/{}", self.index) };
            let (file, metadata) = self.open(&index)?;
            match (metadata.is_file(), as_directory) {
                (true, true) => Ok(Found::File { file, metadata, name: index }),
                (true, false) => Ok(Found::Directory),
                (false, _) => Err(io::ErrorKind::NotFound.into()),
            }
        });
        match (found, &self.fallback) {
            (Err(error), Some(fallback)) if error.kind() == io::ErrorKind::NotFound => {
                let (file, metadata) = self.open(fallback)?;
                Ok(Found::File { file, metadata, name: fallback.clone() })
            }
            (found, _) => found,
        }
    }

    /// Opens beneath the root; the kernel refuses every way out of it.
    fn open(&self, relative: &str) -> io::Result<(File, Box<Metadata>)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let directory =
            rustix::fs::open(&self.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = if relative.is_empty() { "." } else { relative };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = match rustix::fs::openat2(&directory, name, flags, Mode::empty(), resolve) {
            Ok(descriptor) => File::from(descriptor),
            // Kernels before 5.6 and some sandboxes lack openat2: resolve first, then compare.
            Err(rustix::io::Errno::NOSYS) => {
                let root = self.root.canonicalize()?;
                let path = root.join(name).canonicalize()?;
                if !path.starts_with(&root) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                File::open(path)?
            }
            Err(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        Ok((file, Box::new(metadata)))
    }

    fn file_answer(
        &self,
        request: &Request,
        mut file: File,
        metadata: &Metadata,
        name: &str,
    ) -> Result<FileAnswer, u16> {
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let etag = entity_tag(modified, metadata.len());
        let mut head = ResponseHead::new(200);
        head.headers.push("last-modified", httpdate::fmt_http_date(modified));
        head.headers.push("etag", etag.clone());
        if let Some(seconds) = self.max_age {
            head.headers.push("cache-control", format!("max-age={seconds}"));
        }
        if is_not_modified(request, &etag, modified) {
            head.status = 304;
            return Ok(FileAnswer { head, length: 0, file: None });
        }
        head.headers.push("content-type", content_type::of(name));
        head.headers.push("x-content-type-options", "nosniff");
        head.headers.push("accept-ranges", "bytes");
        let size = metadata.len();
        let (start, length) = match range(request, &etag, modified, size) {
            Range::Whole => (0, size),
            Range::Part(start, end) => {
                head.status = 206;
                head.headers.push("content-range", format!("bytes {start}-{end}/{size}"));
                (start, end - start + 1)
            }
            Range::Unsatisfiable => return Err(416),
        };
        if request.is_head() {
            head.headers.push("content-length", length.to_string());
            return Ok(FileAnswer { head, length, file: None });
        }
        if start > 0 && file.seek(SeekFrom::Start(start)).is_err() {
            return Err(500);
        }
        Ok(FileAnswer { head, length, file: Some(FileReader { file: Arc::new(file), left: length }) })
    }
}

enum Found {
    File { file: File, metadata: Box<Metadata>, name: String },
    Directory,
}

/// The path as a file name relative to the root; `None` for names that are never served: hidden files (`.git`,
/// `.env`) except `.well-known`, control characters, and what is not UTF-8.
fn relative_path(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let legal = |segment: &&str| {
        (!segment.starts_with('.') || *segment == ".well-known")
            && !segment.chars().any(|character| character.is_control() || character == '\\')
            && segment.len() <= 255
    };
    segments.iter().all(legal).then(|| segments.join("/"))
}

fn directory_redirect(request: &Request, query: &[u8]) -> FileAnswer {
    let path = request.path_and_query.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut location = crate::http1::target::forwardable(path).into_owned();
    // Two slashes at the start would name another host.
    let slashes = location.iter().take_while(|byte| **byte == b'/').count().max(1);
    location.drain(..slashes - 1);
    location.push(b'/');
    location.extend_from_slice(&crate::http1::target::forwardable(query));
    let mut head = ResponseHead::new(301);
    head.headers.push("location", location);
    FileAnswer { head, length: 0, file: None }
}

fn entity_tag(modified: SystemTime, size: u64) -> String {
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("\"{nanoseconds:x}-{size:x}\"")
}

fn is_not_modified(request: &Request, etag: &str, modified: SystemTime) -> bool {
    let mut tags = request.headers.all("if-none-match").peekable();
    if tags.peek().is_some() {
        return tags.any(|value| {
            crate::headers::elements(value)
                .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
        });
    }
    http_date(request, "if-modified-since").is_some_and(|since| whole_seconds(modified) <= since)
}

fn http_date(request: &Request, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(request.headers.get(name)?).ok()?).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// First and last byte.
    Part(u64, u64),
    Unsatisfiable,
}

/// One satisfiable range is served; several, malformed or outdated ones get the whole file.
fn range(request: &Request, etag: &str, modified: SystemTime, size: u64) -> Range {
    let Some(value) = request.headers.get("range") else { return Range::Whole };
    if let Some(condition) = request.headers.get("if-range") {
        let is_current =
            condition == etag.as_bytes() || http_date(request, "if-range") == Some(whole_seconds(modified));
        if !is_current {
            return Range::Whole;
        }
    }
    parse_range(value, size)
}

fn parse_range(value: &[u8], size: u64) -> Range {
    let text = std::str::from_utf8(value).ok().and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = text.filter(|text| !text.contains(',')).and_then(|text| text.split_once('-'))
    else {
        return Range::Whole;
    };
    let number = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        (true, _, false, Some(0)) => Range::Unsatisfiable,
        (true, _, false, Some(_)) if size == 0 => Range::Unsatisfiable,
        (true, _, false, Some(suffix)) => Range::Part(size.saturating_sub(suffix), size - 1),
        (false, Some(first), _, _) if first >= size => Range::Unsatisfiable,
        (false, Some(first), true, _) => Range::Part(first, size - 1),
        (false, Some(first), false, Some(last)) if first <= last => Range::Part(first, last.min(size - 1)),
        _ => Range::Whole,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
