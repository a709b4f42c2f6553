//! States as pages show them: an icon, a word and a colour, never the colour alone.

/// How a state looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The class of its colour.
    pub(crate) class: &'static str,
    /// The path of its icon in a box of 16 by 16.
    pub(crate) icon: &'static str,
    pub(crate) word: &'static str,
}

const CIRCLE: &str = "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11";
const CLOCK: &str = "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M8 5v3.2l2 1.6";
const PLAY: &str = "M5 3.5v9l7.5-4.5z";
const STOP: &str = "M4.5 4.5h7v7h-7z";
const CHECK: &str = "M3.5 8.5l3 3l6-7";
const CROSS: &str = "M4 4l8 8M12 4l-8 8";
const WARNING: &str = "M8 2.5l6 11h-12zM8 6.5v3M8 11.4v.2";
const DOTS: &str = "M3.5 8h.01M8 8h.01M12.5 8h.01";
const LEAVE: &str = "M3.5 8h8M8.5 5l3 3l-3 3";

/// The states of jobs, nodes, clusters and operations, in one table.
const LOOKS: &[(&str, Look)] = &[
    ("queued", Look { class: "waits", icon: CLOCK, word: "queued" }),
    ("running", Look { class: "works", icon: PLAY, word: "running" }),
    ("terminating", Look { class: "warns", icon: STOP, word: "terminating" }),
    ("succeeded", Look { class: "good", icon: CHECK, word: "succeeded" }),
    ("failed", Look { class: "bad", icon: CROSS, word: "failed" }),
    ("idle", Look { class: "calm", icon: CIRCLE, word: "idle" }),
    ("launching", Look { class: "waits", icon: DOTS, word: "launching" }),
    ("preparing", Look { class: "waits", icon: DOTS, word: "preparing" }),
    ("leaving", Look { class: "warns", icon: LEAVE, word: "leaving" }),
    ("unusable", Look { class: "bad", icon: WARNING, word: "unusable" }),
    ("steady", Look { class: "calm", icon: CHECK, word: "steady" }),
    ("resizing", Look { class: "works", icon: DOTS, word: "resizing" }),
    ("creating", Look { class: "works", icon: DOTS, word: "creating" }),
    ("deleting", Look { class: "warns", icon: LEAVE, word: "deleting" }),
    ("terminated", Look { class: "warns", icon: STOP, word: "terminated" }),
    ("requested", Look { class: "waits", icon: DOTS, word: "requested" }),
    ("ready", Look { class: "good", icon: CHECK, word: "ready" }),
    ("removed", Look { class: "calm", icon: LEAVE, word: "removed" }),
    ("lost", Look { class: "warns", icon: WARNING, word: "node lost" }),
    ("interrupted", Look { class: "warns", icon: WARNING, word: "interrupted" }),
];

const UNKNOWN: Look = Look { class: "calm", icon: CIRCLE, word: "unknown" };

/// The look of a state; in any case.
pub(crate) fn look(state: &str) -> Look {
    let found = LOOKS.iter().find(|(name, _)| name.eq_ignore_ascii_case(state));
    found.map_or(UNKNOWN, |(_, look)| *look)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_word() {
        for (name, look) in LOOKS {
            assert_eq!(super::look(name), *look, "{name}");
        }
        assert_eq!(look("Succeeded").word, "succeeded");
        assert_eq!(look("a new one").word, "unknown");
    }
}
