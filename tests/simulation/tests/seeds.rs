//! The first seeds; CI plays 20,000. As many as wanted: `cargo run -p simulation -- --seeds 1000000`.

use simulation::{Options, Scenario, play_all, play_scenario};

#[test]
fn some_hundred_histories_keep_every_rule() {
    let (failure, played) = play_all(0..400, Options::default());
    assert!(failure.is_none(), "{}", failure.map(|it| it.to_string()).unwrap_or_default());
    assert_eq!(played, 400);
}

#[test]
fn a_seed_is_one_history() {
    for seed in 0..20 {
        let scenario = Scenario::draw(seed, Options::default());
        let play = |tape| play_scenario(&scenario, tape, true);
        let (first, second) = (play(None), play(None));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(play(Some(first.tape)).trace, second.trace, "seed {seed} from its tape");
    }
}
