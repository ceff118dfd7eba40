//! `deploy`: packs a folder, sends it, shows how it goes.

use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use tokio_stream::wrappers::ReceiverStream;

use super::target::{Surroundings, choose};
use super::{Context, config};
use crate::api::client::RequestBody;
use crate::api::wire::{DeployRequest, Deployed};
use crate::failure::Failure;
use crate::model::AppName;
use crate::source::{Ignore, Limits, PackError, pack};

/// Options of `deploy`.
#[derive(Debug, Args)]
pub struct Deploy {
    /// [APP] [DIR]; a word with a `/`, or `.`, is the folder [default: the current one]
    #[arg(value_name = "[APP] [DIR]", num_args = 0..=2)]
    words: Vec<String>,
    /// The app, as an option
    #[arg(short, long, value_name = "APP")]
    app: Option<String>,
    /// Set a variable with this release; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Check what would be done, change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Deploy {
    /// Deploys and prints the progress.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (name, folder) = split(&self.words, self.app.is_some())?;
        let folder = folder.unwrap_or_else(|| PathBuf::from("."));
        if !folder.is_dir() {
            return Err(Failure::usage(format!("`{}` is not a folder", folder.display()))
                .hint("name the folder that holds the app: hop3 deploy APP FOLDER"));
        }
        let app = choose(name.as_deref(), self.app.as_deref(), &Surroundings::of(&folder))?;
        let request = DeployRequest { env: config::assignments(&self.env)?, dry_run: self.dry_run };
        let body = body(&folder, &request)?;
        let end = send(&app, body, context).await?;
        match end {
            Some(end) if context.output.is_json() => context.output.result(&end, String::new),
            _ => Ok(()),
        }
    }
}

async fn send(app: &AppName, body: RequestBody, context: &Context) -> Result<Option<Deployed>, Failure> {
    let mut end = None;
    let path = format!("/v1/apps/{app}/deploy");
    context
        .client
        .stream(Method::POST, &path, body, |message| context.output.progress(message, &mut end))
        .await?;
    Ok(end)
}

/// Tells name and folder apart.
fn split(words: &[String], named: bool) -> Result<(Option<String>, Option<PathBuf>), Failure> {
    let is_path = |word: &String| word.contains('/') || word == "." || word == "..";
    match words {
        [] => Ok((None, None)),
        [only] if is_path(only) || named => Ok((None, Some(only.into()))),
        [only] => Ok((Some(only.clone()), None)),
        [name, folder] if !is_path(name) => Ok((Some(name.clone()), Some(folder.into()))),
        _ => Err(Failure::usage("the app's name comes before the folder").hint("hop3 deploy APP FOLDER")),
    }
}

/// The request's body: one line of JSON, then the packed folder, spooled to an unnamed file.
fn body(folder: &Path, request: &DeployRequest) -> Result<RequestBody, Failure> {
    let failed = |error: std::io::Error| Failure::internal("cannot spool the folder").because(&error);
    let mut spool = tempfile::tempfile().map_err(failed)?;
    serde_json::to_writer(&spool, request).map_err(|error| failed(error.into()))?;
    spool.write_all(b"\n").map_err(failed)?;
    let mut writer = std::io::BufWriter::new(&spool);
    pack(folder, &Ignore::new(own_patterns(folder)), Limits::DEFAULT, &mut writer)
        .map_err(|error| unpackable(folder, &error))?;
    writer.flush().map_err(failed)?;
    drop(writer);
    spool.rewind().map_err(failed)?;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let message = match spool.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => Ok(Frame::data(Bytes::copy_from_slice(&chunk[..read]))),
                Err(error) => Err(error),
            };
            let last = message.is_err();
            if sender.blocking_send(message).is_err() || last {
                return;
            }
        }
    });
    Ok(StreamBody::new(ReceiverStream::new(receiver)).boxed())
}

fn unpackable(folder: &Path, error: &PackError) -> Failure {
    let failure = Failure::usage(format!("cannot pack the folder `{}`", folder.display())).because(error);
    match error {
        PackError::LinkOutside { .. } => failure
            .hint("replace the link with the file, or leave it out: [build] ignore = [\"…\"] in hop3.toml"),
        PackError::TooLarge { .. } => {
            failure.hint("leave out what is not needed: [build] ignore = [\"…\"] in hop3.toml")
        }
        _ => failure,
    }
}

/// `[build] ignore` of the folder's `hop3.toml`; faults in the file are the server's to report.
fn own_patterns(folder: &Path) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        build: Option<Build>,
    }
    #[derive(serde::Deserialize)]
    struct Build {
        #[serde(default)]
        ignore: Vec<String>,
    }
    std::fs::read_to_string(folder.join("hop3.toml"))
        .ok()
        .and_then(|text| toml::from_str::<Manifest>(&text).ok())
        .and_then(|manifest| manifest.build)
        .map(|build| build.ignore)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_folder_are_told_apart() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let told = |text: &str, named| split(&words(text), named).unwrap();
        assert_eq!(told("", false), (None, None));
        assert_eq!(told("demo", false), (Some("demo".into()), None));
        assert_eq!(told("./demo", false), (None, Some("./demo".into())));
        assert_eq!(told(".", false), (None, Some(".".into())));
        assert_eq!(told("demo app", false), (Some("demo".into()), Some("app".into())));
        assert_eq!(told("folder", true), (None, Some("folder".into())));
        assert!(split(&words("./a b"), false).is_err());
    }
}
