//! The first seeds. CI runs 20,000; for more: `cargo run -p simulation -- --seeds 1000000`.

use simulation::{Options, Scenario, run_scenario, run_seeds};

#[test]
fn the_first_400_histories_violate_no_invariant() {
    let (failure, count) = run_seeds(0..400, Options::default());
    assert!(failure.is_none(), "{}", failure.map(|it| it.to_string()).unwrap_or_default());
    assert_eq!(count, 400);
}

#[test]
fn a_seed_determines_its_history() {
    for seed in 0..20 {
        let scenario = Scenario::generate(seed, Options::default());
        let run = |tape| run_scenario(&scenario, tape, true);
        let (first, second) = (run(None), run(None));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(run(Some(first.tape)).trace, second.trace, "seed {seed} from its tape");
    }
}
