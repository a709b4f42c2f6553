//! The log tail against a simulated service: between two attempts the record changes first, and
//! the files are moved some time later.

use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Change = Box<dyn FnOnce(&mut State) + Send>;

/// The only job of the service.
#[derive(Default)]
struct State {
    execution: &'static str,
    attempts: u32,
    files: BTreeMap<String, Vec<u8>>,
    /// Applied right after the next download.
    after_download: Option<Change>,
}

struct Fixture {
    state: Arc<Mutex<State>>,
    client: Client,
    tail: LogTail,
}

impl State {
    fn write(&mut self, file: &str, text: &[u8]) {
        self.files.entry(file.to_owned()).or_default().extend(text);
    }

    /// The node starts the next attempt: it moves the files of the previous one.
    fn move_files(&mut self) {
        let directory = format!("attempt-{}", self.attempts - 1);
        let mut moved = BTreeMap::new();
        for (name, text) in std::mem::take(&mut self.files) {
            let is_moved = name.starts_with("attempt-");
            moved.insert(if is_moved { name } else { format!("{directory}/{name}") }, text);
        }
        self.files = moved;
    }

    fn job(&self) -> serde_json::Value {
        let attempts: Vec<_> =
            (1..=self.attempts).map(|number| serde_json::json!({ "number": number })).collect();
        serde_json::json!({ "name": "job", "properties": {
            "executionState": self.execution, "extensions": { "attempts": attempts },
        }})
    }

    fn list(&self, directory: &str, base: &str) -> serde_json::Value {
        let prefix = if directory == "." { String::new() } else { format!("{directory}/") };
        let mut entries = BTreeMap::new();
        for (path, text) in &self.files {
            let Some(below) = path.strip_prefix(&prefix) else { continue };
            let entry = match below.split_once('/') {
                Some((name, _)) => {
                    (name, serde_json::json!({ "name": name, "fileType": "directory" }))
                }
                None => (
                    below,
                    serde_json::json!({ "name": below, "fileType": "file",
                    "downloadUrl": format!("{base}/files/{path}"),
                    "properties": { "contentLength": text.len() } }),
                ),
            };
            entries.insert(entry.0.to_owned(), entry.1);
        }
        serde_json::json!({ "value": entries.into_values().collect::<Vec<_>>() })
    }
}

