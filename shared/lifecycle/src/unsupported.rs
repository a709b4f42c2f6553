//! Requests that the API accepts but this version cannot carry out. Such a job fails immediately with a reason; such a
//! cluster shows the reason and gets no nodes.

use model::{ClusterSpec, JobSpec, ResourceError, SecretVariable};

/// Why a job with this specification can never run; `None` if it can.
pub fn job_problem(spec: &JobSpec) -> Option<ResourceError> {
    let container = spec.container.as_ref().map(|_| {
        ResourceError::new(
            "ContainersNotProvided",
            "This version runs jobs directly on the node: leave out containerSettings, and install what the job needs with jobPreparation or the cluster's setupTask",
        )
    });
    container.or_else(|| secret_problem(spec.secrets.as_deref().unwrap_or_default()))
}

/// Why a cluster with this specification can never have nodes; `None` if it can. Performance
/// counters are stored without effect.
pub fn cluster_problem(spec: &ClusterSpec) -> Option<ResourceError> {
    let secrets = spec.setup_task.as_ref().map(|task| task.secrets.as_slice());
    secret_problem(secrets.unwrap_or_default())
}

fn secret_problem(secrets: &[SecretVariable]) -> Option<ResourceError> {
    let is_readable = |secret: &SecretVariable| {
        secret.value.reference().is_none_or(|reference| reference.secret_url.starts_with("arn:"))
    };
    let referring = secrets.iter().find(|secret| !is_readable(secret))?;
    let message = format!(
        "This version cannot read Azure Key Vault: give the secret {} itself as its value, which is kept encrypted and never shown, or the ARN of a secret of AWS Secrets Manager or of a parameter of SSM as its secretUrl",
        referring.name
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
