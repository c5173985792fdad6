//! Compiles and runs the Rust code of `docs/library.md` and the README as documentation tests, and
//! only compiles code that is marked `no_run`. Published crates can't include these pages, since a
//! crate's package has only files of its own folder. This crate is not published.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Library;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
