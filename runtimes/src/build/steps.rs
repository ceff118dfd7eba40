//! What builders share: a fresh copy of the source, the build's environment, steps with their errors.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::log::BuildLog;
use super::{BuildError, BuildRequest};
use crate::app_command::AppCommand;
use crate::environment::Environment;
use crate::job::{Job, JobError};

/// A build under way.
pub(super) struct Steps<'a> {
    pub(super) request: &'a BuildRequest,
    /// The copy of the source, where everything is run.
    pub(super) source: PathBuf,
    pub(super) environment: Environment,
    deadline: Instant,
}

impl<'a> Steps<'a> {
    /// Empties the release's folder and copies the source into `src` beneath it.
    pub(super) fn begin(request: &'a BuildRequest) -> Result<Self, BuildError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::Io { action, path, source }
        };
        let work = &request.work;
        if work.exists() {
            fs::remove_dir_all(work).map_err(io("empty", work))?;
        }
        fs::create_dir_all(work).map_err(io("create", work))?;
        fs::create_dir_all(&request.home).map_err(io("create", &request.home))?;
        let work = work.canonicalize().map_err(io("find", work))?;
        let source = work.join("src");
        request.tree.copy_to(&source)?;
        if let Some(user) = &request.user {
            user.own(&work).map_err(io("give away", &work))?;
            std::os::unix::fs::lchown(&request.home, Some(user.uid), Some(user.gid))
                .map_err(io("give away", &request.home))?;
        }
        let mut environment = Environment::base(&request.host, &request.home, &[]);
        environment.extend(request.host.build.clone());
        environment.extend(request.config.clone());
        environment.set("HOME", request.home.as_os_str());
        environment.set("APP", request.app.as_str());
        environment.set("PROC_TYPE", "build");
        Ok(Self { request, source, environment, deadline: Instant::now() + request.timeout })
    }

    /// The release's folder.
    pub(super) fn work(&self) -> &Path {
        self.source.parent().unwrap_or(&self.source)
    }

    /// Runs a tool of ours with arguments.
    pub(super) fn tool(&self, title: &str, argv: &[&str], log: &mut BuildLog) -> Result<(), BuildError> {
        self.run(title, argv.iter().map(|&word| word.to_owned()).collect(), log)
    }

    /// Runs commands of the app, in order, as the app.
    pub(super) fn commands(
        &self,
        phase: &str,
        commands: &[String],
        log: &mut BuildLog,
    ) -> Result<(), BuildError> {
        for line in commands {
            let title = format!("{phase}: {line}");
            let command = AppCommand::parse(line).map_err(|error| BuildError::Step {
                step: title.clone(),
                problem: error.to_string(),
                exit: None,
                tail: Vec::new(),
            })?;
            self.run(&title, command.argv(), log)?;
        }
        Ok(())
    }

    fn run(&self, title: &str, argv: Vec<String>, log: &mut BuildLog) -> Result<(), BuildError> {
        log.begin_step(title);
        let job = Job {
            argv,
            folder: &self.source,
            environment: &self.environment,
            user: self.request.user.as_ref(),
            deadline: self.deadline,
        };
        let error = match job.run(log) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let problem = match &error {
            JobError::Start { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let exit = match error {
            JobError::Failed(exit) => Some(exit),
            _ => None,
        };
        log.line(&format!("failed: {problem}"));
        log.flush();
        let mut tail = log.tail();
        tail.pop();
        if tail.first().is_some_and(|line| line.starts_with("-> ")) {
            tail.remove(0);
        }
        Err(BuildError::Step { step: title.to_owned(), problem, exit, tail })
    }
}
