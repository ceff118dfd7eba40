//! Python apps: a virtual environment with the app's requirements, by `uv` when it is there, else `venv` and `pip`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::log::BuildLog;
use super::steps::Steps;
use super::{BuildError, BuildRequest, Builder, Detection};
use crate::artifact::{Artifact, ArtifactKind};
use crate::source_tree::SourceTree;

/// Installs what `requirements.txt` or `pyproject.toml` asks for.
#[derive(Clone, Copy, Debug)]
pub struct Python;

/// Where an app's dependencies are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirements {
    File,
    Project,
}

impl Builder for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn detect(&self, tree: &SourceTree) -> Detection {
        match requirements(tree) {
            Some(Requirements::File) => Detection::Yes("requirements.txt found".to_owned()),
            Some(Requirements::Project) => Detection::Yes("pyproject.toml found".to_owned()),
            None => Detection::No("no requirements.txt or pyproject.toml with [project]".to_owned()),
        }
    }

    fn build(&self, request: &BuildRequest, log: &mut BuildLog) -> Result<Artifact, BuildError> {
        let plan = &request.tree.manifest.build;
        if request.tree.manifest.run.processes.is_empty() {
            return Err(BuildError::NothingToStart);
        }
        let mut steps = Steps::begin(request)?;
        let venv = steps.work().join("venv");
        let installer = Installer::find(request)?;
        installer.create(&steps, &venv, log)?;
        let bin = venv.join("bin");
        steps.environment = in_virtualenv(&steps, request, &venv, &bin);
        steps.commands("before-build", &plan.before_build, log)?;
        installer.install(&steps, &venv, log)?;
        steps.commands("build", &plan.build, log)?;
        steps.commands("after-build", &plan.after_build, log)?;
        let env = BTreeMap::from([
            ("VIRTUAL_ENV".to_owned(), venv.display().to_string()),
            // Without this, output of a process appears when its buffer is full, not when it is printed.
            ("PYTHONUNBUFFERED".to_owned(), "1".to_owned()),
        ]);
        Ok(Artifact {
            kind: ArtifactKind::Virtualenv { folder: venv },
            builder: self.name().to_owned(),
            root: steps.source,
            path: vec![bin],
            env,
        })
    }
}

fn requirements(tree: &SourceTree) -> Option<Requirements> {
    if tree.has_file("requirements.txt") {
        return Some(Requirements::File);
    }
    let text = std::fs::read_to_string(tree.root.join("pyproject.toml")).ok()?;
    // Many projects use the file only to configure tools; those have nothing to install.
    let table: toml::Table = toml::from_str(&text).ok()?;
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry")).is_some();
    (table.contains_key("project") || poetry).then_some(Requirements::Project)
}

fn in_virtualenv(
    steps: &Steps<'_>,
    request: &BuildRequest,
    venv: &Path,
    bin: &Path,
) -> crate::environment::Environment {
    let mut environment = steps.environment.clone();
    let path = request.config.get("PATH").map_or(request.host.path.as_str(), String::as_str);
    environment.set("PATH", format!("{}:{path}", bin.display()));
    environment.set("VIRTUAL_ENV", venv.as_os_str());
    environment.set("PYTHONUNBUFFERED", "1");
    environment
}

/// The tool that makes environments and installs packages. Python runs isolated (`-I`): otherwise a file
/// `venv.py` of the app would stand in for the module.
enum Installer {
    /// `uv`, and the wanted Python version.
    Uv { uv: PathBuf, version: Option<String> },
    /// The interpreter, for `-m venv` and `-m pip`.
    Pip { python: PathBuf },
}

impl Installer {
    fn find(request: &BuildRequest) -> Result<Self, BuildError> {
        let version = request.tree.manifest.build.python.clone();
        let is_version = |text: &String| text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if let Some(odd) = version.as_ref().filter(|version| !is_version(version)) {
            let hint = "write [build] python as a version such as \"3.12\"".to_owned();
            return Err(BuildError::MissingTool { what: format!("Python {odd:?}"), hint });
        }
        if let Some(uv) = request.host.find_program("uv") {
            return Ok(Self::Uv { uv, version });
        }
        let name = version.map_or("python3".to_owned(), |version| format!("python{version}"));
        match request.host.find_program(&name) {
            Some(python) => Ok(Self::Pip { python }),
            None => Err(BuildError::MissingTool {
                what: name,
                hint: "install it with its `venv` module (Debian: apt install python3-venv), or install `uv`"
                    .into(),
            }),
        }
    }

    fn create(&self, steps: &Steps<'_>, venv: &Path, log: &mut BuildLog) -> Result<(), BuildError> {
        let title = "create virtual environment";
        let (venv, argv) = (venv.display().to_string(), |tool: &Path| tool.display().to_string());
        match self {
            Self::Uv { uv, version: None } => steps.tool(title, &[&argv(uv), "venv", &venv], log),
            Self::Uv { uv, version: Some(version) } => {
                steps.tool(title, &[&argv(uv), "venv", "--python", version, &venv], log)
            }
            Self::Pip { python } => steps.tool(title, &[&argv(python), "-I", "-m", "venv", &venv], log),
        }
    }

    fn install(&self, steps: &Steps<'_>, venv: &Path, log: &mut BuildLog) -> Result<(), BuildError> {
        let plan = &steps.request.tree.manifest.build;
        match requirements(&steps.request.tree) {
            Some(Requirements::File) => {
                self.packages("install requirements.txt", &["-r", "requirements.txt"], steps, venv, log)?;
            }
            Some(Requirements::Project) => {
                let extras = plan.extras.join(",");
                let project = if extras.is_empty() { ".".to_owned() } else { format!(".[{extras}]") };
                self.packages("install pyproject.toml", &[&project], steps, venv, log)?;
            }
            None => {}
        }
        if plan.pip_install.is_empty() {
            return Ok(());
        }
        // A package that looks like an option would be one.
        let mut arguments = vec!["--"];
        arguments.extend(plan.pip_install.iter().map(String::as_str));
        self.packages("install pip-install packages", &arguments, steps, venv, log)
    }

    fn packages(
        &self,
        title: &str,
        arguments: &[&str],
        steps: &Steps<'_>,
        venv: &Path,
        log: &mut BuildLog,
    ) -> Result<(), BuildError> {
        let python = venv.join("bin/python").display().to_string();
        let uv_path;
        let mut argv = match self {
            Self::Uv { uv, .. } => {
                uv_path = uv.display().to_string();
                vec![uv_path.as_str(), "pip", "install", "--python", &python]
            }
            Self::Pip { .. } => {
                vec![&*python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
            }
        };
        argv.extend(arguments);
        steps.tool(title, &argv, log)
    }
}
