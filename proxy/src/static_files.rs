//! Files below a folder: safe paths, conditional requests (RFC 9110 section 13), single ranges (section 14),
//! precompressed files, folders.
//!
//! What the kernel has in memory is answered at once. Everything that has to wait for the disk happens in one go on the
//! blocking pool. A small file comes with its answer, and where it alone is looked for it is opened in one step.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;

use crate::http1::response::ResponseHead;
use crate::http1::target::normalized_path;
use crate::policy::compression::Coding;
use crate::policy::cors::add_vary;
use crate::request::{Request, Version};

mod buffer;
mod conditions;
mod content_type;
mod disk;
mod listing;

use conditions::{Conditions, Outcome, Part, entity_tag};
use disk::{Disk, Folder, Root};

/// A folder to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticFiles {
    /// The folder. Nothing outside it is ever opened, symbolic links that lead out of it included.
    pub root: PathBuf,
    /// A folder around `root` from which on paths are somebody else's to change, e.g. an app's: the way to `root` is
    /// found anew for each request, and never leaves it. Both must be free of links when this is made.
    pub within: Option<PathBuf>,
    /// The file that stands for a folder.
    pub index: String,
    /// Removed from the start of the path before a file is looked for, for routes with a path prefix.
    pub strip_prefix: String,
    /// What clients may keep, in seconds; `None` sends no `Cache-Control`.
    pub max_age: Option<u32>,
    /// Answer with this file (status 200) where none exists, for single-page applications.
    pub fallback: Option<String>,
    /// Whether `NAME.zst`, `NAME.br` and `NAME.gz` beside a text file are sent in its place to clients that take them.
    pub precompressed: bool,
    /// Whether folders without an index file are shown as a list of their files; else they answer 404.
    pub listing: bool,
}

impl StaticFiles {
    /// A folder with `index.html` and without caching rules.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            within: None,
            index: "index.html".to_owned(),
            strip_prefix: String::new(),
            max_age: None,
            fallback: None,
            precompressed: true,
            listing: false,
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

/// Reads a part of a file in pieces.
#[derive(Debug)]
pub struct FileReader {
    /// A piece that was read already.
    ready: Option<Bytes>,
    file: Option<Arc<File>>,
    offset: u64,
    left: u64,
    /// Most bytes read at a time.
    most: u64,
}

/// Bytes read at a time.
const PIECE: u64 = 128 * 1024;
/// Bytes that come with an answer to HTTP/2, where a connection may ask for a hundred at once and take none.
const STREAM_PIECE: u64 = 32 * 1024;

impl FileReader {
    fn of(bytes: Bytes) -> Self {
        Self { ready: Some(bytes), file: None, offset: 0, left: 0, most: PIECE }
    }

    /// Reads at most this many bytes at a time.
    pub fn bound(&mut self, most: usize) {
        self.most = PIECE.min(most as u64);
    }

    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(ready) = self.ready.take().filter(|ready| !ready.is_empty()) {
            return Ok(Some(ready));
        }
        let (Some(file), true) = (self.file.clone(), self.left > 0) else { return Ok(None) };
        let (offset, wanted) = (self.offset, self.left.min(self.most));
        let piece = match Disk::Cached.read(&file, offset, wanted) {
            Ok(piece) => piece,
            Err(_) => blocking(move || Disk::Patient.read(&file, offset, wanted)).await?,
        };
        self.offset += wanted;
        self.left -= wanted;
        Ok(Some(piece))
    }
}

/// What is asked for.
struct Asked {
    relative: String,
    as_directory: bool,
    head_only: bool,
    /// Longest body that comes with the answer.
    at_once: u64,
    conditions: Conditions,
    codings: Vec<Coding>,
    /// Path and query as sent.
    target: Bytes,
}

/// What was found.
struct Opened {
    file: File,
    metadata: Box<Metadata>,
    name: String,
    /// How it is packed, where it is a precompressed form of what `name` says.
    coding: Option<Coding>,
}

impl StaticFiles {
    /// Answers a GET or HEAD; the status alone (403, 404, 405, 412) for everything that has no file to show.
    pub async fn answer(self: &Arc<Self>, request: &Request) -> Result<FileAnswer, u16> {
        self.answer_below(&self.strip_prefix, request).await
    }

    /// The same with another prefix to remove than [`StaticFiles::strip_prefix`].
    pub(crate) async fn answer_below(
        self: &Arc<Self>,
        prefix: &str,
        request: &Request,
    ) -> Result<FileAnswer, u16> {
        if !matches!(&request.method[..], b"GET" | b"HEAD") {
            return Err(405);
        }
        let path = normalized_path(&request.path_and_query);
        let path = path.strip_prefix(prefix.trim_end_matches('/').as_bytes()).unwrap_or(&path);
        let asked = Asked {
            relative: relative_path(path).ok_or(404_u16)?,
            as_directory: path.ends_with(b"/"),
            head_only: request.is_head(),
            at_once: if request.version == Version::Http2 { STREAM_PIECE } else { PIECE },
            conditions: Conditions::of(request),
            codings: self.codings(request),
            target: request.path_and_query.clone(),
        };
        if let Some(answer) = self.look(&asked, Disk::Cached) {
            return answer;
        }
        let files = self.clone();
        let looked = blocking(move || Ok(files.look(&asked, Disk::Patient))).await;
        looked.ok().flatten().unwrap_or(Err(500))
    }

