//! The API as its clients meet it: the real router over a small shop that keeps sales in memory.

mod door;
mod events;
mod fuzz;
mod guard;
mod openapi;
mod payments;
mod receipts;
mod refunds;
mod shop;
