//! `simulator`: the simulated gateway alone. The simulator's room knows how.

pub use crate::simulator::command::{SimulatorArgs as Simulator, run};
