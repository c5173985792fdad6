//! Compiles and runs the Rust code of `docs/library.md` and the README as documentation tests, and
//! only compiles code that is marked `no_run`. Other crates can't include these pages: their
//! packages don't contain them.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Library;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
