//! How a bench fails.

use std::error::Error;

/// Whatever went wrong, as a sentence: a bench has nobody who would match on a kind.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;
