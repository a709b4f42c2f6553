//! Subscriptions. Each has quotas of its own, so only an owner of the service makes one: the
//! service's own token does so with the first request that creates something in it. Every other
//! principal needs it to exist.

use crate::{ApiError, ApiErrorKind, Context, Error};
use model::{Name, Principal, Subscription};
use table::Writes;

/// The subscriptions of the service.
#[derive(Clone)]
pub struct Subscriptions {
    context: Context,
}

impl Subscriptions {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// Those in which the principal has a role; all of them for the service itself.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn list(&self, principal: &Principal) -> Result<Vec<Subscription>, Error> {
        let mut subscriptions = self.context.table.subscriptions().await?;
        if let Principal::Known(id) = principal {
            let roles = self.context.table.all_roles_of(id).await?;
            let has_role =
                |it: &Subscription| roles.iter().any(|role| role.scope.subscription == it.id);
            subscriptions.retain(has_role);
        }
        Ok(subscriptions)
    }

    /// Whether the principal can see the subscription. The service itself sees any, as it can make
    /// it.
    ///
    /// # Errors
    /// 404 when there is no such subscription, or the principal has no role in it.
    pub async fn require_visible(&self, principal: &Principal, id: &Name) -> Result<(), Error> {
        let Principal::Known(known) = principal else { return Ok(()) };
        let exists = self.context.table.subscription(id).await?.is_some();
        match exists && !self.context.table.roles_of(known, id).await?.is_empty() {
            true => Ok(()),
            false => Err(not_found(id)),
        }
    }

    /// Makes sure that the subscription exists before something is created in it.
    ///
    /// # Errors
    /// 404 when it does not exist and the principal is not the service itself.
    pub async fn require(&self, principal: &Principal, id: &Name) -> Result<(), Error> {
        if self.context.table.subscription(id).await?.is_some() {
            return Ok(());
        }
        match principal {
            Principal::Known(_) => Err(not_found(id)),
            Principal::Service => {
                let mut writes = Writes::default();
                writes.put_subscription(&Subscription { id: id.clone() });
                self.context.table.commit(writes).await?;
                tracing::info!(subscription = %id, "a subscription was created");
                Ok(())
            }
        }
    }
}

fn not_found(id: &Name) -> Error {
    let message = format!("The subscription '{id}' could not be found.");
    ApiError::new(ApiErrorKind::NotFound, "SubscriptionNotFound", message).into()
}
