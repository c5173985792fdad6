//! Stands in for `codec` where the feature `compression` is off. No file is offered in a coding then
//! ([`super::encoder`]), so nothing of this is called.

use std::io::{self, Read, Write};

use crate::options::codings::Coding;

pub(super) fn encode(_: Coding, _: impl Read, _: usize, _: &mut impl Write) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) struct Step {
    pub(super) used: usize,
    pub(super) made: usize,
    pub(super) done: bool,
}

/// There is none.
pub(super) enum Decoder {}

impl Decoder {
    pub(super) fn new(_: Coding) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn step(&mut self, _: &[u8], _: &mut [u8]) -> Option<Step> {
        match *self {}
    }
}
