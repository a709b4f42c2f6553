//! The agent as a whole: the real program, real processes, and a control plane that follows a script.

mod ends;
mod gangs;
mod interruptions;
mod jobs;
mod lines;
mod pace;
mod restarts;
mod setups;
mod support;
