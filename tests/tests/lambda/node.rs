//! A node: its record, written like the autoscaler does, and the requests of its agent.

use crate::api::{Api, Caller};
use crate::stack::Stack;
use control::ports::{Clock, Ids};
use control::system::{RandomIds, SystemClock};
use model::{ClusterRef, Instance, Node, NodeId, NodeState};
use protocol::{
    AttemptKey, AttemptReport, Desired, NodePhase, Progress, SyncRequest, SyncResponse,
};
use table::Writes;

/// The instance of a node that has called the API.
pub const INSTANCE: &str = "i-0a1b2c3d4e5f60718";

pub struct TestNode {
    pub cluster: ClusterRef,
    path: String,
    token: String,
}

impl TestNode {
    /// A node in the state launching, as if the launch request had been sent to EC2.
    pub async fn launching(stack: &Stack, cluster: &str) -> Self {
        Self::recorded(stack, cluster, |node| node).await
    }

    /// A node in the state idle.
    pub async fn idle(stack: &Stack, cluster: &str) -> Self {
        let machine = Instance { id: "i-0".to_owned(), address: "10.0.0.4".to_owned() };
        let now = SystemClock.now();
        let ready = |node: Node| {
            let launched = node.launched(machine, now).expect("it is launching");
            launched.prepared(now).expect("it is preparing")
        };
        Self::recorded(stack, cluster, ready).await
    }

    async fn recorded(stack: &Stack, cluster: &str, transition: impl FnOnce(Node) -> Node) -> Self {
        let before = stack.cluster(cluster).await;
        let mut cluster = before.clone();
        cluster.planned_nodes += 1;
        let reference = cluster.reference();
        let id = NodeId::new(&RandomIds.uid(), false);
        let node = transition(Node::launching(
            id.clone(),
            reference.clone(),
            RandomIds.uid(),
            cluster.charge(),
            SystemClock.now(),
        ));
        let mut writes = Writes::default();
        writes.replace(&before, &cluster);
        writes.create(&node);
        if matches!(node.state, NodeState::Idle { .. }) {
            writes.mark_idle(&reference, &id);
        }
        stack.table.commit(writes).await.expect("there is no other writer");
        let ClusterRef { workspace, name, uid } = &reference;
        Self {
            path: format!("/nodes/v1/{workspace}/{name}/{uid}/{id}/sync"),
            token: stack.keys.node_token(&reference, &id),
            cluster: reference,
        }
    }

    /// Sends a report of the agent; returns the desired state.
    pub async fn sync(
        &self,
        api: &mut Api,
        phase: NodePhase,
        attempt: Option<(&AttemptKey, Progress)>,
    ) -> Desired {
        let request = SyncRequest {
            instance: INSTANCE.to_owned(),
            address: "10.0.0.4".to_owned(),
            phase,
            attempt: attempt.map(|(key, progress)| AttemptReport {
                key: key.clone(),
                progress,
                needs_assignment: false,
            }),
            interruption_notice_seconds: None,
        };
        let body = serde_json::to_value(&request).expect("a request is JSON");
        let caller = Caller::Node { token: self.token.clone() };
        let answer = api.call("POST", &self.path, &caller, Some(&body)).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let text = answer["body"].as_str().expect("a text");
        let response: SyncResponse = serde_json::from_str(text).expect("the protocol's answer");
        response.desired
    }
}
