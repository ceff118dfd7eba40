//! `wsgi: module:callable`: which server runs it, and with which arguments.

use std::path::Path;

use super::RuntimeError;
use crate::artifact::ArtifactKind;
use crate::environment::HostEnvironment;
use crate::launch::LaunchSpec;
use crate::manifest::procfile::WsgiTarget;

/// Where Debian puts uWSGI's plugins; a uWSGI from a package registry has Python built in.
const DEBIAN_PLUGIN: &str = "/usr/lib/uwsgi/plugins/python3_plugin.so";

/// The command line that serves a WSGI application on a port of loopback: gunicorn or uWSGI of the virtual
/// environment, else the system's uWSGI.
pub(super) fn argv(
    target: &WsgiTarget,
    spec: &LaunchSpec,
    port: u16,
    host: &HostEnvironment,
) -> Result<Vec<String>, RuntimeError> {
    let venv = match &spec.artifact.kind {
        ArtifactKind::Virtualenv { folder } => Some(folder.as_path()),
        _ => None,
    };
    let in_venv =
        |name: &str| venv.map(|venv| venv.join("bin").join(name)).filter(|program| program.is_file());
    let bind = format!("127.0.0.1:{port}");
    if let (Some(_), Some(python)) = (in_venv("gunicorn"), in_venv("python")) {
        return Ok(gunicorn_argv(&python, &bind, target));
    }
    if let Some(uwsgi) = in_venv("uwsgi") {
        return Ok(uwsgi_argv(&uwsgi, &bind, target, venv, false));
    }
    match host.find_program("uwsgi") {
        Some(uwsgi) => Ok(uwsgi_argv(&uwsgi, &bind, target, venv, Path::new(DEBIAN_PLUGIN).exists())),
        None => Err(RuntimeError::NoWsgiServer { target: target.as_str().to_owned() }),
    }
}

/// As a module: a script's first line must not be longer than the kernel allows, a release's path may be.
fn gunicorn_argv(python: &Path, bind: &str, target: &WsgiTarget) -> Vec<String> {
    let mut argv = vec![python.display().to_string()];
    argv.extend(["-m", "gunicorn", "--bind", bind, "--workers", "2"].map(str::to_owned));
    argv.extend(["--access-logfile", "-", target.as_str()].map(str::to_owned));
    argv
}

fn uwsgi_argv(
    uwsgi: &Path,
    bind: &str,
    target: &WsgiTarget,
    venv: Option<&Path>,
    plugin: bool,
) -> Vec<String> {
    let mut argv = vec![uwsgi.display().to_string()];
    if plugin {
        argv.extend(["--plugin", "python3"].map(str::to_owned));
    }
    // `need-app`: an import error ends it instead of answering 500 for ever. `die-on-term`: SIGTERM means end.
    let flags = [
        "--master",
        "--need-app",
        "--die-on-term",
        "--single-interpreter",
        "--enable-threads",
        "--lazy-apps",
    ];
    argv.extend(flags.map(str::to_owned));
    argv.extend(["--processes", "2", "--threads", "2", "--http-socket", bind].map(str::to_owned));
    // The head of a request, 4 KiB otherwise: uWSGI closes the connection of a larger one, of a browser with many cookies
    // for instance, without a word.
    argv.extend(["--buffer-size", "65535"].map(str::to_owned));
    // A worker that is told to end while it still loads the app overlooks it; the master would wait a minute.
    argv.extend(["--worker-reload-mercy", "2"].map(str::to_owned));
    if let Some(venv) = venv {
        argv.extend(["--virtualenv".to_owned(), venv.display().to_string()]);
    }
    argv.extend(["--pythonpath", ".", "--module", target.as_str()].map(str::to_owned));
    argv
}
