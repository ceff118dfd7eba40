//! Static sites: a folder of files, perhaps made by the app's own build commands.

use std::collections::BTreeMap;
use std::path::Path;

use super::log::BuildLog;
use super::steps::Steps;
use super::{BuildError, BuildRequest, Builder, Detection};
use crate::artifact::{Artifact, ArtifactKind};
use crate::manifest::ProcessCommand;
use crate::source_tree::SourceTree;

/// Folders that are looked at for an `index.html` when the manifest names none.
pub const PLACES: [&str; 6] = ["", "public", "dist", "build", "_site", "site"];

/// Takes a folder of files as the site.
#[derive(Clone, Copy, Debug)]
pub struct StaticSite {
    guess: bool,
}

impl StaticSite {
    /// Recognises only trees whose manifest says that they are static.
    #[must_use]
    pub const fn declared() -> Self {
        Self { guess: false }
    }

    /// Also recognises an `index.html` when the manifest starts nothing.
    #[must_use]
    pub const fn guessed() -> Self {
        Self { guess: true }
    }
}

impl Builder for StaticSite {
    fn name(&self) -> &'static str {
        "static"
    }

    fn detect(&self, tree: &SourceTree) -> Detection {
        match tree.manifest.web() {
            Some(ProcessCommand::Static(folder)) => {
                return Detection::Yes(format!("static folder `{}` named", folder.display()));
            }
            Some(_) => return Detection::No("there is a web process".to_owned()),
            None => {}
        }
        match place(&tree.root) {
            Some("") if self.guess => Detection::Yes("index.html found".to_owned()),
            Some(folder) if self.guess => Detection::Yes(format!("{folder}/index.html found")),
            _ => Detection::No("no index.html".to_owned()),
        }
    }

    fn build(&self, request: &BuildRequest, log: &mut BuildLog) -> Result<Artifact, BuildError> {
        let plan = &request.tree.manifest.build;
        let steps = Steps::begin(request)?;
        steps.commands("before-build", &plan.before_build, log)?;
        steps.commands("build", &plan.build, log)?;
        steps.commands("after-build", &plan.after_build, log)?;
        let named = match request.tree.manifest.web() {
            Some(ProcessCommand::Static(folder)) => Some(folder.as_path()),
            _ => None,
        };
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None => Path::new(place(&steps.source).unwrap_or("")).to_owned(),
        };
        let site = steps.source.join(&folder);
        // Built folders may be links; what they lead to must still be the app's.
        let inside = site.canonicalize().ok().filter(|site| site.is_dir() && site.starts_with(&steps.source));
        let Some(site) = inside else {
            let text =
                format!("the static folder `{}` does not exist in the app after the build", folder.display());
            return Err(BuildError::Output(text));
        };
        Ok(Artifact {
            kind: ArtifactKind::Static { site },
            builder: self.name().to_owned(),
            root: steps.source,
            path: Vec::new(),
            env: BTreeMap::new(),
        })
    }
}

fn place(root: &Path) -> Option<&'static str> {
    PLACES.into_iter().find(|folder| root.join(folder).join("index.html").is_file())
}
