//! Terminates instances, many with one call. EC2 refuses a call as a whole for a single id; such a call is
//! split, until the id that is wrong stands alone.

use crate::describe::state;
use crate::errors::{answer, is_refusal, port};
use crate::{Ec2Machines, tags};
use aws_sdk_ec2::operation::terminate_instances::TerminateInstancesOutput;
use control::ports::{PortError, Termination};
use scheduler::recovery::InstanceState;
use std::pin::Pin;

type Outcomes = Vec<Result<Termination, PortError>>;

impl Ec2Machines {
    /// An instance that shuts down may have ended by now, which its description shows. Without an answer it
    /// is still ending.
    pub(crate) async fn describe_ending(&self, ids: &[String], outcomes: &mut Outcomes) {
        let is_ending =
            |outcome: &Result<Termination, PortError>| matches!(outcome, Ok(Termination::Ending));
        let ending = ids.iter().zip(outcomes.iter()).filter(|(_, outcome)| is_ending(outcome));
        let ending: Vec<String> = ending.map(|(id, _)| id.clone()).collect();
        if ending.is_empty() {
            return;
        }
        let described = match self.describe(vec![tags::filter("instance-id", ending)]).await {
            Ok(described) => described,
            Err(error) => {
                tracing::warn!(%error, "could not describe instances that are shutting down");
                return;
            }
        };
        for instance in described {
            let ended = state(instance.state().and_then(|it| it.name())) == InstanceState::Ended;
            let position = ids.iter().position(|id| Some(id.as_str()) == instance.instance_id());
            if let Some(position) = position.filter(|_| ended) {
                outcomes[position] = Ok(Termination::Ended);
            }
        }
    }

    /// Terminates instances: what became of each, in their order.
    pub(crate) fn terminate_instances<'a>(
        &'a self,
        ids: &'a [String],
    ) -> Pin<Box<dyn Future<Output = Outcomes> + Send + 'a>> {
        Box::pin(async move {
            if ids.is_empty() {
                return Vec::new();
            }
            let call = self.client.terminate_instances().set_instance_ids(Some(ids.to_vec()));
            let error = match call.send().await {
                Ok(done) => return ids.iter().map(|id| outcome(id, &done)).collect(),
                Err(error) => error,
            };
            if is_refusal(&error) && ids.len() > 1 {
                let (first, second) = ids.split_at(ids.len() / 2);
                let mut outcomes = self.terminate_instances(first).await;
                outcomes.extend(self.terminate_instances(second).await);
                return outcomes;
            }
            match answer(&error).map(|(code, _)| code) {
                Some("InvalidInstanceID.NotFound") => vec![Ok(Termination::Unknown)],
                // No instance has such an id.
                Some("InvalidInstanceID.Malformed" | "InvalidInstanceId") => {
                    vec![Ok(Termination::Ended)]
                }
                Some(_) | None => {
                    let text = port(error).to_string();
                    ids.iter().map(|_| Err(PortError::other(text.clone()))).collect()
                }
            }
        })
    }
}

fn outcome(id: &str, done: &TerminateInstancesOutput) -> Result<Termination, PortError> {
    let change = done.terminating_instances().iter().find(|it| it.instance_id() == Some(id));
    let change = change.ok_or_else(|| PortError::other(format!("EC2 did not mention {id}")))?;
    Ok(match state(change.current_state().and_then(|it| it.name())) {
        InstanceState::Ended => Termination::Ended,
        InstanceState::Running | InstanceState::Stopped => Termination::Ending,
    })
}
