//! The built daemon among enemies: a gateway that lies, peers that use it up, and whoever looks for its secrets.

mod deeds;
mod door;
mod gateway;
mod lies;
mod secrets;
mod shop;
mod threads;
