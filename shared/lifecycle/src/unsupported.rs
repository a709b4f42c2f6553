//! Requests that the API accepts but this version cannot carry out. Such a job fails immediately with a reason; such a
//! cluster shows the reason and gets no nodes.

use model::{ClusterSpec, JobSpec, MountVolumes, ResourceError, SecretValue, SecretVariable};

/// Why a job with this specification can never run; `None` if it can.
pub fn job_problem(spec: &JobSpec) -> Option<ResourceError> {
    let credentials =
        spec.container.as_ref().and_then(|it| it.image_source_registry.credentials.as_ref());
    secret_problem(spec.secrets.as_deref().unwrap_or_default())
        .or_else(|| value_problem("of the registry", &credentials?.password))
}

/// Why a cluster with this specification can never have nodes; `None` if it can.
pub fn cluster_problem(spec: &ClusterSpec) -> Option<ResourceError> {
    let secrets = spec.setup_task.as_ref().map(|task| task.secrets.as_slice());
    secret_problem(secrets.unwrap_or_default())
}

/// Why nodes can never mount these volumes themselves; `None` if they can. A directory in place of a volume needs no
/// key.
pub fn mount_problem(volumes: &MountVolumes) -> Option<ResourceError> {
    let shares = volumes.azure_file_shares.iter().map(|it| (&it.account_name, &it.credentials));
    let containers =
        volumes.azure_blob_file_systems.iter().map(|it| (&it.account_name, &it.credentials));
    shares.chain(containers).find_map(|(account, key)| {
        value_problem(&format!("that is the key of the storage account {account}"), key)
    })
}

fn secret_problem(secrets: &[SecretVariable]) -> Option<ResourceError> {
    secrets.iter().find_map(|secret| value_problem(&secret.name, &secret.value))
}

fn value_problem(name: &str, value: &SecretValue) -> Option<ResourceError> {
    let reference = value.reference()?;
    if reference.secret_url.starts_with("arn:") {
        return None;
    }
    let message = format!(
        "This version cannot read Azure Key Vault: give the secret {name} itself as its value, which is kept encrypted and never shown, or the ARN of a secret of AWS Secrets Manager or of a parameter of SSM as its secretUrl"
    );
    Some(ResourceError::new("SecretReferenceNotProvided", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AzureBlobFileSystem, KeyVaultSecretReference, ResourceId, SecretValue};

    fn reference(secret_url: &str) -> SecretValue {
        let source_vault = ResourceId { id: "/v".to_owned() };
        let secret_url = secret_url.to_owned();
        SecretValue::Reference(KeyVaultSecretReference { source_vault, secret_url })
    }

    #[test]
    fn nodes_cannot_mount_with_a_key_of_a_key_vault() {
        let container = |credentials| AzureBlobFileSystem {
            account_name: "pictures".to_owned(),
            container_name: "data".to_owned(),
            credentials,
            relative_mount_path: "data".to_owned(),
            mount_options: None,
        };
        let problem = |last| {
            let sealed = container(SecretValue::Sealed("s".to_owned()));
            let azure_blob_file_systems = vec![sealed, container(last)];
            mount_problem(&MountVolumes { azure_blob_file_systems, ..MountVolumes::default() })
        };
        assert_eq!(problem(SecretValue::Sealed("s".to_owned())), None);
        assert_eq!(problem(reference("arn:aws:ssm:eu-west-1:123456789012:parameter/key")), None);
        let refused = problem(reference("https://v.vault.azure.net/secrets/s")).expect("refused");
        assert!(refused.message.contains("storage account pictures"), "{}", refused.message);
    }

    #[test]
    fn key_vaults_are_not_supported() {
        let secret = |value| SecretVariable { name: "TOKEN".to_owned(), value };
        assert_eq!(secret_problem(&[secret(SecretValue::Sealed("s".to_owned()))]), None);
        let problem = secret_problem(&[secret(reference("https://v/s"))]).expect("one");
        assert!(problem.message.contains("TOKEN"), "{}", problem.message);
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s-AbCdEf";
        assert_eq!(secret_problem(&[secret(reference(arn))]), None);
    }
}
