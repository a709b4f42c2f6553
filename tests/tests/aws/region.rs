//! A region of AWS with the deployed stack.

use crate::deliveries::Deliveries;
use crate::functions::Functions;
use crate::gateway::{Address, Gateway, IssuerServer};
use crate::instances::Machines;
use crate::recorder::Recorder;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tests::issuer::Issuer;
use tests::moto::Moto;
use tests::table_server::TableServer;
use tests::template::{TOOLS, deploy};

/// Shorter than the defaults, so that a test sees nodes leave.
const PARAMETERS: &[&str] = &["IdleSeconds=10", "MaxNodes=4", "PortalClientId=portal"];

/// Variables of the template that do not fit to a machine without AWS.
const UNSUITABLE: &str = "AWS_USE_DUALSTACK_ENDPOINT";

pub struct Region {
    pub endpoint: String,
    functions: Arc<Functions>,
    _moto: Arc<Moto>,
    /// Where the functions have mounted the file system.
    pub files: tempfile::TempDir,
    pub machines: Arc<Machines>,
    recorders: BTreeMap<String, Recorder>,
    following: tokio::task::JoinHandle<()>,
    /// At which people sign in to the portal.
    pub issuer: Issuer,
    _gateways: [Gateway; 2],
    _issuer: IssuerServer,
    _deliveries: Deliveries,
    _tables: TableServer,
}

impl Region {
    pub async fn start() -> Self {
        let moto = tokio::task::spawn_blocking(Moto::start).await.unwrap();
        let endpoint = moto.endpoint().to_owned();
        let deployed =
            tokio::task::spawn_blocking(move || deploy(&endpoint, PARAMETERS)).await.unwrap();
        let tables = TableServer::start().await;
        let table = &deployed.outputs["TableName"];
        dynamo::create_table_if_missing(&tables.client(), table).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        let (api, output_files) = (Address::new().await, Address::new().await);
        let issuer_address = Address::new().await;
        let issuer = Issuer::new(&issuer_address.endpoint);
        let (mut environment, mut recorders) = (BTreeMap::new(), BTreeMap::new());
        for (function, mut variables) in deployed.environment {
            let recorder = Recorder::start(tables.endpoint(), moto.endpoint()).await;
            variables.remove(UNSUITABLE);
            // Moto writes `AWS::NoValue` as a text into a list.
            for value in variables.values_mut() {
                *value = value.replace(",None", "");
            }
            let more = [
                ("AWS_ENDPOINT_URL", recorder.endpoint.as_str()),
                ("FILE_SYSTEM_ROOT", files.path().to_str().unwrap()),
                ("FILES_URL", output_files.endpoint.as_str()),
            ];
            variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
            if let Some(url) = variables.get_mut("PORTAL_ISSUER") {
                issuer_address.endpoint.clone_into(url);
            }
            environment.insert(function.clone(), variables);
            recorders.insert(function, recorder);
        }
        let functions = Arc::new(Functions::new(environment));
        let moto = Arc::new(moto);
        let endpoint = api.endpoint.clone();
        let gateways = [
            Gateway::of_api(api, &functions),
            Gateway::of_files(output_files, &functions, deployed.cors),
        ];
        let deliveries = Deliveries::start(&moto, &functions, &deployed.outputs);
        let machines = Arc::new(Machines::new(
            moto.endpoint().to_owned(),
            endpoint.clone(),
            Arc::clone(&functions),
            files.path().to_owned(),
        ));
        let following = tokio::spawn(Arc::clone(&machines).follow());
        Self {
            machines,
            recorders,
            following,
            endpoint,
            functions,
            _moto: moto,
            files,
            _issuer: IssuerServer::start(issuer_address, &issuer),
            issuer,
            _gateways: gateways,
            _deliveries: deliveries,
            _tables: tables,
        }
    }
}

impl Region {
    /// The subject of the first owner.
    pub fn owner(&self) -> &str {
        &self.functions.variables("api")["OWNER_PRINCIPAL"]
    }

    /// Fails when a function called what its role in the template does not allow. Prints what is allowed and was
    /// never called.
    pub fn check_roles(&self) {
        let calls: BTreeMap<_, _> =
            self.recorders.iter().map(|(function, it)| (function, it.actions())).collect();
        let file = self.files.path().with_extension("calls.json");
        std::fs::write(&file, serde_json::to_string(&calls).unwrap()).unwrap();
        let output = Command::new(tests::python::environment(TOOLS))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/template_roles.py"))
            .arg("--check")
            .arg(&file)
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .output()
            .unwrap();
        std::fs::remove_file(file).unwrap();
        let (text, log) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{text}{log}");
        println!("{text}");
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.following.abort();
        if std::thread::panicking() {
            eprintln!("{}", self.functions.problems());
        }
    }
}

/// Waits until `condition` gives a value.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = tokio::time::Instant::now() + limit;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "not within {} s: {what}", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
