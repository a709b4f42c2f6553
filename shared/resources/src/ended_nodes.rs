//! Nodes that were removed, as `GET …/clusters/{cluster}/endedNodes` answers them.

use crate::time;
use jiff::SignedDuration;
use serde::Deserialize;

/// A node, or several of one launch that got no instances.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedNodes {
    #[serde(default)]
    pub node_ids: Vec<String>,
    pub creation_time: String,
    /// Absent for a node that was never ready.
    #[serde(default)]
    pub ready_time: Option<String>,
    pub removal_time: String,
    /// One word such as `interrupted`.
    #[serde(default)]
    pub end_reason: String,
    #[serde(default)]
    pub error_code: Option<String>,
    #[serde(default)]
    pub zone: Option<String>,
    #[serde(default)]
    pub vm_size: Option<String>,
    /// `dedicated` or `lowpriority`.
    #[serde(default)]
    pub vm_priority: Option<String>,
    /// In millionths of a US dollar.
    #[serde(default)]
    pub cost_micro_usd: Option<u64>,
}

impl EndedNodes {
    /// The first node, and how many others.
    pub fn nodes(&self) -> String {
        match self.node_ids.as_slice() {
            [] => String::new(),
            [one] => one.clone(),
            [one, others @ ..] => format!("{one} and {} more", others.len()),
        }
    }

    /// From the request until the node was ready.
    pub fn ready_after(&self) -> Option<SignedDuration> {
        elapsed(&self.creation_time, self.ready_time.as_deref()?)
    }

    /// From the request to the removal.
    pub fn lived(&self) -> Option<SignedDuration> {
        elapsed(&self.creation_time, &self.removal_time)
    }

    /// Why they ended, with the code of the error behind it.
    pub fn why(&self) -> String {
        let reason = match self.end_reason.as_str() {
            "shrink" => "no longer needed",
            "atRisk" => "at risk of interruption",
            "interrupted" => "interrupted",
            "lost" => "instance lost",
            "tooSlow" => "not ready in time",
            "clusterDeleted" => "cluster deleted",
            "unusable" => "unusable",
            "notLaunched" => "no instance",
            other => other,
        };
        match &self.error_code {
            Some(code) => format!("{reason}: {code}"),
            None => reason.to_owned(),
        }
    }
}

fn elapsed(from: &str, to: &str) -> Option<SignedDuration> {
    Some(time::elapsed(time::parse(from)?, time::parse(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> EndedNodes {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_interrupted_node_can_be_read() {
        let ended = read(
            r#"{"nodeIds":["tvm-1-p"],"creationTime":"2018-06-06T20:46:53.03Z",
                "readyTime":"2018-06-06T20:47:53.03Z","removalTime":"2018-06-06T21:46:53.03Z",
                "endReason":"interrupted","zone":"us-east-1a","vmSize":"g4dn.xlarge",
                "vmPriority":"lowpriority","priceMicroUsdPerHour":158400,"costMicroUsd":158400}"#,
        );
        assert_eq!((ended.nodes().as_str(), ended.why().as_str()), ("tvm-1-p", "interrupted"));
        let seconds = |it: Option<SignedDuration>| it.map(|it| it.as_secs());
        assert_eq!((seconds(ended.ready_after()), seconds(ended.lived())), (Some(60), Some(3600)));
    }

    /// A later service may add reasons.
    #[test]
    fn nodes_without_instances_and_unknown_reasons() {
        let ended = read(
            r#"{"nodeIds":["a","b","c"],"creationTime":"2018-06-06T20:46:53Z",
                "removalTime":"2018-06-06T20:46:54Z","endReason":"notLaunched","errorCode":"NoCapacity"}"#,
        );
        assert_eq!(
            (ended.nodes(), ended.why()),
            ("a and 2 more".into(), "no instance: NoCapacity".into())
        );
        assert_eq!(ended.ready_after(), None);
        let unknown = read(r#"{"creationTime":"x","removalTime":"y","endReason":"somethingElse"}"#);
        assert_eq!((unknown.nodes(), unknown.why()), (String::new(), "somethingElse".into()));
        assert_eq!(unknown.lived(), None);
    }
}
