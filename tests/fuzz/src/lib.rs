//! Fuzzing of everything that reads foreign bytes. Each module has a `check` that takes any bytes and
//! asserts the invariants; `fuzz_*.rs` hand it to libFuzzer, and the tests here run it on the
//! seeds.

pub mod http;
pub mod requests;
pub mod texts;

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds are where fuzzing starts; each is checked in the everyday tests too.
    fn check_seeds(target: &str, at_least: usize, check: fn(&[u8])) {
        let directory = format!("{}/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for entry in std::fs::read_dir(directory).expect("the seeds") {
            let path = entry.expect("a seed").path();
            check(&std::fs::read(path).expect("a readable seed"));
            count += 1;
        }
        assert!(count >= at_least, "{count} seeds");
    }

    #[test]
    fn the_seeds_of_requests_hold() {
        check_seeds("requests", 10, requests::check);
    }

    #[test]
    fn the_seeds_of_http_hold() {
        check_seeds("http", 10, http::check);
    }

    #[test]
    fn the_seeds_of_texts_hold() {
        check_seeds("texts", 10, texts::check);
    }
}
