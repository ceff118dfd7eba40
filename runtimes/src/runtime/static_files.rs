//! Sites without a process: yields the folder to serve; serving it is the proxy's.

use std::time::Duration;

use async_trait::async_trait;

use super::{Running, Runtime, RuntimeError, Stopped};
use crate::artifact::ArtifactKind;
use crate::health::ProbeAnswer;
use crate::instance::{Endpoint, InstanceRecord, InstanceStats};
use crate::launch::LaunchSpec;
use crate::manifest::HealthCheck;

/// The runtime `static`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StaticRuntime;

#[async_trait]
impl Runtime for StaticRuntime {
    fn name(&self) -> &'static str {
        "static"
    }

    async fn start(&self, spec: &LaunchSpec) -> Result<Running, RuntimeError> {
        let ArtifactKind::Static { site } = &spec.artifact.kind else {
            return Err(RuntimeError::Unsupported { runtime: "static", kind: spec.artifact.kind.word() });
        };
        let folder = tokio::fs::metadata(site).await;
        let not_a_folder = || std::io::Error::from(std::io::ErrorKind::NotADirectory);
        folder
            .and_then(|metadata| metadata.is_dir().then_some(()).ok_or_else(not_a_folder))
            .map_err(|source| RuntimeError::File { path: site.clone(), source })?;
        Ok(running(InstanceRecord {
            id: spec.id.clone(),
            marker: String::new(),
            endpoint: Endpoint::Folder(site.clone()),
            leader: None,
            log: None,
            cgroup: None,
        }))
    }

    async fn adopt(&self, record: &InstanceRecord) -> Option<Running> {
        let Endpoint::Folder(site) = &record.endpoint else { return None };
        site.is_dir().then(|| running(record.clone()))
    }

    async fn probe(&self, record: &InstanceRecord, _check: &HealthCheck) -> ProbeAnswer {
        match &record.endpoint {
            Endpoint::Folder(site) if site.is_dir() => ProbeAnswer::Healthy(200),
            _ => ProbeAnswer::Broken("the site's folder is gone".to_owned()),
        }
    }

    async fn stop(&self, _record: &InstanceRecord, _patience: Duration) -> Result<Stopped, RuntimeError> {
        Ok(Stopped::default())
    }

    async fn stats(&self, _record: &InstanceRecord) -> InstanceStats {
        InstanceStats::default()
    }
}

fn running(record: InstanceRecord) -> Running {
    Running { record, exit: Box::pin(std::future::pending()) }
}
