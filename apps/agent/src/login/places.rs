//! The places of administrators' connections. A client that does not log in keeps nobody out: it is evicted when
//! another one needs its place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// Connections at once, with and without a login: a few people, each with some terminals and copies of files. A
/// process of some megabytes serves each.
const CONNECTIONS: usize = 32;

/// How long an evicted client may take to leave its place before the next one is evicted. It may have logged in at the
/// same moment and stay.
const EVICTION_LIMIT: Duration = Duration::from_secs(1);

/// All places.
pub struct Places {
    free: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
}

/// The clients that have not logged in, in the order in which they came.
#[derive(Default)]
struct Waiting {
    clients: BTreeMap<u64, Client>,
    last: u64,
}

struct Client {
    address: IpAddr,
    /// Dropped to evict it.
    _stays: oneshot::Sender<()>,
}

/// The place of one client, which is free when this is dropped.
pub struct Place {
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
    stays: oneshot::Receiver<()>,
    _permit: OwnedSemaphorePermit,
}

impl Default for Places {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(CONNECTIONS)), waiting: Arc::default() }
    }
}

impl Places {
    /// A place for a client at this address, if need be that of one that has not logged in. `None` when all have.
    pub async fn take(&self, address: IpAddr) -> Option<Place> {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            locked(&self.waiting).evict()?;
            let acquired = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(permit)) = timeout(EVICTION_LIMIT, acquired).await {
                break permit;
            }
        };
        let (_stays, stays) = oneshot::channel();
        let mut waiting = locked(&self.waiting);
        waiting.last += 1;
        let number = waiting.last;
        waiting.clients.insert(number, Client { address, _stays });
        Some(Place { number, waiting: Arc::clone(&self.waiting), stays, _permit: permit })
    }
}

impl Waiting {
    /// The oldest client of the address that has most of them: who opens many connections evicts only their own. `None`
    /// when there is no client.
    fn evict(&mut self) -> Option<Client> {
        let mut counts = BTreeMap::new();
        for client in self.clients.values() {
            *counts.entry(client.address).or_insert(0) += 1;
        }
        let most = counts.values().max()?;
        let is_chosen = |client: &&Client| counts.get(&client.address) == Some(most);
        let number = *self.clients.iter().find(|(_, client)| is_chosen(client))?.0;
        self.clients.remove(&number)
    }
}

impl Place {
    /// When another client needs the place.
    pub async fn evicted(&mut self) {
        let _ = (&mut self.stays).await;
    }

    /// The client has logged in: it is not evicted any more.
    pub fn keep(&self) {
        locked(&self.waiting).clients.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.keep();
    }
}

fn locked(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const PERSON: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[tokio::test]
    async fn the_oldest_client_of_the_address_with_most_is_evicted() {
        let places = Places::default();
        let mut taken = Vec::new();
        for address in [PERSON, FLOOD, PERSON, FLOOD, FLOOD] {
            taken.push(places.take(address).await.unwrap());
        }
        taken[1].keep();
        let evict = || locked(&places.waiting).evict().map(|client| client.address);
        // Two of each are left: the oldest of all, and then there is one against two.
        assert_eq!([evict(), evict(), evict()], [Some(PERSON), Some(FLOOD), Some(PERSON)]);
        assert_eq!([evict(), evict()], [Some(FLOOD), None]);
        for (number, place) in taken.iter_mut().enumerate() {
            let is_evicted = place.stays.try_recv().is_err_and(|it| it != TryRecvError::Empty);
            // The sender of the second one was dropped, too: it has logged in.
            assert!(is_evicted, "{number}");
        }
    }

    #[tokio::test]
    async fn an_evicted_client_makes_room_and_who_has_logged_in_stays() {
        let places = Places::default();
        let mut all = Vec::new();
        for _ in 1..CONNECTIONS {
            all.push(places.take(FLOOD).await.unwrap());
            all.iter().for_each(Place::keep);
        }
        let mut last = places.take(FLOOD).await.unwrap();
        let leaving = tokio::spawn(async move { last.evicted().await });
        all.push(places.take(PERSON).await.unwrap());
        leaving.await.unwrap();
        all.iter().for_each(Place::keep);
        assert!(places.take(PERSON).await.is_none());
        all.pop();
        assert!(places.take(PERSON).await.is_some());
    }
}
