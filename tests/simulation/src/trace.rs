//! A readable log of a history. Off by default: lines are formatted only when they are recorded.

use table::Key;

#[derive(Debug, Default)]
pub struct Trace {
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn recording() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    pub fn on(&self) -> bool {
        self.lines.is_some()
    }

    pub fn add(&mut self, now: i64, task: u64, line: String) {
        if let Some(lines) = &mut self.lines {
            let (seconds, millis) = (now / 1000, now % 1000);
            let by = if task == 0 { String::new() } else { format!("#{task}") };
            lines.push(format!("{seconds:6}.{millis:03} {by:>6} {line}"));
        }
    }

    pub fn take(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}

/// A short form of a key: the sort key, or the partition key for operations and instances.
pub fn key(key: &Key) -> String {
    match key.sk.as_str() {
        "op" | "node" => short(&key.pk),
        // The only value that does not follow from the seed.
        sk if sk.starts_with("token#") => "token".to_owned(),
        sk => short(sk),
    }
}

/// Shortens the uids in a key.
pub fn short(text: &str) -> String {
    let is_uid = |part: &str| part.len() == 36 && part.matches('-').count() == 4;
    let parts = text.split('#').map(|part| if is_uid(part) { &part[..6] } else { part });
    let mut text = parts.collect::<Vec<_>>().join("#");
    text.truncate(70);
    text
}
