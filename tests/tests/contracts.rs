//! What every implementation of a port must do, checked on each of them: what runs on AWS and what
//! runs on one machine are to differ in nothing that the control plane relies on.

#[path = "contracts/hints.rs"]
mod hints;
#[path = "contracts/machines.rs"]
mod machines;
#[path = "contracts/records.rs"]
mod records;
#[path = "contracts/table.rs"]
mod table;
#[path = "contracts/units.rs"]
mod units;
