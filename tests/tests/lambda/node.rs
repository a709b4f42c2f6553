//! A node: its record, written like the autoscaler does, and the requests of its agent.

use control::ports::{Clock, Ids};
use control::system::{RandomIds, SystemClock};
use model::{ClusterRef, Instance, Node, NodeId, NodeState};
use protocol::{
    AttemptKey, AttemptReport, Desired, NodePhase, Progress, SyncRequest, SyncResponse,
};
use serde_json::Value;
use table::{InstanceOwner, Writes};
use tests::lambda_api::{Api, Caller};
use tests::lambda_stack::Stack;

pub struct TestNode {
    pub cluster: ClusterRef,
    pub instance: String,
    pub path: String,
}

impl TestNode {
    /// A node that is bound to the instance, and prepares.
    pub async fn preparing(stack: &Stack, cluster: &str) -> Self {
        Self::recorded(stack, cluster, |node| node).await
    }

    /// A node in the state idle.
    pub async fn idle(stack: &Stack, cluster: &str) -> Self {
        let prepared = |node: Node| node.prepared(SystemClock.now()).expect("it is preparing");
        Self::recorded(stack, cluster, prepared).await
    }

    async fn recorded(stack: &Stack, cluster: &str, transition: impl FnOnce(Node) -> Node) -> Self {
        let before = stack.cluster(cluster).await;
        let mut cluster = before.clone();
        cluster.planned_nodes += 1;
        let reference = cluster.reference();
        let id = NodeId::new(&RandomIds.uid(), false);
        let now = SystemClock.now();
        let (launch, charge) = (RandomIds.uid(), cluster.charge());
        let launching = Node::launching(id.clone(), reference.clone(), launch, charge, now);
        let id_of_instance = format!("i-{}", before.uid);
        let instance = Instance { id: id_of_instance.clone(), address: "10.0.0.4".to_owned() };
        let node = transition(launching.launched(instance, now).expect("it is launching"));
        let mut writes = Writes::default();
        writes.replace(&before, &cluster);
        writes.create(&node);
        writes.create_instance_owner(&InstanceOwner {
            instance: id_of_instance.clone(),
            cluster: reference.clone(),
            node: id.clone(),
        });
        if matches!(node.state, NodeState::Idle { .. }) {
            writes.mark_idle(&reference, &id, &node.zone());
        }
        stack.table.commit(writes).await.expect("there is no other writer");
        let ClusterRef { workspace, name, uid } = &reference;
        Self {
            path: format!("/nodes/v1/{workspace}/{name}/{uid}/{id}/sync"),
            cluster: reference,
            instance: id_of_instance,
        }
    }

    /// A report of the agent.
    pub fn report(&self, phase: NodePhase, attempt: Option<(&AttemptKey, Progress)>) -> Value {
        let request = SyncRequest {
            instance: self.instance.clone(),
            address: "10.0.0.4".to_owned(),
            phase,
            attempt: attempt.map(|(key, progress)| AttemptReport::new(key.clone(), progress)),
            interruption_notice_seconds: None,
            login_port: None,
            metrics: None,
            job_metrics: Vec::new(),
        };
        serde_json::to_value(&request).expect("a request is JSON")
    }

    /// Sends a report of the agent; returns the desired state.
    pub async fn sync(
        &self,
        api: &mut Api,
        phase: NodePhase,
        attempt: Option<(&AttemptKey, Progress)>,
    ) -> Desired {
        let body = self.report(phase, attempt);
        let caller = Caller::Instance(self.instance.clone());
        let answer = api.call("POST", &self.path, &caller, Some(&body)).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let text = answer["body"].as_str().expect("a text");
        let response: SyncResponse = serde_json::from_str(text).expect("the protocol's answer");
        response.desired
    }
}
