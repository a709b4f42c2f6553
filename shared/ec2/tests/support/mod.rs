//! A small server that plays the Query API of EC2: it answers what a test says, and keeps what was sent.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::{BehaviorVersion, Credentials, Region};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use ec2::{Ec2Machines, LaunchSettings, Subnet};
use model::{ClusterRef, LaunchRequest, NodeId, Placement, Uid, VmPriority};
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

/// The parameters of a request.
pub type Form = BTreeMap<String, String>;

#[derive(Default)]
struct State {
    answers: VecDeque<(u16, String)>,
    requests: Vec<Form>,
}

/// The server. It ends with the runtime of the test.
pub struct Stub {
    state: Arc<Mutex<State>>,
    endpoint: String,
}

impl Stub {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let answer = move |body: String| {
            let mut state = shared.lock().unwrap();
            state.requests.push(parse(&body));
            let (status, body) =
                state.answers.pop_front().unwrap_or((500, "no answer is left".to_owned()));
            let status = StatusCode::from_u16(status).unwrap();
            std::future::ready((status, [("content-type", "text/xml")], body))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { state, endpoint }
    }

    /// The next answer.
    pub fn answer(&self, body: impl Into<String>) {
        self.state.lock().unwrap().answers.push_back((200, body.into()));
    }

    /// The next answer is an error.
    pub fn fail(&self, status: u16, code: &str, message: &str) {
        let body = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
        );
        self.state.lock().unwrap().answers.push_back((status, body));
    }

    /// The requests since the last call of this function.
    pub fn requests(&self) -> Vec<Form> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    pub fn machines(&self, on_demand_fallback: bool) -> Ec2Machines {
        let launches = LaunchSettings {
            launch_template: "lt-1".to_owned(),
            subnets: [("a", "subnet-a"), ("b", "subnet-b")].map(subnet).to_vec(),
            on_demand_fallback,
        };
        Ec2Machines::new(client(&self.endpoint), "stack".to_owned(), Some(launches))
    }
}

pub fn client(endpoint: &str) -> Client {
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    Client::from_conf(config)
}

fn subnet((zone, id): (&str, &str)) -> Subnet {
    Subnet { zone: zone.to_owned(), id: id.to_owned() }
}

pub fn subnets() -> Vec<String> {
    vec!["subnet-a".to_owned(), "subnet-b".to_owned()]
}

fn parse(body: &str) -> Form {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().unwrap().into_owned()
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    body.split('&').map(pair).collect()
}

pub fn cluster() -> ClusterRef {
    let uid = |byte| Uid::from_bytes([byte; 16]);
    ClusterRef { workspace: uid(1), name: "c".to_owned(), uid: uid(2) }
}

pub fn launch_id() -> Uid {
    Uid::from_bytes([3; 16])
}

/// A launch of spot instances.
pub fn request(count: usize) -> LaunchRequest {
    let node = |number: usize| NodeId::parse(&format!("n{number}")).unwrap();
    LaunchRequest {
        launch: launch_id(),
        cluster: cluster(),
        nodes: (0..count).map(node).collect(),
        vm_size: "STANDARD_NC6".to_owned(),
        alternate_vm_sizes: vec!["g5.xlarge".to_owned()],
        priority: VmPriority::LowPriority,
        is_gang: false,
        placement: Placement { subnets: subnets(), ..Placement::default() },
    }
}

/// The answer to CreateFleet: instances, and errors as code, type and subnet.
pub fn fleet(instances: &[&str], errors: &[(&str, &str, &str)]) -> String {
    let items: String = instances.iter().map(|id| format!("<item>{id}</item>")).collect();
    let set = match instances {
        [] => String::new(),
        _ => format!(
            "<fleetInstanceSet><item><lifecycle>spot</lifecycle><instanceIds>{items}</instanceIds><instanceType>g5.xlarge</instanceType></item></fleetInstanceSet>"
        ),
    };
    let error = |(code, name, subnet): &(&str, &str, &str)| {
        format!(
            "<item><launchTemplateAndOverrides><overrides><instanceType>{name}</instanceType><subnetId>{subnet}</subnetId></overrides></launchTemplateAndOverrides><lifecycle>spot</lifecycle><errorCode>{code}</errorCode><errorMessage>none is left</errorMessage></item>"
        )
    };
    let errors: String = errors.iter().map(error).collect();
    format!(
        "<CreateFleetResponse><requestId>r</requestId><fleetId>fleet-1</fleetId>{set}<errorSet>{errors}</errorSet></CreateFleetResponse>"
    )
}

/// The answer to DescribeInstances: id, state and address, tagged with cluster and launch.
pub fn described(instances: &[(&str, &str, &str)], next: Option<&str>) -> String {
    let (cluster, launch) = (cluster(), launch_id());
    let item = |(id, state, address): &(&str, &str, &str)| {
        let address = match *address {
            "" => String::new(),
            address => format!("<privateIpAddress>{address}</privateIpAddress>"),
        };
        let lifecycle = match *state {
            "running" => "<instanceLifecycle>spot</instanceLifecycle>",
            _ => "",
        };
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>{state}</name></instanceState>{address}<instanceType>g5.xlarge</instanceType>{lifecycle}<placement><availabilityZone>eu-west-1b</availabilityZone></placement><tagSet><item><key>batchai:cluster</key><value>{}/c/{}</value></item><item><key>batchai:launch</key><value>{launch}</value></item></tagSet></item>",
            cluster.workspace, cluster.uid
        )
    };
    let items: String = instances.iter().map(item).collect();
    let next = next.map(|it| format!("<nextToken>{it}</nextToken>")).unwrap_or_default();
    format!(
        "<DescribeInstancesResponse><requestId>r</requestId><reservationSet><item><instancesSet>{items}</instancesSet></item></reservationSet>{next}</DescribeInstancesResponse>"
    )
}

/// The answer to TerminateInstances: id and state.
pub fn terminated(instances: &[(&str, &str)]) -> String {
    let item = |(id, state): &(&str, &str)| {
        format!(
            "<item><instanceId>{id}</instanceId><currentState><code>32</code><name>{state}</name></currentState></item>"
        )
    };
    let items: String = instances.iter().map(item).collect();
    format!(
        "<TerminateInstancesResponse><requestId>r</requestId><instancesSet>{items}</instancesSet></TerminateInstancesResponse>"
    )
}
