//! The printer room from outside: real bytes, read back by an interpreter that was written from the command reference.

mod coverage;
mod jobs;
mod machine;
mod paper;
mod probe;
mod servers;
mod settings;
mod tempers;
mod torn;

mod weather;
mod world;
