//! The script of pages that reload after changes, at a path that no file can have.

use sockeye_http::{Answer, Body, Fields, Responder, Status};

use super::site::Site;
use crate::file::head::REVALIDATE;
use crate::live::page::{SCRIPT, SCRIPT_PATH};
use crate::options::fields::with;
use crate::request::view::RequestView;

impl Site {
    /// Answers a request for the script. Returns the responder if the path is another one, or if
    /// pages don't reload.
    pub(super) fn answer_live<'r, 't>(
        &self,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Result<Answer, Responder<'r, 't>> {
        match &self.inner.live {
            Some(_) if view.path() == SCRIPT_PATH.as_bytes() => {
                let fields = [
                    ("Content-Type", "text/javascript; charset=utf-8"),
                    ("X-Content-Type-Options", "nosniff"),
                    ("Cache-Control", REVALIDATE),
                ];
                let fields = fields.into_iter();
                let fields =
                    fields.fold(Fields::new(), |all, (name, value)| with(all, name, value));
                Ok(responder.send(Status::OK, &fields, Body::Copied(SCRIPT.as_bytes())))
            }
            _ => Err(responder),
        }
    }
}
