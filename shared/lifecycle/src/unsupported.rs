//! Requests that the API accepts but this version cannot carry out. Such a job fails immediately with a reason; such a
//! cluster shows the reason and gets no nodes.

use model::{ClusterSpec, JobSpec, ResourceError, SecretValue, SecretVariable};

/// Why a job with this specification can never run; `None` if it can.
pub fn job_problem(spec: &JobSpec) -> Option<ResourceError> {
    let credentials =
        spec.container.as_ref().and_then(|it| it.image_source_registry.credentials.as_ref());
    secret_problem(spec.secrets.as_deref().unwrap_or_default())
        .or_else(|| value_problem("of the registry", &credentials?.password))
}

/// Why a cluster with this specification can never have nodes; `None` if it can. Performance
/// counters are stored without effect.
pub fn cluster_problem(spec: &ClusterSpec) -> Option<ResourceError> {
    let secrets = spec.setup_task.as_ref().map(|task| task.secrets.as_slice());
    secret_problem(secrets.unwrap_or_default())
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
    use model::{KeyVaultSecretReference, ResourceId, SecretValue};

    #[test]
    fn key_vaults_are_not_supported() {
        let secret = |value| SecretVariable { name: "TOKEN".to_owned(), value };
        assert_eq!(secret_problem(&[secret(SecretValue::Sealed("s".to_owned()))]), None);
        let vault = ResourceId { id: "/v".to_owned() };
        let reference =
            KeyVaultSecretReference { source_vault: vault, secret_url: "https://v/s".to_owned() };
        let problem = secret_problem(&[secret(SecretValue::Reference(reference))]).expect("one");
        assert!(problem.message.contains("TOKEN"), "{}", problem.message);
        let secret_url = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:s-AbCdEf".to_owned();
        let source_vault = ResourceId { id: "/v".to_owned() };
        let reference = KeyVaultSecretReference { source_vault, secret_url };
        assert_eq!(secret_problem(&[secret(SecretValue::Reference(reference))]), None);
    }
}
