//! The port for hints: the rules of an SQS FIFO queue, in process and on SQS (moto).

use async_trait::async_trait;
use aws::{QueueUrls, SqsHints};
use control::Function;
use control::ports::{Hints, Ids};
use control::system::RandomIds;
use local::{LocalHints, Message};
use model::{ClusterRef, Target, Uid};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tests::moto::Moto;
use tokio::time::Sleep;

/// The consumer of hints: Lambda's event source mapping, or the local workers.
#[async_trait]
trait Consumer: Sync {
    fn hints(&self) -> &dyn Hints;

    /// Takes a deliverable hint; its group is locked until `done`.
    async fn take(&self, function: Function) -> Option<Target>;

    async fn done(&self, function: Function, target: &Target);
}

struct Local {
    hints: &'static LocalHints,
    /// The hints that were taken and are not done.
    taken: Mutex<HashMap<Target, Message<'static, Sleep>>>,
}

#[async_trait]
impl Consumer for Local {
    fn hints(&self) -> &dyn Hints {
        self.hints
    }

    async fn take(&self, function: Function) -> Option<Target> {
        let message = self.hints.take(function)?;
        let target = message.target.clone();
        self.taken.lock().expect("not poisoned").insert(target.clone(), message);
        Some(target)
    }

    async fn done(&self, _function: Function, target: &Target) {
        let message = self.taken.lock().expect("not poisoned").remove(target);
        drop(message.expect("taken"));
    }
}

struct Sqs {
    hints: SqsHints,
    client: aws_sdk_sqs::Client,
    urls: HashMap<Function, String>,
    /// The receipts of hints that were taken and are not done.
    receipts: Mutex<HashMap<Target, String>>,
    _moto: Moto,
}

impl Sqs {
    async fn start() -> Self {
        let moto = tokio::task::spawn_blocking(Moto::start).await.expect("moto starts");
        let urls = QueueUrls {
            dispatcher: moto.queue("dispatcher").await,
            autoscaler: moto.queue("autoscaler").await,
            recovery: moto.queue("recovery").await,
            provisioner: moto.queue("provisioner").await,
        };
        let by_function = HashMap::from([
            (Function::Dispatcher, urls.dispatcher.clone()),
            (Function::Autoscaler, urls.autoscaler.clone()),
            (Function::Recovery, urls.recovery.clone()),
            (Function::Provisioner, urls.provisioner.clone()),
        ]);
        let hints = SqsHints::new(moto.sqs(), urls, Arc::new(RandomIds));
        let receipts = Mutex::default();
        Self { hints, client: moto.sqs(), urls: by_function, receipts, _moto: moto }
    }
}

#[async_trait]
impl Consumer for Sqs {
    fn hints(&self) -> &dyn Hints {
        &self.hints
    }

    async fn take(&self, function: Function) -> Option<Target> {
        let request = self.client.receive_message().queue_url(&self.urls[&function]);
        let received = request.max_number_of_messages(1).send().await.expect("the queue answers");
        let message = received.messages?.into_iter().next()?;
        let body = message.body.expect("a hint has a body");
        let target: Target = serde_json::from_str(&body).expect("a hint can be read");
        let receipt = message.receipt_handle.expect("a received message has a receipt");
        self.receipts.lock().expect("not poisoned").insert(target.clone(), receipt);
        Some(target)
    }

    async fn done(&self, function: Function, target: &Target) {
        let receipt = self.receipts.lock().expect("not poisoned").remove(target);
        let request = self.client.delete_message().queue_url(&self.urls[&function]);
        request.receipt_handle(receipt.expect("taken")).send().await.expect("the queue answers");
    }
}

