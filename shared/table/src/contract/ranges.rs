//! Ranges of a partition, against a plain list.

use super::fixture::{Fixture, version};

pub(super) async fn every_prefix_start_and_limit(fixture: Fixture) {
    let mut names: Vec<String> = vec![String::new()];
    for length in 1..=3 {
        let longer = names.iter().filter(|name| name.len() == length - 1);
        let longer: Vec<String> =
            longer.flat_map(|name| ["a", "b"].map(|end| format!("{name}{end}"))).collect();
        names.extend(longer);
    }
    // Half of the names are stored, so that prefixes and starts need not be.
    let stored = ["a", "aa", "aab", "ab", "aba", "b", "bb", "bba", "bbb"];
    fixture.commit(stored.iter().map(|sk| fixture.put(sk, version(1), "1")).collect()).await;
    for prefix in &names {
        let starts = names.iter().skip(1).map(|name| Some(name.as_str())).chain([None]);
        for after in starts {
            for limit in [Some(0), Some(1), Some(2), Some(100), None] {
                let expected: Vec<&str> = stored
                    .into_iter()
                    .filter(|sk| sk.starts_with(prefix.as_str()))
                    .filter(|sk| after.is_none_or(|after| *sk > after))
                    .take(limit.unwrap_or(usize::MAX))
                    .collect();
                let found = fixture.keys(prefix, after, limit).await;
                assert_eq!(found, expected, "prefix {prefix:?}, after {after:?}, limit {limit:?}");
            }
        }
    }
}

/// The order is that of UTF-8 bytes, not of UTF-16 units or of a language.
pub(super) async fn order_is_by_bytes(fixture: Fixture) {
    let mut names = [
        "a",
        "A",
        "B",
        "_",
        "a#1",
        "a#10",
        "a#2",
        "a!",
        "a~",
        "ä",
        "z",
        "日本",
        "\u{ffee}",
        "\u{10000}",
        "🚀",
        " ",
        "é",
        "e\u{301}",
        "\u{7f}",
        "\u{80}",
    ];
    fixture.commit(names.iter().map(|sk| fixture.put(sk, version(1), "1")).collect()).await;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    assert_eq!(fixture.keys("", None, None).await, names);
    for (index, name) in names.iter().enumerate() {
        assert_eq!(fixture.keys("", Some(name), None).await, names[index + 1..], "after {name:?}");
        let below: Vec<&str> = names.into_iter().filter(|sk| sk.starts_with(name)).collect();
        assert_eq!(fixture.keys(name, None, None).await, below, "below {name:?}");
    }
}

pub(super) async fn other_partitions_are_left_out(fixture: Fixture) {
    assert!(fixture.keys("", None, None).await.is_empty());
    let longer = fixture.beside("x");
    longer.commit(vec![longer.put("a", version(1), "1")]).await;
    assert!(fixture.keys("", None, None).await.is_empty());
    assert!(fixture.keys("a", Some("a"), Some(1)).await.is_empty());
    fixture.commit(vec![fixture.put("b", version(1), "1")]).await;
    assert_eq!(fixture.keys("", None, None).await, ["b"]);
    assert_eq!(longer.keys("", None, None).await, ["a"]);
}
