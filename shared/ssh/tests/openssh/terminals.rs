//! Terminals.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fixture::{Client, Node, text};

/// A client with a terminal of its own.
struct Terminal {
    pty: pty_process::Pty,
    child: tokio::process::Child,
    shown: String,
}

impl Terminal {
    fn open(client: &Client, line: Option<&str>) -> Self {
        let (pty, pts) = pty_process::open().unwrap();
        pty.resize(pty_process::Size::new(24, 80)).unwrap();
        let mut command = client.ssh(&["-t"]);
        command.args(line).env("TERM", "vt100");
        command.stdin(std::process::Stdio::inherit());
        // The terminal replaces what the fixture has chosen.
        let child = pty_process::Command::from(command).spawn(pts).unwrap();
        Self { pty, child, shown: String::new() }
    }

    /// Reads until `expected` is shown.
    async fn expect(&mut self, expected: &str) {
        let reading = async {
            let mut buffer = [0; 4096];
            while !self.shown.contains(expected) {
                let length = self.pty.read(&mut buffer).await.unwrap_or(0);
                assert_ne!(length, 0, "{expected:?} is not in {:?}", self.shown);
                self.shown.push_str(&text(&buffer[..length]));
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), reading).await;
        assert!(in_time.is_ok(), "{expected:?} is not in {:?}", self.shown);
    }
}

#[tokio::test]
async fn a_command_has_a_terminal_where_the_client_wants_one() {
    let node = Node::start().await;
    let client = node.admit("one");
    let output = client.ssh(&["-tt"]).arg("tty; [ -r /dev/tty ] && ps -o tty= $$; exit 3").output();
    let output = output.await.unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("/dev/pts/"), "{shown}");
    assert_eq!(format!("/dev/{}", lines[1].trim()), lines[0].trim());
    assert_eq!(client.run("tty").await, (1, "not a tty\n".into()));
}

#[tokio::test]
async fn the_terminal_has_the_client_s_size_and_follows_it() {
    let node = Node::start().await;
    let client = node.admit("one");
    let line = "echo $TERM; stty size; trap 'stty size; exit 5' WINCH; echo ready; \
                while :; do sleep 0.1; done";
    let mut terminal = Terminal::open(&client, Some(line));
    terminal.expect("vt100\r\n24 80\r\nready").await;
    terminal.pty.resize(pty_process::Size::new(40, 120)).unwrap();
    terminal.expect("40 120").await;
    let end = tokio::time::timeout(Duration::from_secs(30), terminal.child.wait()).await;
    assert_eq!(end.unwrap().unwrap().code(), Some(5));
}

#[tokio::test]
async fn a_shell_is_interactive_and_its_programs_can_be_interrupted() {
    let node = Node::start().await;
    let client = node.admit("one");
    let mut terminal = Terminal::open(&client, None);
    // A prompt that counts: `p1> `, `p2> `.
    terminal.pty.write_all(b"PS1='p$((n=n+1))> '; echo $((40 + 2)) $ATTEMPT\n").await.unwrap();
    terminal.expect("42 one").await;
    // The program says that it is in the foreground: what is typed before goes to the shell. Where the tests run in the
    // background of a script, the signal is ignored by all their processes, unless one asks for it.
    let program = "env --default-signal=INT sh -c 'echo $((40 + 3)) runs; exec sleep 1000'\n";
    terminal.pty.write_all(program.as_bytes()).await.unwrap();
    terminal.expect("43 runs").await;
    terminal.pty.write_all(b"\x03").await.unwrap();
    // The shell discards what is typed before it has noticed the end of the program.
    terminal.expect("p2> ").await;
    terminal.pty.write_all(b"exit $((2 + 4))\n").await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(30), terminal.child.wait()).await;
    assert_eq!(end.unwrap().unwrap().code(), Some(6));
}

/// As below any SSH server: a background process keeps the terminal open, but not the session.
#[tokio::test]
async fn a_background_process_does_not_keep_a_terminal_s_session_open() {
    let node = Node::start().await;
    let client = node.admit("one");
    let mut command = client.ssh(&["-tt"]);
    command.arg("trap '' HUP; sleep 20 & echo all of it");
    let output = tokio::time::timeout(Duration::from_secs(10), command.output()).await;
    assert_eq!(text(&output.unwrap().unwrap().stdout), "all of it\r\n");
}
