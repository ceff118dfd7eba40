//! From a source tree to a running process: manifests, builders, runtimes, supervisor, log capture.
//!
//! The way of an app through this crate:
//!
//! 1. [`manifest::Manifest::load`] reads `hop3.toml`, `Procfile` and `ENV`;
//! 2. [`build::build_app`] picks a [`build::Builder`] by evidence and makes an [`artifact::Artifact`];
//! 3. [`launch::LaunchSpec`] joins artifact, process type and configuration;
//! 4. [`supervisor::Supervisor`] starts it through a [`runtime::Runtime`], probes it, restarts it, and
//!    finds it again after a crash of the server;
//! 5. [`logs`] reads back what it wrote.
//!
//! Knows nothing of routing, users and the store: the caller persists [`instance::InstanceRecord`]s and
//! turns "instance v7.web.1 is healthy on this port" into a route.

pub mod app_command;
pub mod app_user;
pub mod artifact;
pub mod backoff;
pub mod build;
pub mod cgroup;
pub mod environment;
pub mod health;
pub mod instance;
pub mod job;
pub mod launch;
pub mod logs;
pub mod manifest;
pub mod names;
pub mod ports;
pub mod process_tree;
pub mod runtime;
pub mod source_tree;
pub mod supervisor;
