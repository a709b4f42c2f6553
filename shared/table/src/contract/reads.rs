//! Reads by key.

use super::fixture::{Fixture, version};
use crate::{Body, Key};
use std::collections::BTreeSet;

pub(super) async fn missing_items_are_left_out(fixture: Fixture) {
    let far = fixture.beside("/far");
    fixture.commit(vec![fixture.put("a", version(1), "1"), far.put("b", version(2), "2")]).await;
    assert_eq!(fixture.get("b").await, None);
    let keys = [fixture.key("b"), far.key("b"), fixture.key("c"), fixture.key("a"), far.key("a")];
    let found = fixture.storage.get_many(&keys).await.expect("the items can be read");
    let found: BTreeSet<(Key, Option<u64>)> =
        found.into_iter().map(|item| (item.key, item.attributes.version)).collect();
    assert_eq!(found, BTreeSet::from([(fixture.key("a"), Some(1)), (far.key("b"), Some(2))]));
    let none = fixture.storage.get_many(&[fixture.key("x"), fixture.key("y")]).await;
    assert!(none.expect("missing items are no error").is_empty());
}

pub(super) async fn keys_of_any_language(fixture: Fixture) {
    let names = ["größe", "日本語", "🚀 #%?/&=", "a\u{301}", "á", "O'Brien\"\\", "\u{1}\t\n"];
    for name in names {
        let case = fixture.beside(name);
        case.commit(vec![case.put(name, version(1), name)]).await;
        let item = case.get(name).await.expect("the item is found by its key");
        assert_eq!((item.key, item.body), (case.key(name), Body::text(name)));
        assert_eq!(case.keys(name, None, None).await, [name]);
    }
}

/// DynamoDB answers with at most 16 MB and lists the keys that it left out.
pub(super) async fn more_than_one_answer_holds(fixture: Fixture) {
    const ITEM_BYTES: usize = 390 * 1024;
    let names: Vec<String> = (0..50).map(|index| format!("{index:02}")).collect();
    for some in names.chunks(10) {
        fixture.commit(some.iter().map(|sk| fixture.put_sized(sk, ITEM_BYTES)).collect()).await;
    }
    let keys: Vec<Key> = names.iter().map(|sk| fixture.key(sk)).collect();
    let found = fixture.storage.get_many(&keys).await.expect("the items can be read");
    let found: BTreeSet<String> = found.into_iter().map(|item| item.key.sk).collect();
    assert_eq!(found, names.into_iter().collect());
}
