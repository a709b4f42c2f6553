//! Launching machines: at most as many as are allowed, each with an address of its own.

use super::record::{self, Record};
use super::{ProcessMachines, end, instance_of};
use crate::gpus;
use control::ports::{LaunchRequest, PortError};
use model::{Instance, NodeId, ResourceError};
use processes::ControlGroup;
use std::collections::BTreeMap;

impl ProcessMachines {
    /// Records the machine, then starts it. A repetition finds the record. Refused when there are as many
    /// machines as allowed, or too few GPUs: counted and recorded under one lock.
    pub(super) fn bring_up(
        &self,
        request: &LaunchRequest,
        node: &NodeId,
    ) -> Result<Result<Instance, ResourceError>, PortError> {
        let instance = instance_of(node);
        let record = {
            let mut known = self.known();
            if let Some(record) = known.get(&instance) {
                return Ok(Ok(record.machine()));
            }
            let running = || known.values().filter(|record| !record.has_ended());
            if running().count() >= self.options.max_nodes as usize {
                return Ok(Err(quota_reached(self.options.max_nodes)));
            }
            let taken = running().flat_map(|record| record.gpus.iter().flatten());
            let gpus = match gpus::share(&self.options.gpus, taken, &request.vm_size) {
                Ok(gpus) => gpus,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let group = ControlGroup::create(&end::group_name(node));
            let address = free_address(&known);
            let mut record = Record::new(instance.clone(), address, group, request, node);
            record.gpus = gpus;
            if let Err(error) = record.write(&self.options.directory) {
                self.discard(&record);
                return Err(PortError::other(error));
            }
            known.insert(instance, record.clone());
            record
        };
        let machine = record.machine();
        if let Some(machines) = self.myself.upgrade() {
            tokio::spawn(async move { machines.run(record).await });
        }
        Ok(Ok(machine))
    }

    /// Removes what a launch has made that failed.
    fn discard(&self, record: &Record) {
        if let Some(group) = &record.group {
            group.remove();
        }
        if trees::remove(&record::home(&self.options.directory, &record.node)).is_err() {
            // The next sweep tries again.
            self.unrecorded().push(record.node.clone());
        }
    }
}

/// Code and message of the Batch AI service (docs/contract.md, "Clusters").
fn quota_reached(max_nodes: u32) -> ResourceError {
    ResourceError::new("AccountCoreQuotaReached", "The specified account has reached core quota")
        .with_detail("MaxNodes", max_nodes.to_string())
}

/// 127.0.1.1 and up: as many addresses as there can be nodes.
fn free_address(known: &BTreeMap<String, Record>) -> String {
    let taken: Vec<&str> = known.values().map(|record| record.address.as_str()).collect();
    let addresses = (1..=254).flat_map(|net| (1..=250).map(move |host| (net, host)));
    addresses
        .map(|(net, host)| format!("127.0.{net}.{host}"))
        .find(|address| !taken.contains(&address.as_str()))
        .unwrap_or_else(|| "127.0.255.1".to_owned())
}
