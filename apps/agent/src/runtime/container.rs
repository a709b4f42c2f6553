//! The container of an attempt on one node: made when the attempt is prepared, and removed when its last process has
//! ended. A record of it is written first, so that a container is removed after any crash.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use processes::{ContainerRecord, Identity};
use protocol::{Assignment, Container as Settings};

use super::binds::binds;
use super::engine::{Engine, NewContainer, not_started};
use super::entry::Entry;
use super::error::ContainerError;
use super::pull::pull;
use super::{ContainerEnded, Inside, credentials, stand_in};
use crate::attempt::AttemptLayout;
use crate::execution_log::ExecutionLog;
use crate::fault::{Fault, Owner};
use crate::host::Host;
use crate::system::leftovers;

/// An engine that is busy with large images may take long to remove a container.
const REMOVE_LIMIT: Duration = Duration::from_secs(60);

/// When the agent starts: a daemon that hangs must not keep the node from its jobs.
const ABANDONED_LIMIT: Duration = Duration::from_secs(10);

pub struct Container {
    settings: Settings,
    name: String,
    node_id: String,
    /// The marker of the attempt.
    marker: String,
    record: Option<ContainerRecord>,
}

impl Container {
    /// The container of an attempt; an earlier agent process may have made it.
    pub fn find(host: &Host, assignment: &Assignment, settings: &Settings) -> Self {
        let key = &assignment.key;
        let marker = host.attempt_marker(key);
        let record = ContainerRecord::read(&host.root).filter(|record| record.attempt == marker);
        Self {
            settings: settings.clone(),
            name: format!("batchai-{}-{}-{}", key.job_uid, key.number, assignment.node_id),
            node_id: assignment.node_id.clone(),
            marker,
            record,
        }
    }

    /// Pulls the image, unless it is there, and starts the container.
    pub fn provide(
        &mut self,
        host: &Host,
        layout: &AttemptLayout,
        log: &mut ExecutionLog,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), ContainerError> {
        let scratch = host.private().join("engine-output");
        let (engine, abandoned) =
            Engine::find(&host.containers, &host.root, &scratch, &self.marker, is_cancelled)?;
        let image = self.settings.image.clone();
        engine.remove(&abandoned).map_err(not_started(&image))?;
        let image_id = self.image(&engine, host, log)?;
        let own_failure = |error: std::io::Error| ContainerError::NotStarted {
            image: image.clone(),
            reason: error.to_string(),
            fault: Owner::Agent.fault(&error),
        };
        let mut record = ContainerRecord::new(
            engine.command_line.clone(),
            self.name.clone(),
            self.marker.clone(),
        );
        record.write(&host.root).map_err(own_failure)?;
        self.record = Some(record.clone());
        let mut binds = binds(host, layout);
        if let Some(ssh) = &layout.ssh {
            match stand_in::make(&ssh.stand_in()) {
                Ok(more) => binds.extend(more),
                Err(error) => tracing::warn!(%error, "no ssh for images that have none"),
            }
        }
        let container = NewContainer {
            name: &self.name,
            image: &image_id,
            root: &host.root,
            node_id: &self.node_id,
            binds: &binds,
            shm_size: self.settings.shm_size.as_deref(),
            has_gpus: layout.has_gpus,
            options: &host.containers.run,
        };
        record.process = Some(engine.run(&container).map_err(not_started(&image))?);
        record.write(&host.root).map_err(own_failure)?;
        self.record = Some(record);
        let program = engine.command_line.first().map_or("", String::as_str);
        log.line(format_args!("Started a container of the image {image} with {program}"));
        Ok(())
    }

    fn image(
        &self,
        engine: &Engine<'_>,
        host: &Host,
        log: &mut ExecutionLog,
    ) -> Result<String, ContainerError> {
        let image = &self.settings.image;
        let refused = |reason: &str| ContainerError::NotStarted {
            image: image.clone(),
            reason: reason.to_owned(),
            fault: Fault::Job,
        };
        if image.starts_with('-') {
            return Err(refused("this is not the name of an image"));
        }
        if let Some(id) = engine.image_id(image).map_err(not_started(image))? {
            return Ok(id);
        }
        pull(engine, &self.settings, &host.private(), host.disk_patience, log)?;
        let id = engine.image_id(image).map_err(not_started(image))?;
        id.ok_or_else(|| refused("the image is not there although it was pulled"))
    }

    /// Into the container, with the variables of the image where the job does not set them.
    pub fn open(&self, host: &Host, layout: &AttemptLayout) -> Result<Inside, ContainerEnded> {
        let process = self.record.as_ref().and_then(ContainerRecord::running);
        let process = process.ok_or(ContainerEnded)?;
        let mut variables = host.environment_behind_images();
        variables.extend(environment_of(process).ok_or(ContainerEnded)?);
        let own = &layout.environment.own;
        variables.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        let entry = Entry { process, directory: layout.paths.temp.clone() };
        Ok(Inside { variables, entry: Some(entry) })
    }

    /// Removes the container, if there is one. The next agent or attempt tries again what fails.
    pub fn remove(&mut self, host: &Host, log: &mut ExecutionLog) {
        let Some(record) = self.record.take() else { return };
        match record.remove(&host.root, None, REMOVE_LIMIT) {
            Ok(()) => log.line("Removed the container"),
            Err(error) => {
                tracing::warn!(%error, name = self.name, "a container was not removed");
                log.line(format_args!("The container was not removed: {error}"));
            }
        }
    }
}

/// The environment that the engine has given to the first process: above all that of the image.
fn environment_of(process: Identity) -> Option<BTreeMap<String, String>> {
    let text = fs::read(format!("/proc/{}/environ", process.pid)).ok()?;
    let pair = |entry: &[u8]| {
        let entry = String::from_utf8_lossy(entry);
        entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let variables = text.split(|byte| *byte == 0).filter_map(pair).collect();
    process.is_alive().then_some(variables)
}

/// Removes the container of an attempt that nobody resumes, when the agent starts. `resumed`: the marker of the
/// attempt that is resumed.
pub fn remove_abandoned(host: &Host, resumed: Option<&str>) {
    if let Err(error) = credentials::forget(&host.private()) {
        tracing::error!(%error, "the credentials of a registry were not removed");
    }
    let Some(record) = ContainerRecord::read(&host.root) else { return };
    if resumed == Some(record.attempt.as_str()) {
        return;
    }
    // A client of the engine that still runs would make the container after it was removed.
    leftovers::kill(host, &record.attempt, None);
    if let Err(error) = record.remove(&host.root, None, ABANDONED_LIMIT) {
        tracing::warn!(%error, name = record.name, "a container was not removed");
    }
}
