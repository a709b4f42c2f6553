//! A thousand seeds of the simulation. For more:
//! `cargo run --release -p tests --bin simulate -- --seeds 100000`.

#[test]
fn a_thousand_histories_keep_every_invariant() {
    let failures = tests::simulation::run_all(0..1000);
    let said: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
}
