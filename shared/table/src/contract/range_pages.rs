//! Ranges beyond 1 MB, which DynamoDB answers in pages.

use super::fixture::Fixture;

const ITEMS: usize = 9;
const ITEM_BYTES: usize = 300 * 1024;

/// Nine items of 300 KiB: three to a page. The order of writing is not that of the keys.
async fn large_items(fixture: &Fixture) -> Vec<String> {
    let names: Vec<String> = (0..ITEMS).map(|index| format!("item {index}")).collect();
    for sk in names.iter().rev() {
        fixture.commit(vec![fixture.put_sized(sk, ITEM_BYTES)]).await;
    }
    fixture.commit(vec![fixture.put_sized("jtem", 1000), fixture.put_sized("htem", 1000)]).await;
    names
}

pub(super) async fn items_of_several_pages(fixture: Fixture) {
    let names = large_items(&fixture).await;
    let items = fixture.range("item", None, None).await;
    let sizes: Vec<usize> = items.iter().map(|item| item.size().expect("has a size")).collect();
    assert_eq!(sizes, [ITEM_BYTES; ITEMS]);
    let found: Vec<String> = items.into_iter().map(|item| item.key.sk).collect();
    assert_eq!(found, names);
    assert_eq!(fixture.keys("", None, None).await.len(), ITEMS + 2);
    for (index, name) in names.iter().enumerate() {
        assert_eq!(fixture.keys("item", Some(name), None).await, names[index + 1..]);
    }
}

pub(super) async fn limit_within_pages(fixture: Fixture) {
    let names = large_items(&fixture).await;
    for limit in 0..=ITEMS + 1 {
        let expected = &names[..limit.min(ITEMS)];
        assert_eq!(fixture.keys("item", None, Some(limit)).await, expected, "limit {limit}");
    }
    let found = fixture.keys("item", Some("item 1"), Some(5)).await;
    assert_eq!(found, names[2..7]);
}