impl Fixture {
    fn new(execution: &'static str, attempts: u32) -> Self {
        let state = Arc::new(Mutex::new(State { execution, attempts, ..State::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let job = serde_json::from_value(state.lock().unwrap().job()).unwrap();
        std::thread::spawn({
            let (state, base) = (state.clone(), base.clone());
            move || {
                for stream in listener.incoming() {
                    answer(&state, &base, &stream.unwrap());
                }
            }
        });
        let scope = crate::client::Scope {
            subscription: "s".to_owned(),
            resource_group: "g".to_owned(),
            workspace: Some("w".to_owned()),
            experiment: Some("e".to_owned()),
        };
        let address = scope.jobs().unwrap().join(&["job"]);
        let tail = LogTail::new(address, OutputFile::new(STDOUTERR, "stdout.txt"), job);
        Self {
            state,
            client: Client::new(&base, crate::client::TokenSource::none()).unwrap(),
            tail,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Everything written so far, with `<2>` where attempt 2 starts, and `.` at the end of the job.
    async fn read(&mut self) -> String {
        let mut shown = String::new();
        loop {
            let (pieces, progress) = self.tail.advance(&self.client).await.unwrap();
            for piece in pieces {
                match piece {
                    Piece::AttemptStarted(number) => shown += &format!("<{number}>"),
                    Piece::Text(text) => shown += &String::from_utf8(text).unwrap(),
                }
            }
            match progress {
                Progress::More => {}
                Progress::CaughtUp | Progress::AwaitingMove => return shown,
                Progress::Done => return shown + ".",
            }
        }
    }
}

fn answer(state: &Mutex<State>, base: &str, stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let request = lines.next().unwrap();
    let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let target: Url = format!("{base}{}", request.split(' ').nth(1).unwrap()).parse().unwrap();
    let mut state = state.lock().unwrap();
    let (status, body) = if let Some(file) = target.path().strip_prefix("/files/") {
        let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes="));
        let from: usize = range.unwrap().split('-').next().unwrap().parse().unwrap();
        let part = match state.files.get(file) {
            None => ("404 Not Found", Vec::new()),
            Some(text) if from >= text.len() => ("416 Range Not Satisfiable", Vec::new()),
            Some(text) => ("206 Partial Content", text[from..].to_vec()),
        };
        if let Some(change) = state.after_download.take() {
            change(&mut state);
        }
        part
    } else if target.path().ends_with("/listOutputFiles") {
        let directory = target.query_pairs().find(|(name, _)| name == "directory").unwrap().1;
        ("200 OK", state.list(&directory, base).to_string().into_bytes())
    } else {
        ("200 OK", state.job().to_string().into_bytes())
    };
    let mut stream = stream;
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")
        .and_then(|()| stream.write_all(&body))
        .unwrap();
}

#[tokio::test]
async fn text_arrives_once_and_in_whole_characters() {
    let mut fixture = Fixture::new("queued", 0);
    assert_eq!(fixture.read().await, "");
    fixture.change(|state| (state.execution, state.attempts) = ("running", 1));
    assert_eq!(fixture.read().await, "");
    fixture
        .change(|state| state.write("stdout.txt", "epoch 1 ✓".as_bytes().split_last().unwrap().1));
    assert_eq!(fixture.read().await, "epoch 1 ");
    fixture.change(|state| state.write("stdout.txt", &[*"✓".as_bytes().last().unwrap(), b'\n']));
    assert_eq!(fixture.read().await, "✓\n");
    assert_eq!(fixture.read().await, "");
    fixture.change(|state| {
        state.write("stdout.txt", b"end\n");
        state.execution = "succeeded";
    });
    assert_eq!(fixture.read().await, "end\n.");
}

#[tokio::test]
async fn a_new_attempt_is_read_after_the_old_files_were_moved() {
    let mut fixture = Fixture::new("running", 1);
    fixture.change(|state| state.write("stdout.txt", b"one "));
    assert_eq!(fixture.read().await, "one ");
    fixture.change(|state| {
        state.write("stdout.txt", b"rest ");
        state.execution = "queued";
    });
    assert_eq!(fixture.read().await, "rest ");
    // The record has the new attempt; the old process still writes, and no file was moved yet.
    fixture.change(|state| {
        (state.execution, state.attempts) = ("running", 2);
        state.write("stdout.txt", b"final lines ");
    });
    assert_eq!(fixture.read().await, "");
    // Files are moved one by one.
    fixture.change(|state| state.write("attempt-1/execution.log", b"log"));
    assert_eq!(fixture.read().await, "");
    fixture.change(|state| {
        state.move_files();
        state.write("stdout.txt", b"two is much longer than one was ");
    });
    assert_eq!(fixture.read().await, "final lines <2>two is much longer than one was ");
}

#[tokio::test]
async fn text_read_during_the_move_is_read_again() {
    let mut fixture = Fixture::new("running", 1);
    fixture.change(|state| {
        state.write("stdout.txt", b"one ");
        state.after_download = Some(Box::new(|state| {
            state.attempts = 2;
            state.move_files();
            state.write("stdout.txt", b"two, longer ");
            // A download at the old offset would now read the new file.
        }));
    });
    assert_eq!(fixture.read().await, "one <2>two, longer ");
}

#[tokio::test]
async fn attempts_between_two_reads_are_reported() {
    let mut fixture = Fixture::new("running", 1);
    fixture.change(|state| state.write("stdout.txt", b"one "));
    assert_eq!(fixture.read().await, "one ");
    fixture.change(|state| {
        state.attempts = 2;
        state.move_files();
        state.write("stdout.txt", b"two ");
        state.attempts = 3;
        state.move_files();
        state.write("stdout.txt", b"three ");
        state.execution = "failed";
    });
    assert_eq!(fixture.read().await, "<2>two <3>three .");
}

#[tokio::test]
async fn a_late_reader_gets_the_last_attempt() {
    let mut fixture = Fixture::new("running", 3);
    fixture.change(|state| {
        state.write("attempt-1/stdout.txt", b"one ");
        state.write("attempt-2/stdout.txt", b"two ");
        state.write("stdout.txt", b"three ");
    });
    assert_eq!(fixture.read().await, "<3>three ");
}

#[tokio::test]
async fn the_move_is_not_awaited_after_the_end_of_the_job() {
    let mut fixture = Fixture::new("running", 1);
    assert_eq!(fixture.read().await, "");
    fixture.change(|state| {
        state.attempts = 2;
        state.write("stdout.txt", b"two ");
    });
    assert_eq!(fixture.read().await, "");
    fixture.change(|state| state.execution = "succeeded");
    assert_eq!(fixture.read().await, "");
    assert_eq!(fixture.read().await, "<2>two .");
}

#[test]
fn a_path_is_split_into_directory_and_name() {
    let file = OutputFile::new(STDOUTERR, "attempt-1/stdout.txt");
    assert_eq!((file.directory.as_str(), file.name.as_str()), ("attempt-1", "stdout.txt"));
    assert!(!file.is_per_attempt());
    assert!(OutputFile::new(STDOUTERR, "stdout.txt").is_per_attempt());
    assert!(!OutputFile::new("MODEL", "log.txt").is_per_attempt());
}

#[test]
fn the_last_lines_begin_after_a_line_break() {
    let check = |text: &str, lines, expected| {
        assert_eq!(last_lines(text.as_bytes(), lines), expected, "{text:?} {lines}");
    };
    check("a\nb\nc\n", 1, Some(4));
    check("a\nb\nc\n", 2, Some(2));
    check("a\nb\nc\n", 3, None);
    check("a\nb\nc", 1, Some(4));
    check("a\n\n", 1, Some(2));
    check("a\n", 0, Some(2));
    check("", 1, None);
}
