//! Answers to requests, by what is known: a file, a listing, a redirect, or why there is nothing.

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, Request, Responder, Status};
use sockeye_proto::JobKind;

use super::listing::{PendingListing, answer_head};
use super::progress::{Compression, Progress, Step};
use super::site::Site;
use crate::coding::encodings::Selection;
use crate::coding::file_entry::FileEntry;
use crate::coding::selected::Selected;
use crate::file::representation::Representation;
use crate::lookup::entry::{Entry, Target};
use crate::lookup::purpose::Purpose;
use crate::naming::path::RequestPath;
use crate::request::view::RequestView;
use crate::respond::absent;
use crate::respond::redirect::{Slash, location};
use crate::respond::send::{self, Charged};
use crate::store::absent::Absent;

impl Site {
    /// Answers what is asked, if that is known and fresh; else there is a lookup to wait for.
    pub(crate) fn answer<'r, 't>(
        &self,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        // Most paths are known, and need no decoding: then nothing in them is left to check.
        if let (Some(name), None) = (view.path().strip_prefix(b"/"), view.query()) {
            let now = responder.now();
            let mut cache = self.inner.cache.borrow_mut();
            if let Some(entry) = cache.fresh_as_sent(name, now)
                && let Target::File(_, file) = &entry.target
            {
                // Of these, most are small and have one form only.
                if file.is_all_in_memory()
                    && view.is_plain()
                    && self.cors(entry.mount).is_same_for_all()
                {
                    return Progress::Answered(responder.send_prepared(file.plain.ready()));
                }
                if let Selection::Send(form) = file.choose(view) {
                    let context = self.context(entry);
                    return Progress::Answered(send::send(
                        &form,
                        &file.plain,
                        context,
                        view,
                        responder,
                    ));
                }
            }
        }
        let mut scratch = self.inner.scratch.borrow_mut();
        match RequestPath::parse(view.path(), &mut scratch) {
            Ok(wanted) if self.is_listing(wanted, view) && !view.is_head() => {
                Progress::Listing(responder)
            }
            Ok(wanted) => self.go(wanted.key(), Purpose::Requested, view, responder),
            Err(refusal) => {
                let target = Target::Absent(Absent::Refused(refusal));
                let entry = Arc::new(Entry { mount: self.inner.mounts.root(), target });
                self.respond(b"", &entry, Purpose::Requested, view, responder)
            }
        }
    }

    /// Answers with what is known under `key`, or waits until it is.
    pub(crate) fn go<'r, 't>(
        &self,
        key: &[u8],
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let step = match self.cached(key, purpose, view, responder) {
            Ok(step) => step,
            Err(responder) => return self.look_up(key, purpose, JobKind::Lookup, view, responder),
        };
        self.follow(key, step, view)
    }

    /// Answers with `entry`, which is known under `key`, or with what comes after it.
    pub(crate) fn respond<'r, 't>(
        &self,
        key: &[u8],
        entry: &Arc<Entry>,
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        self.follow(key, self.step(entry, purpose, view, responder), view)
    }

    /// Goes on where there is another entry to look for: at most two times.
    fn follow<'r, 't>(
        &self,
        key: &[u8],
        step: Step<'r, 't>,
        view: RequestView<'_>,
    ) -> Progress<'r, 't> {
        match step {
            Step::Done(progress) => progress,
            Step::Lookup(purpose, responder) => {
                self.go(purpose.key(&self.inner.mounts), purpose, view, responder)
            }
            Step::Compress(compression, responder) => {
                self.compress(key, compression, view, responder)
            }
        }
    }

    /// Whether a listing is asked for by name, whatever page there may be.
    fn is_listing(&self, wanted: RequestPath<'_>, view: RequestView<'_>) -> bool {
        PendingListing::is_wanted(&self.inner.mounts, wanted, view.query())
    }

    /// Whether GET would be answered with a listing or an archive of the folder that `entry` was found
    /// for.
    fn is_listed(&self, entry: &Entry, view: RequestView<'_>) -> bool {
        match &entry.target {
            Target::Listing => true,
            Target::File(..) | Target::Redirect(Slash::Drop) if view.query().is_some() => {
                let mut scratch = Vec::new();
                RequestPath::parse(view.path(), &mut scratch)
                    .is_ok_and(|wanted| self.is_listing(wanted, view))
            }
            _ => false,
        }
    }

