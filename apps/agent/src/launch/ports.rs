//! Ports at which the processes of a job listen.

use std::net::Ipv4Addr;

use protocol::AttemptKey;

/// The first port of TensorFlow on each node.
const FIRST: u16 = 2222;

/// Ports of a node where several nodes share a machine: more than the GPUs of any size, and one for a rendezvous.
const PER_NODE: u16 = 17;

/// So many nodes of one machine have ports of their own, all below those that Linux gives to clients (32768).
const NODES: u16 = 1790;

/// Of the SSH servers of nodes.
const SSH: u16 = 2200;

/// The same where nodes share a machine; above those that Linux gives to clients.
const LOCAL_SSH: std::ops::Range<u16> = 61_000..65_535;

/// Where PyTorch's processes meet.
const RENDEZVOUS: u16 = 29500;

/// The first port of TensorFlow's servers on the node with this address. Servers listen on every address of their
/// machine, so nodes that share one have ranges of their own.
pub fn first(address: &str) -> u16 {
    match loopback(address) {
        Some(address) => {
            let [.., high, low] = address.octets();
            FIRST + u16::from_be_bytes([high, low]) % NODES * PER_NODE
        }
        None => FIRST,
    }
}

/// Where the processes of a job meet, on its master.
pub fn rendezvous(master: &str) -> u16 {
    match loopback(master) {
        Some(_) => first(master) + PER_NODE - 1,
        None => RENDEZVOUS,
    }
}

/// Where the SSH servers of the nodes of an attempt listen. The server of the machine has port 22.
pub fn ssh(hosts: &[String], attempt: &AttemptKey) -> u16 {
    if !on_one_machine(hosts) {
        return SSH;
    }
    // Services that share a machine may give their nodes the same addresses.
    let text = attempt.job_uid.bytes();
    let hash = text.fold(attempt.number, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
    LOCAL_SSH.start + (hash % u32::from(LOCAL_SSH.end - LOCAL_SSH.start)) as u16
}

/// Whether these nodes are processes of one machine, as those of `batchai local` are.
pub fn on_one_machine(hosts: &[String]) -> bool {
    hosts.iter().all(|host| loopback(host).is_some())
}

fn loopback(address: &str) -> Option<Ipv4Addr> {
    address.parse().ok().filter(Ipv4Addr::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn machines_of_their_own_have_the_usual_ports() {
        assert_eq!((first("10.0.0.4"), rendezvous("10.0.0.4")), (2222, 29500));
        assert!(!on_one_machine(&["10.0.0.4".into(), "127.0.1.1".into()]));
    }

    #[test]
    fn nodes_of_one_machine_have_ports_of_their_own() {
        let addresses = (1..=6).flat_map(|high| (1..=250).map(move |low| (high, low)));
        let mut taken = BTreeSet::new();
        for (high, low) in addresses {
            let address = format!("127.0.{high}.{low}");
            let first = first(&address);
            assert_eq!(rendezvous(&address), first + 16);
            assert!((FIRST..32_768 - PER_NODE).contains(&first), "{first}");
            assert!((first..first + PER_NODE).all(|port| taken.insert(port)), "{address}");
        }
    }
}
