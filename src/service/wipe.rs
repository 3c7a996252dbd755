//! Memory that is given back is wiped first. A payment code passes through buffers that are not ours (HTTP, TLS, JSON),
//! and none of them wipes what it held.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

/// The system's allocator, which overwrites with zeros whatever is freed, and whatever is left behind by growing. What is
/// on the stack or in use it cannot know about; SQLite has an allocator of its own, and is never given a secret.
pub struct Wiping;

// SAFETY: everything is the system allocator's own doing, called with what the caller promised it; only memory that the
// caller has given up is written to, within its layout. `realloc` is the trait's own: a new block, a copy, `dealloc`.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` has `layout`, and the caller does not use it any more.
        unsafe { block.write_bytes(0, layout.size()) };
        // Without a reader the compiler may leave the writing out.
        black_box(block);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
