//! Replaces `codec.rs` if the feature `compression` is off. [`super::encoder`] then offers no
//! encodings, so nothing here is called.

use std::io::{self, Read, Write};

use crate::options::codings::Coding;

pub(crate) fn encode(_: Coding, _: impl Read, _: usize, _: &mut impl Write) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) struct Step {
    pub(crate) consumed: usize,
    pub(crate) produced: usize,
    pub(crate) done: bool,
}

pub(crate) enum Decoder {}

impl Decoder {
    pub(crate) fn new(_: Coding) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn step(&mut self, _: &[u8], _: &mut [u8]) -> Option<Step> {
        match *self {}
    }
}
