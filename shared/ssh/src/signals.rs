//! The signals of the protocol (RFC 4254, section 6.10), and those of the operating system.

use russh::Sig;
use rustix::process::Signal as SystemSignal;

/// The signals that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the names of the signals")]
pub enum Signal {
    Abort,
    Alarm,
    FloatingPoint,
    HangUp,
    Illegal,
    Interrupt,
    Kill,
    Pipe,
    Quit,
    SegmentationFault,
    Terminate,
    User1,
    User2,
}

/// Names of signals in the protocol.
const NAMES: &[(&str, SystemSignal)] = &[
    ("ABRT", SystemSignal::ABORT),
    ("ALRM", SystemSignal::ALARM),
    ("FPE", SystemSignal::FPE),
    ("HUP", SystemSignal::HUP),
    ("ILL", SystemSignal::ILL),
    ("INT", SystemSignal::INT),
    ("KILL", SystemSignal::KILL),
    ("PIPE", SystemSignal::PIPE),
    ("QUIT", SystemSignal::QUIT),
    ("SEGV", SystemSignal::SEGV),
    ("TERM", SystemSignal::TERM),
    ("USR1", SystemSignal::USR1),
    ("USR2", SystemSignal::USR2),
];

impl Signal {
    /// The signal that a client has named.
    pub(crate) fn of(name: &Sig) -> Option<Self> {
        Some(match name {
            Sig::ABRT => Self::Abort,
            Sig::ALRM => Self::Alarm,
            Sig::FPE => Self::FloatingPoint,
            Sig::HUP => Self::HangUp,
            Sig::ILL => Self::Illegal,
            Sig::INT => Self::Interrupt,
            Sig::KILL => Self::Kill,
            Sig::PIPE => Self::Pipe,
            Sig::QUIT => Self::Quit,
            Sig::SEGV => Self::SegmentationFault,
            Sig::TERM => Self::Terminate,
            Sig::USR1 => Self::User1,
            Sig::Custom(name) if name == "USR2" => Self::User2,
            Sig::Custom(_) => return None,
        })
    }

    /// The signal in the operating system.
    pub(crate) fn of_system(self) -> SystemSignal {
        match self {
            Self::Abort => SystemSignal::ABORT,
            Self::Alarm => SystemSignal::ALARM,
            Self::FloatingPoint => SystemSignal::FPE,
            Self::HangUp => SystemSignal::HUP,
            Self::Illegal => SystemSignal::ILL,
            Self::Interrupt => SystemSignal::INT,
            Self::Kill => SystemSignal::KILL,
            Self::Pipe => SystemSignal::PIPE,
            Self::Quit => SystemSignal::QUIT,
            Self::SegmentationFault => SystemSignal::SEGV,
            Self::Terminate => SystemSignal::TERM,
            Self::User1 => SystemSignal::USR1,
            Self::User2 => SystemSignal::USR2,
        }
    }

    /// Its number in this operating system.
    pub fn number(self) -> i32 {
        self.of_system().as_raw()
    }
}

/// The name of a signal in the protocol. Others than the known ones have a name with an `@`, as it demands.
pub fn name_of(number: i32) -> Sig {
    let known = NAMES.iter().find(|(_, signal)| signal.as_raw() == number);
    Sig::Custom(known.map_or_else(|| format!("{number}@linux"), |(name, _)| (*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_numbers_and_names_of_the_system() {
        let name = |number| match name_of(number) {
            Sig::Custom(name) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(Signal::of(&Sig::TERM).map(Signal::number), Some(15));
        assert_eq!(name(15), "TERM");
        assert_eq!(Signal::of(&Sig::Custom("USR2".into())).map(Signal::number), Some(12));
        assert_eq!(name(12), "USR2");
        assert_eq!(Signal::of(&Sig::Custom("WINCH".into())), None);
        assert_eq!(name(31), "31@linux");
    }
}
