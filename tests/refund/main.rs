//! The refund machine on trial: its table, and every order of events that fits in a search.

mod model;
mod table;
