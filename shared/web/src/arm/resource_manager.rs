//! Operations of Azure Resource Manager itself: subscriptions, providers, resource groups.

use super::Call;
use axum::response::{IntoResponse, Response};
use control::resource_groups::PutGroup;
use control::{ApiError, ApiErrorKind, Error};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use model::{OperationState, limits};
use wire::ProviderBody;

impl Call<'_> {
    pub(crate) async fn subscriptions(&self) -> Result<Response, Error> {
        let subscriptions = self.web.control.subscriptions.list(&self.principal).await?;
        let bodies = subscriptions.iter().map(|it| wire::subscription(&it.id)).collect();
        self.ok(&wire::list(bodies, None))
    }

    pub(crate) async fn subscription(&self) -> Result<Response, Error> {
        let id = self.route.subscription()?;
        self.web.control.subscriptions.require_visible(&self.principal, &id).await?;
        self.ok(&wire::subscription(&id))
    }

    /// Makes sure that the subscription of the path exists, before something is created in it.
    pub(crate) async fn require_subscription(&self) -> Result<(), Error> {
        let id = self.route.subscription()?;
        self.web.control.subscriptions.require(&self.principal, &id).await
    }

    pub(crate) fn known_providers(&self) -> Result<Vec<ProviderBody>, Error> {
        let locations = &self.web.control.context.settings.locations;
        Ok(wire::providers(&self.route.subscription()?, locations))
    }

    /// One provider. All that are served are registered.
    pub(crate) fn provider(&self) -> Result<Response, Error> {
        let name = self.route.dotted_name("providerNamespace")?;
        let mut providers = self.known_providers()?.into_iter();
        let found = providers.find(|it| it.namespace.eq_ignore_ascii_case(name.as_str()));
        let missing = || {
            let message = format!(
                "The resource provider {name} does not exist; this service has Microsoft.BatchAI"
            );
            ApiError::new(ApiErrorKind::NotFound, "InvalidResourceNamespace", message)
        };
        self.ok(&found.ok_or_else(missing)?)
    }

    pub(crate) async fn resource_groups(&self) -> Result<Response, Error> {
        let subscription = self.route.subscription()?;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = self.web.control.resource_groups.list(&subscription, after, size).await?;
        self.page(page.items.iter().map(wire::resource_group).collect(), page.next)
    }

    pub(crate) async fn resource_group(&self) -> Result<Response, Error> {
        let (subscription, name) = (self.route.subscription()?, self.route.resource_group()?);
        let group = self.web.control.resource_groups.get(&subscription, &name).await?;
        self.ok(&wire::resource_group(&group))
    }

    /// 204 or 404: whether the group exists.
    pub(crate) async fn check_resource_group(&self) -> Result<Response, Error> {
        let (subscription, name) = (self.route.subscription()?, self.route.resource_group()?);
        self.web.control.resource_groups.get(&subscription, &name).await?;
        self.no_content()
    }

    pub(crate) async fn create_resource_group(&self) -> Result<Response, Error> {
        let (subscription, name) = (self.route.subscription()?, self.route.resource_group()?);
        let request = wire::parse_resource_group(&self.body)?;
        self.require_subscription().await?;
        match self.web.control.resource_groups.put(&subscription, &name, &request).await? {
            PutGroup::Created(group) => self.created(&wire::resource_group(&group)),
            PutGroup::Updated(group) => self.ok(&wire::resource_group(&group)),
        }
    }

    pub(crate) async fn update_resource_group(&self) -> Result<Response, Error> {
        let (subscription, name) = (self.route.subscription()?, self.route.resource_group()?);
        let tags = wire::parse_resource_group_update(&self.body)?;
        let group = self.web.control.resource_groups.tag(&subscription, &name, tags).await?;
        self.ok(&wire::resource_group(&group))
    }

    /// 202 with the one URL of Resource Manager, which responds 202 until the group is deleted.
    pub(crate) async fn delete_resource_group(&self) -> Result<Response, Error> {
        let (subscription, name) = (self.route.subscription()?, self.route.resource_group()?);
        let deleted = self.web.control.resource_groups.delete(&subscription, &name).await?;
        let Some(started) = deleted else {
            return Err(Error::not_found(wire::ResourceKind::ResourceGroup, name.as_str()));
        };
        let url = format!(
            "{}/subscriptions/{subscription}/operationresults/{}?api-version={}",
            self.base,
            started.operation,
            wire::API_VERSION
        );
        let mut response = StatusCode::ACCEPTED.into_response();
        if let Ok(url) = HeaderValue::from_str(&url) {
            response.headers_mut().insert(LOCATION, url);
        }
        let retry = HeaderValue::from(limits::RETRY_AFTER_SECONDS);
        response.headers_mut().insert(RETRY_AFTER, retry);
        Ok(response)
    }

    pub(crate) async fn resource_group_deletion(&self) -> Result<Response, Error> {
        let operation = self.operation().await?;
        let status = match operation.state {
            OperationState::InProgress => StatusCode::ACCEPTED,
            OperationState::Succeeded { .. } | OperationState::Failed { .. } => StatusCode::OK,
        };
        let mut response = status.into_response();
        if status == StatusCode::ACCEPTED {
            let url = format!("{}{}?api-version={}", self.base, self.path, wire::API_VERSION);
            if let Ok(url) = HeaderValue::from_str(&url) {
                response.headers_mut().insert(LOCATION, url);
            }
            let retry = HeaderValue::from(limits::RETRY_AFTER_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, retry);
        }
        Ok(response)
    }
}
