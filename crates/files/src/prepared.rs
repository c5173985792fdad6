//! A file's whole reply, as nearly everybody gets it.

use std::sync::OnceLock;

use sockeye_http::{Ready, Status};

use crate::coding::Form;
use crate::entry::{FileEntry, Held};
use crate::head::Head;

/// The reply with all of a file under its own name: made when it is first sent, and sent again as
/// long as the file is known.
#[derive(Debug, Default)]
pub(crate) struct Prepared(OnceLock<Ready>);

/// A copy of a file is made to be changed: its reply is made anew.
impl Clone for Prepared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl FileEntry {
    /// The reply with all of it; of a form that doesn't keep its content, all but that.
    pub(crate) fn ready(&self) -> &Ready {
        let make = || match self.held() {
            Held::Compressed(_) => {
                Ready::without_content(Status::OK, &self.head.fields, self.size())
            }
            Held::Memory(_) | Held::Open(_) => {
                Ready::new(Status::OK, &self.head.fields, Form::kept(self).body())
            }
        };
        self.prepared.0.get_or_init(make)
    }

    /// What is said of the file, to be changed. The reply is made anew.
    pub(crate) fn head_mut(&mut self) -> &mut Head {
        self.prepared = Prepared::default();
        &mut self.head
    }
}
