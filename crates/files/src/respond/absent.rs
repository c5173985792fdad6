//! Responses where there is nothing of what was asked for: their status, and the fields of a page that
//! is sent instead.

use sockeye_http::{Fields, Status};

use crate::file::fields::{with, without};
use crate::file::head::{ASK_AGAIN, Head};
use crate::file::representation::Representation;
use crate::naming::path::Refusal;
use crate::request::view::NAVIGATES;
use crate::store::absent::Absent;

/// The status that tells why there is nothing, without telling too much.
pub(crate) fn status(absent: Absent) -> Status {
    match absent {
        Absent::Missing
        | Absent::NoIndex
        | Absent::NotAFolder
        | Absent::Outside
        | Absent::Hidden
        | Absent::Link
        | Absent::NotRegular(_)
        | Absent::Unmounted => Status::NOT_FOUND,
        Absent::Refused(refusal) if !Refusal::is_malformed(refusal) => Status::NOT_FOUND,
        Absent::Refused(_) => Status::BAD_REQUEST,
        Absent::Denied(_) => Status::FORBIDDEN,
        Absent::Changing
        | Absent::Exhausted
        | Absent::TooManyOpenFiles(_)
        | Absent::ClosingHangs => Status::SERVICE_UNAVAILABLE,
        Absent::Failed(_) | Absent::Forbidden(_) => Status::INTERNAL_SERVER_ERROR,
    }
}

/// What is said of a folder's own page where it stands for one that isn't there: others, who want
/// no page, get another answer, and tomorrow there may be one.
pub(crate) fn fallback_head(file: &Representation) -> Head {
    let fallback = |fields| with(asked_again(fields), "Vary", NAVIGATES);
    Head { fields: fallback(&file.head.fields), not_modified: fallback(&file.head.not_modified) }
}

/// The fields of a page that says that there is nothing. Its tag and its date would speak of what
/// there isn't.
pub(crate) fn error_page_fields(file: &Representation) -> Fields {
    let fields = without(&file.head.fields, &["ETag", "Last-Modified", "Accept-Ranges"]);
    asked_again(&fields)
}

/// Fields of a response that isn't what was asked for: however long the file itself is kept, this is
/// asked for again.
fn asked_again(fields: &Fields) -> Fields {
    with(without(fields, &["Cache-Control"]), "Cache-Control", ASK_AGAIN)
}
