//! A folder as a page: its folders, then its files, by name.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;
use rustix::fs::{Dir, FileType};

use crate::policy::redirect::escaped;
use crate::static_files::is_servable;

/// Most names on a page.
const MAX_NAMES: usize = 2000;

/// The page of an open folder.
pub fn page(relative: &str, folder: &File) -> io::Result<Bytes> {
    let mut names: Vec<(bool, String)> = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if is_servable(name) && names.len() < MAX_NAMES {
            names.push((entry.file_type() != FileType::Directory, name.to_owned()));
        }
    }
    names.sort();
    let title = html(&format!("/{relative}"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<h1>{title}</h1>\n<ul>\n"
    );
    if !relative.is_empty() {
        page.push_str("<li><a href=\"../\">../</a>\n");
    }
    for (is_file, name) in names {
        let slash = if is_file { "" } else { "/" };
        let link = String::from_utf8_lossy(&escaped(name.as_bytes())).into_owned();
        // `./` keeps a name with a colon from being a scheme. Writing to a String cannot fail.
        let _ = writeln!(page, "<li><a href=\"./{}{slash}\">{}{slash}</a>", html(&link), html(&name));
    }
    page.push_str("</ul></html>\n");
    Ok(page.into())
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
