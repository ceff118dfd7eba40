//! The server dies by SIGKILL: its apps go on, and the next one adopts or ends them, never doubles them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use hop3_runtimes::instance::InstanceRecord;
use hop3_runtimes::supervisor::Adoption;
use support::{read_when_there, runtime, scratch, spec, supervisor, wait_until, with_text};

const ROLE: &str = "HOP3_TEST_SERVER";

/// Not a test of its own: the server that is killed. Run by the tests below in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn role_server() {
    let Some(role) = std::env::var_os(ROLE) else { return };
    let role = role.into_string().unwrap();
    let (folder, owner) = role.split_once('|').unwrap();
    let folder = std::path::Path::new(folder);
    let supervisor = supervisor();
    let kept =
        spec(folder, owner, "web", &format!("python3 -m http.server --bind 127.0.0.1 $PORT # {owner}"));
    let record = supervisor.start(kept.clone()).await.unwrap();
    supervisor.wait_healthy(&kept.id).await.unwrap();
    // Started and never persisted: what a crash between the two leaves behind.
    supervisor.start(spec(folder, owner, "lost", &format!("sleep 1000 # {owner}"))).await.unwrap();
    let text = serde_json::to_string(&record).unwrap();
    std::fs::write(folder.join("record.tmp"), text).unwrap();
    std::fs::rename(folder.join("record.tmp"), folder.join("record")).unwrap();
    tokio::time::sleep(Duration::from_secs(1000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_survive_the_servers_death_and_are_adopted() {
    let (folder, owner) = scratch("adopt");
    let root = folder.path();
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role_server", "--nocapture"])
        .env(ROLE, format!("{}|{owner}", root.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let record: InstanceRecord = serde_json::from_str(&read_when_there(&root.join("record"))).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();

    let address = record.endpoint.address().unwrap();
    assert!(record.leader.as_ref().unwrap().is_alive(), "it goes on without its server");
    let strays = runtime(true)
        .end_strays(&owner, std::slice::from_ref(&record.marker), Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(strays.len(), 1, "{strays:?}");
    assert!(strays[0].starts_with(&format!("{owner}/demo/v7.lost.1/")));

    let supervisor = supervisor();
    let kept = spec(root, &owner, "web", &format!("python3 -m http.server --bind 127.0.0.1 $PORT # {owner}"));
    let mut events = supervisor.events();
    assert_eq!(supervisor.adopt(&record, kept.clone()).await.unwrap(), Adoption::Adopted);
    supervisor.wait_healthy(&kept.id).await.unwrap();
    assert_eq!(supervisor.state(&kept.id).unwrap().record.unwrap().endpoint.address(), Some(address));
    assert!(supervisor.start(kept.clone()).await.is_err(), "never doubled");

    // An adopted process that dies is noticed and started again.
    record.leader.as_ref().unwrap().signal(rustix::process::Signal::KILL);
    loop {
        use hop3_runtimes::supervisor::event::Change;
        if let Change::Started { record: new, adopted: false } = events.recv().await.unwrap().change {
            assert_ne!(new.leader, record.leader);
            break;
        }
    }
    supervisor.wait_healthy(&kept.id).await.unwrap();
    supervisor.stop(&kept.id).await.unwrap();
    wait_until(|| with_text(&owner).is_empty());

    assert_eq!(supervisor.adopt(&record, kept.clone()).await.unwrap(), Adoption::Gone);
    let reused = InstanceRecord {
        leader: hop3_runtimes::process_tree::ProcessIdentity::of(std::process::id().cast_signed()).map(
            |own| hop3_runtimes::process_tree::ProcessIdentity { start_ticks: own.start_ticks - 1, ..own },
        ),
        ..record
    };
    assert_eq!(supervisor.adopt(&reused, kept).await.unwrap(), Adoption::Gone, "a reused pid is not ours");
}
