//! Typed queries of the table.
//!
//! Every query fails with the error of the storage, or if an item cannot be parsed.

use crate::item::Key;
use crate::key::{self, IdleMarker};
use crate::record::{InstanceOwner, ServiceKey, Stored};
use crate::{Error, Range, Table};
use model::{
    AccessToken, Account, Cluster, ClusterRef, EndedNodes, Experiment, FileServer, FileServerUser,
    IdleNode, Job, JobMetrics, JobRef, Launch, LaunchId, LogTail, Meter, Name, Node, NodeId,
    Operation, QueueEntry, ResourceGroup, RoleAssignment, Scope, Subscription, Target, Uid,
    Workspace,
};

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The items, in the order of their keys.
    pub items: Vec<T>,
    /// The position behind the last item, opaque to clients; `None` at the end of the list.
    pub next: Option<String>,
}

/// Entries that a further page of the queue reads, at least: where one was passed over, others follow.
const QUEUE_PAGE: usize = 100;

/// Records of metrics that are read at once: with the longest curves, some megabytes.
const METRICS_PAGE: usize = 200;

impl Table {
    /// A subscription by id.
    pub async fn subscription(&self, id: &Name) -> Result<Option<Subscription>, Error> {
        self.get(key::subscription(id)).await
    }

    /// All subscriptions with at least one resource group.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>, Error> {
        self.all(key::SUBSCRIPTIONS_PARTITION.to_owned(), "sub#", None).await
    }

    /// A resource group by name.
    pub async fn resource_group(
        &self,
        subscription: &Name,
        name: &Name,
    ) -> Result<Option<ResourceGroup>, Error> {
        self.get(key::resource_group(subscription, name)).await
    }

    /// Resource groups of a subscription, after this position.
    pub async fn resource_groups(
        &self,
        subscription: &Name,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<ResourceGroup>, Error> {
        self.page(key::subscription_partition(subscription), "rg#", after, limit).await
    }

    /// A role assignment by scope and id.
    pub async fn role_assignment(
        &self,
        scope: &Scope,
        id: &Uid,
    ) -> Result<Option<RoleAssignment>, Error> {
        self.get(key::role_assignment(scope, id)).await
    }

    /// All role assignments of a subscription, in any scope.
    pub async fn role_assignments(
        &self,
        subscription: &Name,
    ) -> Result<Vec<RoleAssignment>, Error> {
        self.all(key::subscription_partition(subscription), "role#", None).await
    }

    /// The role assignments of exactly this scope.
    pub async fn role_assignments_at(&self, scope: &Scope) -> Result<Vec<RoleAssignment>, Error> {
        let pk = key::subscription_partition(&scope.subscription);
        self.all(pk, &key::role_assignments_at(scope), None).await
    }

    /// The role assignments of a principal in a subscription.
    pub async fn roles_of(
        &self,
        principal: &Uid,
        subscription: &Name,
    ) -> Result<Vec<RoleAssignment>, Error> {
        let prefix = key::principal_roles_in(subscription);
        self.all(key::principal_partition(principal), &prefix, None).await
    }

    /// The role assignments of a principal in all subscriptions.
    pub async fn all_roles_of(&self, principal: &Uid) -> Result<Vec<RoleAssignment>, Error> {
        self.all(key::principal_partition(principal), "role#", None).await
    }

    /// The key of the service; `None` before it is created.
    pub async fn service_key(&self) -> Result<Option<ServiceKey>, Error> {
        self.get(key::service_key()).await
    }

    /// A token by its digest.
    pub async fn token(&self, digest: &str) -> Result<Option<AccessToken>, Error> {
        self.get(key::token(digest)).await
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<Vec<AccessToken>, Error> {
        self.all(key::TOKENS_PARTITION.to_owned(), "token#", None).await
    }

    /// The meters of a region. Meters that were never used are missing.
    pub async fn usage(&self, account: &Account) -> Result<Vec<(Meter, u32)>, Error> {
        let range = Range {
            pk: key::usage_partition(account),
            prefix: "meter#".to_owned(),
            after: None,
            limit: None,
        };
        let counts = self.counts(range).await?;
        let known = |meter: Meter| {
            let name = format!("meter#{}", key::meter_name(meter));
            let found = counts.iter().find(|(sk, _)| *sk == name);
            found.map(|(_, count)| (meter, *count))
        };
        Ok(Meter::all().filter_map(known).collect())
    }

    /// Cores of all nodes of the service.
    pub async fn total_cores(&self) -> Result<u32, Error> {
        let Key { pk, sk } = key::total_cores();
        let counts = self.counts(Range { pk, prefix: sk, after: None, limit: None }).await?;
        Ok(counts.first().map_or(0, |(_, count)| *count))
    }

    /// A workspace by name.
    pub async fn workspace(
        &self,
        subscription: &Name,
        group: &Name,
        name: &Name,
    ) -> Result<Option<Workspace>, Error> {
        self.get(key::workspace(subscription, group, name)).await
    }

    /// Workspaces of a subscription or of one of its resource groups, after this position.
    pub async fn workspaces(
        &self,
        subscription: &Name,
        group: Option<&Name>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Workspace>, Error> {
        let prefix = group.map_or("ws#".to_owned(), |group| format!("ws#{}#", group.key()));
        self.page(key::subscription_partition(subscription), &prefix, after, limit).await
    }

    /// An experiment by name.
    pub async fn experiment(
        &self,
        workspace: &Uid,
        name: &str,
    ) -> Result<Option<Experiment>, Error> {
        self.get(key::child(workspace, "exp", name)).await
    }

    /// Experiments of a workspace, after this position.
    pub async fn experiments(
        &self,
        workspace: &Uid,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Experiment>, Error> {
        self.page(key::workspace_partition(workspace), "exp#", after, limit).await
    }

    /// A file server by name.
    pub async fn file_server(
        &self,
        workspace: &Uid,
        name: &str,
    ) -> Result<Option<FileServer>, Error> {
        self.get(key::child(workspace, "fs", name)).await
    }

    /// File servers of a workspace, after this position.
    pub async fn file_servers(
        &self,
        workspace: &Uid,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<FileServer>, Error> {
        self.page(key::workspace_partition(workspace), "fs#", after, limit).await
    }

    /// One of the clusters that mount the file server, if there are any.
    pub async fn file_server_user(
        &self,
        file_server: &Uid,
    ) -> Result<Option<FileServerUser>, Error> {
        let pk = key::file_server_partition(file_server);
        Ok(self.all(pk, "mount#", Some(1)).await?.into_iter().next())
    }

    /// A cluster by name.
    pub async fn cluster_named(
        &self,
        workspace: &Uid,
        name: &str,
    ) -> Result<Option<Cluster>, Error> {
        self.get(key::child(workspace, "cluster", name)).await
    }

    /// A cluster by reference, not a later one of the same name.
    pub async fn cluster(&self, reference: &ClusterRef) -> Result<Option<Cluster>, Error> {
        let named = self.cluster_named(&reference.workspace, &reference.name).await?;
        Ok(named.filter(|cluster| cluster.uid == reference.uid))
    }

    /// Clusters of a workspace, after this position.
    pub async fn clusters(
        &self,
        workspace: &Uid,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Cluster>, Error> {
        self.page(key::workspace_partition(workspace), "cluster#", after, limit).await
    }

    /// A job by name.
    pub async fn job_named(&self, experiment: &Uid, name: &str) -> Result<Option<Job>, Error> {
        self.get(key::job(experiment, name)).await
    }

    /// A job by reference, not a later one of the same name.
    pub async fn job(&self, reference: &JobRef) -> Result<Option<Job>, Error> {
        let named = self.job_named(&reference.experiment, &reference.name).await?;
        Ok(named.filter(|job| job.uid == reference.uid))
    }

    /// The existing ones of these jobs, in no particular order.
    pub async fn jobs_named(&self, references: &[JobRef]) -> Result<Vec<Job>, Error> {
        let keys: Vec<_> = references.iter().map(|it| key::job(&it.experiment, &it.name)).collect();
        let mut found: Vec<Job> = self.get_many(&keys).await?;
        found.retain(|job| references.iter().any(|it| it.uid == job.uid));
        Ok(found)
    }

    /// Jobs of an experiment, after this position.
    pub async fn jobs(
        &self,
        experiment: &Uid,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Job>, Error> {
        self.page(key::experiment_partition(experiment), "job#", after, limit).await
    }

    /// The metrics of a job; not those of another one that had its name.
    pub async fn job_metrics(&self, job: &JobRef) -> Result<Option<JobMetrics>, Error> {
        let found: Option<JobMetrics> =
            self.get(key::job_metrics(&job.experiment, &job.name)).await?;
        Ok(found.filter(|metrics| metrics.is_of(&job.uid)))
    }

    /// The metrics of the first `limit` jobs that have some, after the position of a page of [`Table::jobs`].
    pub async fn metrics_of_jobs(
        &self,
        experiment: &Uid,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<JobMetrics>, Error> {
        let name = after.and_then(|after| after.strip_prefix("job#"));
        let after = name.map(|name| key::job_metrics(experiment, name).sk);
        let pk = key::experiment_partition(experiment);
        let range = Range { pk, prefix: key::JOB_METRICS.to_owned(), after, limit: Some(limit) };
        Ok(self.range(range).await?.into_iter().map(|(_, metrics)| metrics).collect())
    }

    /// The metrics of all runs of a sweep that reported some. Reads those of the whole experiment, page by page.
    pub async fn metrics_of_sweep(
        &self,
        experiment: &Uid,
        sweep: &Name,
    ) -> Result<Vec<JobMetrics>, Error> {
        let mut of_sweep = Vec::new();
        let mut after = None;
        loop {
            let pk = key::experiment_partition(experiment);
            let page: Page<JobMetrics> =
                self.page(pk, key::JOB_METRICS, after, METRICS_PAGE).await?;
            let items = page.items.into_iter();
            of_sweep.extend(items.filter(|metrics| metrics.sweep.as_ref() == Some(sweep)));
            after = page.next;
            if after.is_none() {
                return Ok(of_sweep);
            }
        }
    }

    /// What is stored of the output of a job: at most one record for each part, perhaps of several attempts.
    pub async fn log_tails(&self, job: &JobRef) -> Result<Vec<LogTail>, Error> {
        let pk = key::experiment_partition(&job.experiment);
        self.all(pk, &key::log_tails_of(&job.uid), None).await
    }

    /// The first `limit` queue entries, in order, that are admitted, such as those that the settings of the cluster
    /// allow: others must not hide the jobs queued behind them.
    pub async fn queue_head(
        &self,
        cluster: &ClusterRef,
        limit: usize,
        mut admits: impl FnMut(&QueueEntry) -> bool,
    ) -> Result<Vec<QueueEntry>, Error> {
        let mut found = Vec::new();
        let mut after = None;
        let mut wanted = limit;
        while found.len() < limit {
            let pk = key::cluster_partition(&cluster.uid);
            let range = Range { pk, prefix: "queue#".to_owned(), after, limit: Some(wanted) };
            let page: Vec<(String, QueueEntry)> = self.range(range).await?;
            let complete = page.len() < wanted;
            after = page.last().map(|(sk, _)| sk.clone());
            let entries = page.into_iter().map(|(_, entry)| entry).filter(&mut admits);
            found.extend(entries.take(limit - found.len()));
            if complete {
                break;
            }
            wanted = limit.max(QUEUE_PAGE);
        }
        Ok(found)
    }

    /// Queue entries of a cluster, in order, after this position.
    pub async fn queue(
        &self,
        cluster: &ClusterRef,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<QueueEntry>, Error> {
        self.page(key::cluster_partition(&cluster.uid), "queue#", after, limit).await
    }

    /// Up to `limit` idle nodes of a cluster.
    pub async fn idle_nodes(
        &self,
        cluster: &ClusterRef,
        limit: usize,
    ) -> Result<Vec<IdleNode>, Error> {
        let pk = key::cluster_partition(&cluster.uid);
        let markers: Vec<IdleMarker> = self.all(pk, "idle#", Some(limit)).await?;
        let idle = markers.into_iter();
        Ok(idle.map(|IdleMarker { node, zone }| IdleNode { id: node, zone }).collect())
    }

    /// A node by id.
    pub async fn node(&self, cluster: &ClusterRef, id: &NodeId) -> Result<Option<Node>, Error> {
        self.get(key::node(&cluster.uid, id)).await
    }

    /// The existing ones of these nodes, in no particular order.
    pub async fn nodes_named(
        &self,
        cluster: &ClusterRef,
        ids: &[NodeId],
    ) -> Result<Vec<Node>, Error> {
        let keys: Vec<_> = ids.iter().map(|id| key::node(&cluster.uid, id)).collect();
        self.get_many(&keys).await
    }

    /// All nodes of a cluster.
    pub async fn nodes(&self, cluster: &ClusterRef) -> Result<Vec<Node>, Error> {
        self.all(key::cluster_partition(&cluster.uid), "node#", None).await
    }

    /// Nodes of a cluster that were removed, after this position, the newest first; expired ones may be among them.
    pub async fn ended_nodes(
        &self,
        cluster: &ClusterRef,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<EndedNodes>, Error> {
        self.page(key::ended_nodes_partition(&cluster.uid), "ended#", after, limit).await
    }

    /// A launch, while one of its nodes waits for an instance.
    pub async fn launch(
        &self,
        cluster: &ClusterRef,
        id: &LaunchId,
    ) -> Result<Option<Launch>, Error> {
        self.get(key::launch(&cluster.uid, id)).await
    }

    /// The existing ones of these launches, in no particular order.
    pub async fn launches_named(
        &self,
        cluster: &ClusterRef,
        ids: &[LaunchId],
    ) -> Result<Vec<Launch>, Error> {
        let keys: Vec<_> = ids.iter().map(|id| key::launch(&cluster.uid, id)).collect();
        self.get_many(&keys).await
    }

    /// The node of an instance.
    pub async fn instance_owner(&self, instance: &str) -> Result<Option<InstanceOwner>, Error> {
        self.get(key::instance(instance)).await
    }

    /// An operation by id.
    pub async fn operation(&self, id: &Uid) -> Result<Option<Operation>, Error> {
        self.get(key::operation(id)).await
    }

    /// All targets of the schedule.
    pub async fn scheduled_targets(&self) -> Result<Vec<Target>, Error> {
        self.all(key::SCHEDULED_PARTITION.to_owned(), "target#", None).await
    }

    async fn all<T: Stored>(
        &self,
        pk: String,
        prefix: &str,
        limit: Option<usize>,
    ) -> Result<Vec<T>, Error> {
        let found = self.range(Range { pk, prefix: prefix.to_owned(), after: None, limit }).await?;
        Ok(found.into_iter().map(|(_, item)| item).collect())
    }

    async fn page<T: Stored>(
        &self,
        pk: String,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<T>, Error> {
        let limit_and_one = Some(limit.saturating_add(1));
        let range = Range { pk, prefix: prefix.to_owned(), after, limit: limit_and_one };
        let mut found = self.range(range).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(sk, _)| sk.clone());
        Ok(Page { items: found.into_iter().map(|(_, item)| item).collect(), next })
    }
}
