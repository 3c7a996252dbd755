//! The simulated gateway over its own sockets: as strict as the real one, and as unreliable as it is told to be.

mod life;
mod lines;
mod rig;
mod strict;
mod weather;
mod world;