    /// Codings that the client takes, the best first; none for parts of files.
    fn codings(&self, request: &Request) -> Vec<Coding> {
        let headers = &request.headers;
        if !self.precompressed || headers.contains("range") || !headers.contains("accept-encoding") {
            return Vec::new();
        }
        let mut left = vec![Coding::Zstd, Coding::Brotli, Coding::Gzip];
        let mut taken = Vec::with_capacity(left.len());
        while let Some(best) = crate::policy::compression::accepted(request, &left) {
            left.retain(|coding| *coding != best);
            taken.push(best);
        }
        taken
    }

    /// The folder, open for one answer: whatever its path becomes, all of the answer comes from there.
    fn folder(&self, disk: Disk) -> io::Result<Folder<'_>> {
        disk.folder(self.root())
    }

    /// Finds the file and makes the answer; `None` where it would have to wait longer than it may.
    fn look(&self, asked: &Asked, disk: Disk) -> Option<Result<FileAnswer, u16>> {
        if let Some(opened) = self.find_at_once(asked, disk) {
            match self.file_answer(asked, opened, disk) {
                Ok(answer) => return Some(answer),
                // The rest of the way is for what has to wait.
                Err(_) => return None,
            }
        }
        let answer = self.folder(disk).and_then(|folder| match self.find(asked, &folder)? {
            Found::File(opened) => self.file_answer(asked, self.packed(asked, opened, &folder)?, disk),
            Found::Redirect => {
                let mut head = ResponseHead::new(301);
                head.headers.push("location", directory_location(&asked.target));
                Ok(Ok(FileAnswer { head, length: 0, file: None }))
            }
            Found::Listing(page) => {
                let mut head = ResponseHead::new(200);
                head.headers.push("content-type", "text/html; charset=utf-8");
                head.headers.push("cache-control", "no-cache");
                head.headers.push("x-content-type-options", "nosniff");
                let length = page.len() as u64;
                Ok(Ok(FileAnswer { head, length, file: Some(FileReader::of(page)) }))
            }
        });
        Some(match answer {
            Ok(answer) => answer,
            Err(error) if disk == Disk::Cached && error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(403),
            Err(_) => Err(404),
        })
    }

    /// The file that a path names, where it lies in memory, no link leads to it, and nothing else has to be looked at for the
    /// answer: a file like most. Everything else is found on the way through its folder.
    fn find_at_once(&self, asked: &Asked, disk: Disk) -> Option<Opened> {
        let alone = asked.codings.is_empty() || !content_type::is_text(content_type::of(&asked.relative));
        if disk != Disk::Cached || asked.as_directory || !alone {
            return None;
        }
        let (file, metadata) = disk.open_at_once(self.root(), &asked.relative).ok()?;
        let name = asked.relative.clone();
        metadata.is_file().then_some(Opened { file, metadata, name, coding: None })
    }

    fn root(&self) -> Root<'_> {
        Root { path: &self.root, within: self.within.as_deref() }
    }

    /// Opens what a relative path names; the index for a folder, the fallback for nothing.
    fn find(&self, asked: &Asked, folder: &Folder<'_>) -> io::Result<Found> {
        let relative = &asked.relative;
        let found = folder.open(relative).and_then(|(file, metadata)| {
            if metadata.is_file() && !asked.as_directory {
                return Ok(Found::File(Opened { file, metadata, name: relative.clone(), coding: None }));
            }
            if !metadata.is_dir() {
                return Err(io::ErrorKind::NotFound.into());
            }
            let name =
                if relative.is_empty() { self.index.clone() } else { format!("{relative}/{}", self.index) };
            match (folder.open(&name), asked.as_directory) {
                (Ok((file, metadata)), true) if metadata.is_file() => {
                    Ok(Found::File(Opened { file, metadata, name, coding: None }))
                }
                (Ok((_, metadata)), false) if metadata.is_file() => Ok(Found::Redirect),
                (Err(error), _) if error.kind() != io::ErrorKind::NotFound || !self.listing => Err(error),
                (_, true) if self.listing && folder.disk == Disk::Cached => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                (_, true) if self.listing => listing::page(relative, &file).map(Found::Listing),
                (_, false) if self.listing => Ok(Found::Redirect),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        });
        match (found, &self.fallback) {
            (Err(error), Some(fallback)) if error.kind() == io::ErrorKind::NotFound => {
                let (file, metadata) = folder.open(fallback)?;
                Ok(Found::File(Opened { file, metadata, name: fallback.clone(), coding: None }))
            }
            (found, _) => found,
        }
    }

    /// The first precompressed form that exists beside a text file and that the client takes, in place of it.
    fn packed(&self, asked: &Asked, opened: Opened, folder: &Folder<'_>) -> io::Result<Opened> {
        if !self.precompressed || !content_type::is_text(content_type::of(&opened.name)) {
            return Ok(opened);
        }
        Ok(match precompressed(&opened.name, &asked.codings, folder)? {
            Some((coding, file, metadata)) => {
                Opened { file, metadata, name: opened.name, coding: Some(coding) }
            }
            None => opened,
        })
    }

    fn file_answer(&self, asked: &Asked, opened: Opened, disk: Disk) -> io::Result<Result<FileAnswer, u16>> {
        let Opened { file, metadata, name, coding } = opened;
        let kind = content_type::of(&name);
        let mut head = ResponseHead::new(200);
        if self.precompressed && content_type::is_text(kind) {
            add_vary(&mut head.headers, "Accept-Encoding");
        }
        if let Some(coding) = coding {
            head.headers.push("content-encoding", coding.as_str());
        }
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let (etag, size) = (entity_tag(modified, metadata.len()), metadata.len());
        head.headers.push("last-modified", httpdate::fmt_http_date(modified));
        head.headers.push("etag", etag.clone());
        if let Some(seconds) = self.max_age {
            head.headers.push("cache-control", format!("max-age={seconds}"));
        }
        let (start, length) = match asked.conditions.judge(&etag, modified, size) {
            Outcome::Failed => return Ok(Err(412)),
            Outcome::NotModified => {
                head.headers.remove("content-encoding");
                head.status = 304;
                return Ok(Ok(FileAnswer { head, length: 0, file: None }));
            }
            Outcome::Unsatisfiable => {
                let mut head = ResponseHead::new(416);
                head.headers.push("content-range", format!("bytes */{size}"));
                return Ok(Ok(FileAnswer { head, length: 0, file: None }));
            }
            Outcome::Send(Part::Whole) => (0, size),
            Outcome::Send(Part::Bytes(start, end)) => {
                head.status = 206;
                head.headers.push("content-range", format!("bytes {start}-{end}/{size}"));
                (start, end - start + 1)
            }
        };
        head.headers.push("content-type", kind);
        head.headers.push("x-content-type-options", "nosniff");
        head.headers.push("accept-ranges", "bytes");
        if asked.head_only {
            head.headers.push("content-length", length.to_string());
            return Ok(Ok(FileAnswer { head, length, file: None }));
        }
        let reader = if length <= asked.at_once {
            match disk.read(&file, start, length) {
                Ok(content) => FileReader::of(content),
                Err(error) if disk == Disk::Cached => return Err(error),
                Err(_) => return Ok(Err(500)),
            }
        } else {
            FileReader { ready: None, file: Some(Arc::new(file)), offset: start, left: length, most: PIECE }
        };
        Ok(Ok(FileAnswer { head, length, file: Some(reader) }))
    }
}

