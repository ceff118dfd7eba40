//! `unit`: what systemd needs to run the server.

use std::path::Path;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Context;
use crate::failure::Failure;

/// Options of `unit`.
#[derive(Debug, Args)]
pub struct Unit {
    /// Run as this account, with the capability to open ports below 1024 [default: root]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The server's configuration, as `serve --config` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Print the unit of a socket that systemd opens instead, so that the server needs no capability
    #[arg(long, value_name = "PURPOSE", num_args = 0..=1, default_missing_value = "http")]
    socket: Option<Purpose>,
    /// The socket's port [default: 80, 443 or 9180]
    #[arg(long, requires = "socket")]
    port: Option<u16>,
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Purpose {
    Http,
    Https,
    Admin,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Printed {
    /// Where it belongs, below `/etc/systemd/system`.
    file: String,
    /// The unit.
    text: String,
}

impl Unit {
    /// Prints it.
    pub(super) fn run(self, context: &Context) -> Result<(), Failure> {
        let printed = match self.socket {
            Some(purpose) => socket(purpose, self.port),
            None => {
                let executable = crate::executable::path().map_err(|error| {
                    Failure::internal("the system does not tell where this executable lies").because(&error)
                })?;
                let config = match &self.config {
                    Some(file) => Some(std::path::absolute(file).map_err(|error| {
                        Failure::usage(format!("cannot use `{}`", file.display())).because(&error)
                    })?),
                    None => None,
                };
                service(&executable, context.data.path(), config.as_deref(), self.user.as_deref())?
            }
        };
        context.output.result(&printed, || printed.text.clone())
    }
}

fn socket(purpose: Purpose, port: Option<u16>) -> Printed {
    let (name, default) = match purpose {
        Purpose::Http => ("http", "80"),
        Purpose::Https => ("https", "443"),
        // Metrics are for this machine alone.
        Purpose::Admin => ("admin", "127.0.0.1:9180"),
    };
    let listen = match (port, purpose) {
        (None, _) => default.to_owned(),
        (Some(port), Purpose::Admin) => format!("127.0.0.1:{port}"),
        (Some(port), _) => port.to_string(),
    };
    let text = format!(
        "# /etc/systemd/system/hop3-{name}.socket, then: systemctl enable --now hop3-{name}.socket\n\
         [Unit]\n\
         Description=Hop3, {name}\n\
         \n\
         [Socket]\n\
         ListenStream={listen}\n\
         FileDescriptorName={name}\n\
         Service=hop3.service\n\
         Backlog=4096\n\
         \n\
         [Install]\n\
         WantedBy=sockets.target"
    );
    Printed { file: format!("hop3-{name}.socket"), text }
}

fn service(
    executable: &Path,
    data: &Path,
    config: Option<&Path>,
    user: Option<&str>,
) -> Result<Printed, Failure> {
    let mut command = format!("{} serve --data {}", quoted(executable)?, quoted(data)?);
    if let Some(config) = config {
        command.push_str(&format!(" --config {}", quoted(config)?));
    }
    let account = match user {
        // Without a supplied account, apps run as an account of their own where there is one.
        None => String::new(),
        Some(name) if is_account(name) => format!(
            "User={name}\n\
             # Ports 80 and 443 without being root. Apps do not inherit it.\n\
             AmbientCapabilities=CAP_NET_BIND_SERVICE\n\
             CapabilityBoundingSet=CAP_NET_BIND_SERVICE\n\
             NoNewPrivileges=yes\n"
        ),
        Some(name) => {
            return Err(Failure::usage(format!("`{name}` is no account name"))
                .hint("use the name of an account of this machine: letters, digits, `-` and `_`"));
        }
    };
    let text = format!(
        "# /etc/systemd/system/hop3.service, then: systemctl daemon-reload && systemctl enable --now hop3\n\
         [Unit]\n\
         Description=Hop3: reverse proxy, web application firewall and control plane\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         # Ready when requests are answered. `hop3 upgrade` and SIGUSR2 tell systemd the new process.\n\
         Type=notify\n\
         NotifyAccess=main\n\
         ExecStart={command}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         {account}\
         # Apps outlive a crash of the server and are found again; on stop the server ends them itself.\n\
         KillMode=process\n\
         Restart=on-failure\n\
         RestartSec=1\n\
         TimeoutStartSec=5min\n\
         TimeoutStopSec=2min\n\
         LimitNOFILE=524288\n\
         # A control group for each app.\n\
         Delegate=yes\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target"
    );
    Ok(Printed { file: "hop3.service".to_owned(), text })
}

/// One word of a command line in a unit (systemd.service(5), "Command lines").
fn quoted(path: &Path) -> Result<String, Failure> {
    let refused = || {
        Failure::usage(format!("`{}` cannot stand in a unit", path.display()))
            .hint("use a path without control characters")
    };
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control)).ok_or_else(refused)?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |char: char| char.is_ascii_alphanumeric() || "/._-+@".contains(char);
    Ok(if text.chars().all(plain) { escaped } else { format!("\"{escaped}\"") })
}

fn is_account(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_alphanumeric() || "_-".contains(char);
    !name.is_empty() && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(user: Option<&str>) -> String {
        let (executable, data) = (Path::new("/usr/bin/hop3"), Path::new("/srv/my data/100%"));
        service(executable, data, None, user).unwrap().text
    }

    #[test]
    fn a_unit_names_what_runs_and_as_whom() {
        let root = printed(None);
        assert!(root.contains("\nExecStart=/usr/bin/hop3 serve --data \"/srv/my data/100%%\"\n"), "{root}");
        assert!(root.contains("\nType=notify\nNotifyAccess=main\n"), "{root}");
        assert!(!root.contains("User="), "{root}");
        let ordinary = printed(Some("hop3"));
        assert!(
            ordinary.contains("\nUser=hop3\n") && ordinary.contains("\nAmbientCapabilities="),
            "{ordinary}"
        );
        let lines = |text: &str| {
            text.lines().filter(|line| !line.starts_with('#')).all(|line| {
                line.is_empty() || line.contains('=') || (line.starts_with('[') && line.ends_with(']'))
            })
        };
        assert!(lines(&root) && lines(&ordinary));
        let (path, user) = (Path::new("/a"), Some("a\nExecStart=/bin/sh"));
        assert!(service(path, path, None, user).is_err());
        assert!(service(Path::new("/a\nb"), path, None, None).is_err());
    }

    #[test]
    fn sockets_are_named_after_what_they_are_for() {
        let https = socket(Purpose::Https, None);
        assert_eq!(https.file, "hop3-https.socket");
        assert!(https.text.contains("\nListenStream=443\nFileDescriptorName=https\n"), "{}", https.text);
        assert!(socket(Purpose::Admin, Some(1)).text.contains("\nListenStream=127.0.0.1:1\n"));
    }
}
