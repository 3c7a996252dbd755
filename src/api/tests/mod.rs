//! The API as its clients meet it: the real router over a small shop that keeps sales in memory.

mod events;
mod payments;
mod receipts;
mod shop;