enum Found {
    File(Opened),
    Redirect,
    Listing(Bytes),
}

/// The first precompressed form that exists beside a file.
fn precompressed(
    name: &str,
    codings: &[Coding],
    folder: &Folder<'_>,
) -> io::Result<Option<(Coding, File, Box<Metadata>)>> {
    for coding in codings {
        let extension = match coding {
            Coding::Zstd => "zst",
            Coding::Brotli => "br",
            Coding::Gzip => "gz",
        };
        match folder.open(&format!("{name}.{extension}")) {
            Ok((file, metadata)) if metadata.is_file() => return Ok(Some((*coding, file, metadata))),
            Err(error) if folder.disk == Disk::Cached && error.kind() == io::ErrorKind::WouldBlock => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(None)
}

/// The path as a file name relative to the root; `None` for names that are never served: hidden files (`.git`,
/// `.env`) except `.well-known`, control characters, and what is not UTF-8.
fn relative_path(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    segments.iter().all(|segment| is_servable(segment)).then(|| segments.join("/"))
}

/// Whether a name may be seen at all.
fn is_servable(segment: &str) -> bool {
    (!segment.starts_with('.') || segment == ".well-known")
        && !segment.chars().any(|character| character.is_control() || character == '\\')
        && segment.len() <= 255
}

/// The path with a final slash, and the query.
fn directory_location(target: &[u8]) -> Vec<u8> {
    let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
    let mut location = crate::http1::target::forwardable(path).into_owned();
    // Two slashes at the start would name another host.
    let slashes = location.iter().take_while(|byte| **byte == b'/').count().max(1);
    location.drain(..slashes - 1);
    location.push(b'/');
    location.extend_from_slice(&crate::http1::target::forwardable(query));
    location
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests;
