//! The first seeds of the simulation; CI plays a thousand more. As many as wanted:
//! `cargo run --release -p tests --bin simulate -- --seeds 100000`.

#[test]
fn a_hundred_histories_keep_every_invariant() {
    let failures = tests::simulation::run_all(0..100);
    let said: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
}
