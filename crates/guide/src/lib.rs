//! Compiles the Rust code of `docs/library.md`, and runs its tests, as documentation tests. Other
//! crates can't include the page: their packages don't contain it.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Library;