#[tokio::test]
async fn hints_in_process() {
    let hints = Box::leak(Box::new(LocalHints::new(Arc::default())));
    check(&Local { hints, taken: Mutex::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_on_sqs() {
    check(&Sqs::start().await).await;
}

async fn check(consumer: &dyn Consumer) {
    every_hint_arrives_as_it_was_sent(consumer).await;
    a_group_is_processed_in_order_one_at_a_time(consumer).await;
    a_hint_sent_while_its_group_is_locked_is_not_lost(consumer).await;
    equal_hints_are_separate_messages(consumer).await;
    groups_do_not_wait_for_each_other(consumer).await;
    each_function_has_its_queue(consumer).await;
}

async fn send(consumer: &dyn Consumer, function: Function, target: &Target) {
    consumer.hints().send(function, target).await.expect("the queue accepts it");
}

/// Takes a hint, expects this target, and acknowledges it.
async fn expect(consumer: &dyn Consumer, target: &Target, why: &str) {
    let taken = consumer.take(Function::Dispatcher).await;
    assert_eq!(taken.as_ref(), Some(target), "{why}");
    consumer.done(Function::Dispatcher, target).await;
}

async fn expect_nothing(consumer: &dyn Consumer, why: &str) {
    assert_eq!(consumer.take(Function::Dispatcher).await, None, "{why}");
}

fn in_group(uid: &Uid, name: &str) -> Target {
    Target::Experiment { workspace: RandomIds.uid(), name: name.to_owned(), uid: uid.clone() }
}

async fn every_hint_arrives_as_it_was_sent(consumer: &dyn Consumer) {
    let uid = || RandomIds.uid();
    let cluster = ClusterRef { workspace: uid(), name: "c".to_owned(), uid: uid() };
    let targets = [
        Target::Cluster { cluster },
        Target::FileServer { workspace: uid(), name: "f\"<&ü".to_owned(), uid: uid() },
        Target::RemovedFileServer { uid: uid(), not_before: model::Timestamp(7) },
        Target::Experiment { workspace: uid(), name: "e".to_owned(), uid: uid() },
        Target::Workspace {
            subscription: "s".to_owned(),
            resource_group: "g".to_owned(),
            name: "w".to_owned(),
            uid: uid(),
        },
    ];
    for target in &targets {
        send(consumer, Function::Dispatcher, target).await;
        expect(consumer, target, "a sent hint arrives").await;
    }
    expect_nothing(consumer, "an acknowledged hint is not delivered again").await;
}

async fn a_group_is_processed_in_order_one_at_a_time(consumer: &dyn Consumer) {
    let uid = RandomIds.uid();
    let targets = ["first", "second", "third"].map(|name| in_group(&uid, name));
    for target in &targets {
        send(consumer, Function::Dispatcher, target).await;
    }
    for target in &targets {
        let taken = consumer.take(Function::Dispatcher).await;
        assert_eq!(taken.as_ref(), Some(target), "in the order of sending");
        expect_nothing(consumer, "the group is locked").await;
        consumer.done(Function::Dispatcher, target).await;
    }
    expect_nothing(consumer, "all are done").await;
}

async fn a_hint_sent_while_its_group_is_locked_is_not_lost(consumer: &dyn Consumer) {
    let target = in_group(&RandomIds.uid(), "again");
    send(consumer, Function::Dispatcher, &target).await;
    let taken = consumer.take(Function::Dispatcher).await;
    assert_eq!(taken.as_ref(), Some(&target));
    // The handler may have read the state already: a later change needs another pass.
    send(consumer, Function::Dispatcher, &target).await;
    expect_nothing(consumer, "the group is locked").await;
    consumer.done(Function::Dispatcher, &target).await;
    expect(consumer, &target, "the second one is delivered after the first is done").await;
    expect_nothing(consumer, "both are done").await;
}

async fn equal_hints_are_separate_messages(consumer: &dyn Consumer) {
    let target = in_group(&RandomIds.uid(), "twice");
    for time in ["the first time", "within the five minutes of SQS's deduplication"] {
        send(consumer, Function::Dispatcher, &target).await;
        expect(consumer, &target, time).await;
    }
    expect_nothing(consumer, "both are done").await;
}

async fn groups_do_not_wait_for_each_other(consumer: &dyn Consumer) {
    let (one, other) = (RandomIds.uid(), RandomIds.uid());
    let (first, behind) = (in_group(&one, "first"), in_group(&one, "behind"));
    let free = in_group(&other, "free");
    for target in [&first, &behind, &free] {
        send(consumer, Function::Dispatcher, target).await;
    }
    let taken = consumer.take(Function::Dispatcher).await;
    assert_eq!(taken.as_ref(), Some(&first));
    expect(consumer, &free, "another group is free").await;
    expect_nothing(consumer, "the first group is locked").await;
    consumer.done(Function::Dispatcher, &first).await;
    expect(consumer, &behind, "its group is free").await;
    expect_nothing(consumer, "all are done").await;
}

async fn each_function_has_its_queue(consumer: &dyn Consumer) {
    let target = in_group(&RandomIds.uid(), "one resource");
    for function in [Function::Recovery, Function::Autoscaler, Function::Provisioner] {
        send(consumer, function, &target).await;
    }
    expect_nothing(consumer, "it was sent to other functions").await;
    for function in [Function::Provisioner, Function::Autoscaler, Function::Recovery] {
        let taken = consumer.take(function).await;
        assert_eq!(taken.as_ref(), Some(&target), "{function:?}");
        consumer.done(function, &target).await;
    }
}
