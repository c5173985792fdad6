//! The encodings of one file: precompressed files beside it, and what the server compresses on
//! demand.

use std::sync::Arc;

use super::precompressed::Precompressed;
use super::select::{Offer, select};
use crate::file::representation::Representation;
use crate::options::codings::Coding;
use crate::request::accept_encoding::Accepted;

/// The representations of a file besides the file itself.
#[derive(Clone, Debug)]
pub(crate) struct Encodings {
    pub(crate) precompressed: Precompressed,
    pub(crate) on_demand: [OnDemand; Coding::ALL.len()],
}

/// The state of compressing a file on demand with one coding.
#[derive(Clone, Debug)]
pub(crate) enum OnDemand {
    /// The coding is off, or the file is not worth compressing.
    Disabled,
    /// The coding is on, but the file was not compressed with it yet.
    NotCompressed,
    /// The file was compressed. The cache may have dropped the content since.
    Compressed(Arc<Representation>),
}

impl Encodings {
    /// `on_demand` says for each coding whether the file may be compressed with it.
    pub(crate) fn new(precompressed: Precompressed, on_demand: [bool; Coding::ALL.len()]) -> Self {
        let on_demand = on_demand
            .map(|enabled| if enabled { OnDemand::NotCompressed } else { OnDemand::Disabled });
        Self { precompressed, on_demand }
    }

    /// Whether responses depend on `Accept-Encoding`, now or later.
    pub(crate) fn needs_vary(&self) -> bool {
        let is_enabled = |encoding: &OnDemand| !matches!(encoding, OnDemand::Disabled);
        self.precompressed.any_exists || self.on_demand.iter().any(is_enabled)
    }

    /// Selects a coding, or `None` to send the file as it is. The coding is returned with its
    /// precompressed file (`Ok`) or, if there is none, with its [`OnDemand`] state (`Err`).
    ///
    /// Content that is compressed on demand is never sent in ranges: a client that resumes a
    /// download later should get the same content, and most clients that request ranges (of videos,
    /// of documents) need the bytes of the file. A precompressed file keeps its bytes and its
    /// ETag, so it is sent in ranges to clients that accept its coding.
    pub(crate) fn select(
        &self,
        accepted: Accepted,
        is_range: bool,
    ) -> Option<(Coding, Result<&Representation, &OnDemand>)> {
        let offers = Coding::ALL.map(|coding| {
            match (self.precompressed.get(coding), &self.on_demand[coding as usize]) {
                (Some(file), _) => Offer::Precompressed(file.size()),
                (None, OnDemand::NotCompressed | OnDemand::Compressed(_)) if !is_range => {
                    Offer::OnDemand
                }
                (None, _) => Offer::None,
            }
        });
        let coding = select(accepted, offers)?;
        let on_demand = &self.on_demand[coding as usize];
        Some((coding, self.precompressed.get(coding).ok_or(on_demand)))
    }

    /// Adds the result of compressing the file. `None`: compressing saved too little. Then no other
    /// coding is tried, since none would do much better.
    pub(crate) fn add(&mut self, coding: Coding, compressed: Option<Representation>) {
        match compressed {
            Some(compressed) => {
                self.on_demand[coding as usize] = OnDemand::Compressed(Arc::new(compressed));
            }
            None => {
                for encoding in &mut self.on_demand {
                    if matches!(encoding, OnDemand::NotCompressed) {
                        *encoding = OnDemand::Disabled;
                    }
                }
            }
        }
    }

    /// All representations besides the file itself.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Representation> {
        let compressed = self.on_demand.iter().filter_map(|encoding| match encoding {
            OnDemand::Compressed(compressed) => Some(&**compressed),
            OnDemand::Disabled | OnDemand::NotCompressed => None,
        });
        self.precompressed.all().chain(compressed)
    }
}
