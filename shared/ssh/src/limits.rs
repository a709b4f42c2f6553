//! The limits of the server, each with its unit and its reason.

use std::time::Duration;

/// How long a client may take to log in. A slow link needs a few seconds, a person who types a password
/// some more.
pub const LOGIN_GRACE: Duration = Duration::from_secs(30);

/// Rejected authentications of one connection. A client with an agent offers several keys before the right one.
pub const AUTHENTICATION_ATTEMPTS: usize = 6;

/// The least time that a rejection takes: guesses are slow, and a right name takes as long as a wrong one.
pub const REJECTION_TIME: Duration = Duration::from_millis(300);

/// Connections of one server. A gang of this many nodes can start its ranks from one node at once.
pub const CONNECTIONS: usize = 512;

/// Connections that have not logged in yet. The oldest is closed when there is another one, so that clients which
/// never log in keep nobody out.
pub const UNAUTHENTICATED_CONNECTIONS: usize = 128;

/// Open channels of one connection: sessions and forwarded connections. A browser behind a forwarded port opens
/// dozens.
pub const CHANNELS: usize = 64;

/// Bytes that a client may send on a channel before more are asked for, at most. At 50 ms of latency this carries
/// 20 MB/s.
pub const WINDOW_BYTES: u32 = 1 << 20;

/// Bytes that a client may send while there is no room, see [`crate::input`].
pub const SLOW_WINDOW_BYTES: u32 = 2;

/// Bytes of input that wait for a process. Twice the window, so that it is open while a process reads steadily.
pub const QUEUE_BYTES: usize = 2 * WINDOW_BYTES as usize;

/// Bytes of input that wait for a process before its connection is closed. Between the two limits are what the
/// client had been allowed to send, and days of [`SLOW_WINDOW_BYTES`].
pub const LARGEST_QUEUE_BYTES: usize = 8 << 20;

const _: () = assert!(LARGEST_QUEUE_BYTES > QUEUE_BYTES + 2 * WINDOW_BYTES as usize);

/// Bytes of input that are written at once. A pipe holds as much.
pub const INPUT_BYTES: usize = 64 << 10;

/// How often input may arrive for a process that reads nothing before the connection pauses.
pub const STUCK: u32 = 100;

/// The shortest and the longest of these pauses, in which the connection reads nothing. The second is a delay that a
/// person at another session of the connection accepts.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// Packets of output of one connection that wait to be encrypted.
pub const OUTPUT_PACKETS: usize = 32;

/// Bytes of output that are read at once. One packet of OpenSSH takes as much.
pub const OUTPUT_BYTES: usize = 32 << 10;

/// Without a sign of life from the client for so long, it is asked for one.
pub const KEEPALIVE: Duration = Duration::from_secs(60);

/// Questions without an answer before the connection is closed. A suspended laptop or a stopped client comes back
/// within ten minutes, or starts anew.
pub const KEEPALIVES: usize = 10;

/// Nothing sent or received for so long closes the connection. Longer than all keepalives: it applies to a client that
/// answers nothing because it reads nothing.
pub const INACTIVITY: Duration = Duration::from_secs(900);

const _: () = assert!(INACTIVITY.as_secs() > KEEPALIVE.as_secs() * KEEPALIVES as u64);

/// How long processes may run on after SIGHUP.
pub const HANG_UP_GRACE: Duration = Duration::from_secs(5);

/// How long processes of a command may run on after SIGHUP when the first one has ended.
pub const LEFTOVER_GRACE: Duration = Duration::from_millis(200);

/// Output of a terminal that arrives later than this after its last process is not waited for: background
/// processes keep a terminal open.
pub const TERMINAL_DRAIN: Duration = Duration::from_millis(100);

/// Variables that a client may set in one session, and the bytes of their names and values.
pub const VARIABLES: usize = 64;
/// See [`VARIABLES`].
pub const VARIABLES_BYTES: usize = 32 << 10;

/// Characters of a name that a client gives which are logged.
pub const LOGGED_CHARACTERS: usize = 64;

/// Bytes of the type of a terminal, such as `xterm-256color`.
pub const TERMINAL_KIND: usize = 64;
