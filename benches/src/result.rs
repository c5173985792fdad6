//! The type of results.

use std::error::Error;

/// An error is a sentence: nothing here distinguishes kinds of errors.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;
