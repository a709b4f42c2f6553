//! The tail against a service that does what the real one does while an attempt gives way to the
//! next: a record that grows first, and files that move some time later.

use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Change = Box<dyn FnOnce(&mut State) + Send>;

/// What the service knows of its only job.
#[derive(Default)]
struct State {
    execution: &'static str,
    attempts: u32,
    files: BTreeMap<String, Vec<u8>>,
    /// Happens right after the next download.
    after_download: Option<Change>,
}

struct Stage {
    state: Arc<Mutex<State>>,
    client: Client,
    tail: LogTail,
}

impl State {
    fn write(&mut self, file: &str, text: &[u8]) {
        self.files.entry(file.to_owned()).or_default().extend(text);
    }

    /// The node begins the next attempt: the files of the one before go out of its way.
    fn move_files(&mut self) {
        let directory = format!("attempt-{}", self.attempts - 1);
        let mut moved = BTreeMap::new();
        for (name, text) in std::mem::take(&mut self.files) {
            let stays = name.starts_with("attempt-");
            moved.insert(if stays { name } else { format!("{directory}/{name}") }, text);
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

impl Stage {
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
        let tail = LogTail::new(address, Place::new(STDOUTERR, "stdout.txt"), job);
        Self { state, client: Client::new(&base, None).unwrap(), tail }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Everything there is now, with `<2>` where attempt 2 begins, and `.` at the end of the job.
    async fn read(&mut self) -> String {
        let mut shown = String::new();
        loop {
            let (pieces, progress) = self.tail.advance(&self.client).await.unwrap();
            for piece in pieces {
                match piece {
                    Piece::AttemptBegins(number) => shown += &format!("<{number}>"),
                    Piece::Text(text) => shown += &String::from_utf8(text).unwrap(),
                }
            }
            match progress {
                Progress::More => {}
                Progress::CaughtUp | Progress::Moving => return shown,
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
async fn text_comes_once_and_whole() {
    let mut stage = Stage::new("queued", 0);
    assert_eq!(stage.read().await, "");
    stage.change(|state| (state.execution, state.attempts) = ("running", 1));
    assert_eq!(stage.read().await, "");
    stage.change(|state| state.write("stdout.txt", "epoch 1 ✓".as_bytes().split_last().unwrap().1));
    assert_eq!(stage.read().await, "epoch 1 ");
    stage.change(|state| state.write("stdout.txt", &[*"✓".as_bytes().last().unwrap(), b'\n']));
    assert_eq!(stage.read().await, "✓\n");
    assert_eq!(stage.read().await, "");
    stage.change(|state| {
        state.write("stdout.txt", b"end\n");
        state.execution = "succeeded";
    });
    assert_eq!(stage.read().await, "end\n.");
}

#[tokio::test]
async fn a_new_attempt_begins_when_its_files_can_be_told_from_the_old_ones() {
    let mut stage = Stage::new("running", 1);
    stage.change(|state| state.write("stdout.txt", b"one "));
    assert_eq!(stage.read().await, "one ");
    stage.change(|state| {
        state.write("stdout.txt", b"rest ");
        state.execution = "queued";
    });
    assert_eq!(stage.read().await, "rest ");
    // The record grows, but the node has not moved the files yet, and still writes the last words.
    stage.change(|state| {
        (state.execution, state.attempts) = ("running", 2);
        state.write("stdout.txt", b"last words ");
    });
    assert_eq!(stage.read().await, "");
    // Files move one by one.
    stage.change(|state| state.write("attempt-1/execution.log", b"log"));
    assert_eq!(stage.read().await, "");
    stage.change(|state| {
        state.move_files();
        state.write("stdout.txt", b"two is much longer than one was ");
    });
    assert_eq!(stage.read().await, "last words <2>two is much longer than one was ");
}

#[tokio::test]
async fn what_was_read_while_the_files_moved_is_read_again() {
    let mut stage = Stage::new("running", 1);
    stage.change(|state| {
        state.write("stdout.txt", b"one ");
        state.after_download = Some(Box::new(|state| {
            state.attempts = 2;
            state.move_files();
            state.write("stdout.txt", b"two, longer ");
            // The next download of the old offset would be of the new file.
        }));
    });
    assert_eq!(stage.read().await, "one <2>two, longer ");
}

#[tokio::test]
async fn attempts_that_passed_unseen_are_told_too() {
    let mut stage = Stage::new("running", 1);
    stage.change(|state| state.write("stdout.txt", b"one "));
    assert_eq!(stage.read().await, "one ");
    stage.change(|state| {
        state.attempts = 2;
        state.move_files();
        state.write("stdout.txt", b"two ");
        state.attempts = 3;
        state.move_files();
        state.write("stdout.txt", b"three ");
        state.execution = "failed";
    });
    assert_eq!(stage.read().await, "<2>two <3>three .");
}

#[tokio::test]
async fn whoever_comes_late_gets_the_last_attempt() {
    let mut stage = Stage::new("running", 3);
    stage.change(|state| {
        state.write("attempt-1/stdout.txt", b"one ");
        state.write("attempt-2/stdout.txt", b"two ");
        state.write("stdout.txt", b"three ");
    });
    assert_eq!(stage.read().await, "<3>three ");
}

#[tokio::test]
async fn an_attempt_that_left_no_files_is_not_waited_for_once_the_job_has_ended() {
    let mut stage = Stage::new("running", 1);
    assert_eq!(stage.read().await, "");
    stage.change(|state| {
        state.attempts = 2;
        state.write("stdout.txt", b"two ");
    });
    assert_eq!(stage.read().await, "");
    stage.change(|state| state.execution = "succeeded");
    assert_eq!(stage.read().await, "");
    assert_eq!(stage.read().await, "<2>two .");
}

#[test]
fn paths_name_a_directory_and_a_file() {
    let place = Place::new(STDOUTERR, "attempt-1/stdout.txt");
    assert_eq!((place.directory.as_str(), place.file.as_str()), ("attempt-1", "stdout.txt"));
    assert!(!place.is_kept_per_attempt());
    assert!(Place::new(STDOUTERR, "stdout.txt").is_kept_per_attempt());
    assert!(!Place::new("MODEL", "log.txt").is_kept_per_attempt());
}
