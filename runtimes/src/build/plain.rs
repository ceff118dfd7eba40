//! Apps that only need to be started: a command in `Procfile` or `hop3.toml`, nothing to install.

use std::collections::BTreeMap;

use super::log::BuildLog;
use super::steps::Steps;
use super::{BuildError, BuildRequest, Builder, Detection};
use crate::artifact::{Artifact, ArtifactKind};
use crate::source_tree::SourceTree;

/// Runs the app's own build commands and takes the folder as it is then.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Builder for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn detect(&self, tree: &SourceTree) -> Detection {
        match tree.manifest.run.processes.keys().next() {
            Some(name) => Detection::Yes(format!("start command for `{name}` found")),
            None => Detection::No("no start command".to_owned()),
        }
    }

    fn build(&self, request: &BuildRequest, log: &mut BuildLog) -> Result<Artifact, BuildError> {
        let plan = &request.tree.manifest.build;
        if request.tree.manifest.run.processes.is_empty() {
            return Err(BuildError::NothingToStart);
        }
        let steps = Steps::begin(request)?;
        steps.commands("before-build", &plan.before_build, log)?;
        steps.commands("build", &plan.build, log)?;
        steps.commands("after-build", &plan.after_build, log)?;
        Ok(Artifact {
            kind: ArtifactKind::Plain,
            builder: self.name().to_owned(),
            root: steps.source,
            path: Vec::new(),
            env: BTreeMap::new(),
        })
    }
}
