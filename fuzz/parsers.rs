//! The fuzzer: one program for every parser of bytes from outside. `PROPERTY` says which (the names of `corpus/`).
#![no_main]

use std::sync::LazyLock;

mod properties;

static HOLDS: LazyLock<properties::Property> = LazyLock::new(|| {
    let wanted = std::env::var("PROPERTY").unwrap_or_default();
    let found = properties::ALL.iter().find(|(name, _)| *name == wanted);
    let (_, holds) = found.unwrap_or_else(|| {
        let names: Vec<_> = properties::ALL.iter().map(|(name, _)| *name).collect();
        panic!("PROPERTY is {wanted:?}, expected one of {}", names.join(", "))
    });
    *holds
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| HOLDS(data));
