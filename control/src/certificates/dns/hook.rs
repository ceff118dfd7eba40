//! A program of the operator's: `PROGRAM [ARGUMENT…] present|cleanup NAME VALUE`, as lego's `exec` provider calls it, so
//! that programs written for that serve here. No shell; the environment is the server's.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::Record;

/// How long a call may take; DNS services are slow.
const LIMIT: Duration = Duration::from_secs(180);
/// Most bytes of output that are kept for the message.
const OUTPUT: u64 = 2048;

/// Calls the program.
pub(super) async fn run(command: &[String], verb: &str, record: &Record) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Err("the hook is empty".into()) };
    let mut child = Command::new(program)
        .args(arguments)
        .args([verb, &record.name, &record.value])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("the DNS hook `{program}` cannot be started: {error}"))?;
    let stderr = child.stderr.take();
    let outcome = tokio::time::timeout(LIMIT, async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = (&mut stderr).take(OUTPUT).read_to_end(&mut said).await;
            // The rest is read over, so that the program never waits for us.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        (child.wait().await, said)
    });
    match outcome.await {
        Err(_) => Err(format!("the DNS hook `{program} {verb}` took longer than {} s", LIMIT.as_secs())),
        Ok((Err(error), _)) => Err(format!("the DNS hook `{program} {verb}` was lost: {error}")),
        Ok((Ok(status), _)) if status.success() => Ok(()),
        Ok((Ok(status), said)) => {
            let said = String::from_utf8_lossy(&said);
            Err(format!("the DNS hook `{program} {verb}` failed ({status}): {}", said.trim()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_program_gets_verb_name_and_value_and_may_refuse() {
        let folder = tempfile::tempdir().unwrap();
        let (program, log) = (folder.path().join("hook"), folder.path().join("log"));
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\n[ \"$2\" = cleanup ] && {{ echo 'no such zone' >&2; exit 3; }}\nexit 0\n",
            log.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let command = vec![program.display().to_string(), "zone-1".to_owned()];
        let record = Record { name: "_acme-challenge.a.org.".into(), value: "x $(id)".into() };
        run(&command, "present", &record).await.unwrap();
        let refused = run(&command, "cleanup", &record).await.unwrap_err();
        assert!(refused.contains("no such zone") && refused.contains('3'), "{refused}");
        let calls = std::fs::read_to_string(log).unwrap();
        assert_eq!(
            calls,
            "zone-1 present _acme-challenge.a.org. x $(id)\nzone-1 cleanup _acme-challenge.a.org. x $(id)\n"
        );
        let absent = run(&["/nonexistent".to_owned()], "present", &record).await.unwrap_err();
        assert!(absent.contains("cannot be started"), "{absent}");
    }
}
