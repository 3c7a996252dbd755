//! The payment machine on trial: its table, its stories, its weather, and every order of events that fits in a search.

mod model;
mod stories;
mod transitions;
mod weather;
mod words;
