//! Compiles the Rust code of `docs/library.md` and the README, and runs its tests, as documentation
//! tests. Other crates can't include these pages: their packages don't contain them.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Library;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