    /// Answers with what is fresh in the cache; gives the response back where nothing is.
    fn cached<'r, 't>(
        &self,
        key: &[u8],
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Result<Step<'r, 't>, Responder<'r, 't>> {
        let now = responder.now();
        let mut cache = self.inner.cache.borrow_mut();
        match cache.fresh(key, now) {
            Some(entry) => Ok(self.step(entry, purpose, view, responder)),
            None => Err(responder),
        }
    }

    /// Answers with an entry, if it is the answer and nothing is to be made of it first.
    pub(super) fn step<'r, 't>(
        &self,
        entry: &Arc<Entry>,
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'r, 't>,
    ) -> Step<'r, 't> {
        if view.is_head() && purpose == Purpose::Requested && self.is_listed(entry, view) {
            return answered(answer_head(&self.inner.mounts, view, responder));
        }
        match &entry.target {
            Target::File(_, file) => match file.choose(view) {
                Selection::Send(form) => {
                    self.note(entry, purpose, view, &responder);
                    answered(self.send_form(&form, file, entry, purpose, view, responder))
                }
                Selection::Compress(coding) => Step::Compress(
                    Compression { entry: Arc::clone(entry), purpose, coding },
                    responder,
                ),
            },
            Target::Redirect(slash) if purpose == Purpose::Requested => {
                answered(self.redirect(*slash, entry, view, responder))
            }
            Target::Listing if purpose == Purpose::Requested => {
                Step::Done(Progress::Listing(responder))
            }
            _ => match purpose.after(&self.inner.mounts, entry, view.navigates()) {
                Some(next) => Step::Lookup(next, responder),
                None => answered(self.instead(entry, purpose, view, responder)),
            },
        }
    }

    /// Answers with an entry as it is now.
    pub(super) fn finish(
        &self,
        entry: &Entry,
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        match &entry.target {
            Target::File(_, file) => {
                self.note(entry, purpose, view, &responder);
                self.send_form(&file.choose_now(view), file, entry, purpose, view, responder)
            }
            _ => self.instead(entry, purpose, view, responder),
        }
    }

    /// Answers with one form of a file: as what was asked for, or in its stead.
    fn send_form(
        &self,
        form: &Selected<'_>,
        file: &FileEntry,
        entry: &Entry,
        purpose: Purpose,
        view: RequestView<'_>,
        mut responder: Responder<'_, '_>,
    ) -> Answer {
        let context = self.context(entry);
        match purpose {
            Purpose::Requested => send::send(form, &file.plain, context, view, responder),
            Purpose::Fallback { .. } => {
                let head = |form: &Representation| Cow::Owned(absent::fallback_head(form));
                send::send_as(form, head, &file.plain, context, view, responder)
            }
            Purpose::ErrorPage { .. } => {
                let permit = match send::charge(form, context, view, &responder) {
                    Charged::Yes(permit) => permit,
                    Charged::SendPlain => {
                        let plain = Selected::kept(&file.plain);
                        return self.send_form(&plain, file, entry, purpose, view, responder);
                    }
                    Charged::No => return send::busy(context, responder),
                };
                if let Some(permit) = permit {
                    responder.hold(permit);
                }
                let fields = absent::error_page_fields(form.file);
                let fields = context.cors.grant(&fields, view.origin());
                responder.send(Status::NOT_FOUND, &fields, form.body())
            }
        }
    }

    /// Answers where there is nothing to send.
    fn instead(
        &self,
        entry: &Entry,
        purpose: Purpose,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        self.note(entry, purpose, view, &responder);
        let why = purpose.absent(entry).unwrap_or(Absent::Missing);
        let cors = self.cors(entry.mount);
        let status = absent::status(why);
        if status == Status::SERVICE_UNAVAILABLE {
            return responder.error(status, &self.inner.retry, "");
        }
        responder.error(status, &cors.grant(&cors.standing(), view.origin()), "")
    }

    /// Sends the client to the same path with a slash more, so that the relative links of the
    /// folder's page lead into the folder, or with one less, for a page.
    fn redirect(
        &self,
        slash: Slash,
        entry: &Entry,
        view: RequestView<'_>,
        responder: Responder<'_, '_>,
    ) -> Answer {
        let cors = self.cors(entry.mount);
        match location(view.path(), view.query(), slash) {
            Ok(mut fields) => {
                cors.stand_in(&mut fields);
                let fields = cors.grant(&fields, view.origin());
                responder.error(Status::MOVED_PERMANENTLY, &fields, "")
            }
            Err(_) => responder.error(Status::NOT_FOUND, &Fields::new(), ""),
        }
    }

    /// Answers to OPTIONS: to a browser that asks before its script reads, what it may, and to
    /// everybody which methods there are.
    pub(crate) fn options(&self, request: &Request<'_>, responder: Responder<'_, '_>) -> Answer {
        let mut scratch = self.inner.scratch.borrow_mut();
        let mut allowed = || {
            let (origin, _) =
                (request.field("origin")?, request.field("access-control-request-method")?);
            let wanted = RequestPath::parse(request.path(), &mut scratch).ok()?;
            let (mount, _) = self.inner.mounts.place(wanted.key())?;
            let names = request.field("access-control-request-headers");
            self.cors(Some(mount)).preflight(origin, names)
        };
        match allowed() {
            Some(fields) => responder.send(Status::NO_CONTENT, &fields, Body::Empty),
            None => self.allow(Status::NO_CONTENT, responder),
        }
    }

    /// Says which methods there are: to OPTIONS as the answer, to others as the reason.
    pub(crate) fn allow(&self, status: Status, responder: Responder<'_, '_>) -> Answer {
        responder.error(status, &self.inner.allow, "Files are only read here.")
    }

    /// Answers a method that is none of HTTP's own (RFC 9110, 9.1).
    pub(crate) fn unknown_method(&self, name: &str, responder: Responder<'_, '_>) -> Answer {
        let text = format!("Nothing here knows the method {name}. Files are only read here.");
        responder.error(Status::NOT_IMPLEMENTED, &Fields::new(), &text)
    }
}

fn answered<'r, 't>(answer: Answer) -> Step<'r, 't> {
    Step::Done(Progress::Answered(answer))
}
