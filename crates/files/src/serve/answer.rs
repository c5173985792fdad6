//! Answers to requests, by what is known: a file, a listing, a redirect, or why there is nothing.

use std::borrow::Cow;
use std::sync::Arc;

use sockeye_http::{Answer, Body, Fields, Request, Responder, Status};
use sockeye_proto::JobKind;

use super::listing::{PendingListing, answer_head};
use super::progress::{Compression, Progress, Step};
use super::site::Site;
use crate::coding::coded::Choice;
use crate::coding::file_entry::FileEntry;
use crate::coding::form::Form;
use crate::file::representation::Representation;
use crate::lookup::entry::{Entry, What};
use crate::lookup::stage::Stage;
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
        asked: RequestView<'_>,
        reply: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        // Most paths are known, and need no decoding: then nothing in them is left to check.
        if let (Some(name), None) = (asked.path().strip_prefix(b"/"), asked.query()) {
            let now = reply.now();
            let mut cache = self.inner.cache.borrow_mut();
            if let Some(entry) = cache.good_as_sent(name, now)
                && let What::File(_, file) = &entry.what
            {
                // Of these, most are small and have one form only.
                if file.is_all_in_memory()
                    && asked.is_plain()
                    && self.cors(entry.mount).is_same_for_all()
                {
                    return Progress::Answered(reply.send_prepared(file.plain.ready()));
                }
                if let Choice::Send(form) = file.choose(asked) {
                    let context = self.context(entry);
                    return Progress::Answered(send::send(
                        &form,
                        &file.plain,
                        context,
                        asked,
                        reply,
                    ));
                }
            }
        }
        let mut scratch = self.inner.scratch.borrow_mut();
        match RequestPath::parse(asked.path(), &mut scratch) {
            Ok(wanted) if self.is_listing(wanted, asked) && !asked.is_head() => {
                Progress::Listing(reply)
            }
            Ok(wanted) => self.go(wanted.key(), Stage::Requested, asked, reply),
            Err(refusal) => {
                let what = What::Absent(Absent::Refused(refusal));
                let entry = Arc::new(Entry { mount: self.inner.mounts.root(), what });
                self.respond(b"", &entry, Stage::Requested, asked, reply)
            }
        }
    }

    /// Answers with what is known under `key`, or waits until it is.
    pub(crate) fn go<'r, 't>(
        &self,
        key: &[u8],
        stage: Stage,
        asked: RequestView<'_>,
        reply: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        let step = match self.cached(key, stage, asked, reply) {
            Ok(step) => step,
            Err(reply) => return self.look_up(key, stage, JobKind::Lookup, asked, reply),
        };
        self.follow(key, step, asked)
    }

    /// Answers with `entry`, which is known under `key`, or with what comes after it.
    pub(crate) fn respond<'r, 't>(
        &self,
        key: &[u8],
        entry: &Arc<Entry>,
        stage: Stage,
        asked: RequestView<'_>,
        reply: Responder<'r, 't>,
    ) -> Progress<'r, 't> {
        self.follow(key, self.step(entry, stage, asked, reply), asked)
    }

    /// Goes on where there is another entry to look for: at most two times.
    fn follow<'r, 't>(
        &self,
        key: &[u8],
        step: Step<'r, 't>,
        asked: RequestView<'_>,
    ) -> Progress<'r, 't> {
        match step {
            Step::Done(progress) => progress,
            Step::Lookup(stage, reply) => {
                self.go(stage.key(&self.inner.mounts), stage, asked, reply)
            }
            Step::Compress(compression, reply) => self.compress(key, compression, asked, reply),
        }
    }

    /// Whether a listing is asked for by name, whatever page there may be.
    fn is_listing(&self, wanted: RequestPath<'_>, asked: RequestView<'_>) -> bool {
        PendingListing::is_wanted(&self.inner.mounts, wanted, asked.query())
    }

    /// Whether GET would be answered with a listing or an archive of the folder that `entry` was found
    /// for.
    fn is_listed(&self, entry: &Entry, asked: RequestView<'_>) -> bool {
        match &entry.what {
            What::Listing => true,
            What::File(..) | What::Redirect(Slash::Drop) if asked.query().is_some() => {
                let mut scratch = Vec::new();
                RequestPath::parse(asked.path(), &mut scratch)
                    .is_ok_and(|wanted| self.is_listing(wanted, asked))
            }
            _ => false,
        }
    }

    /// Answers with what is fresh in the cache; gives the response back where nothing is.
    fn cached<'r, 't>(
        &self,
        key: &[u8],
        stage: Stage,
        asked: RequestView<'_>,
        reply: Responder<'r, 't>,
    ) -> Result<Step<'r, 't>, Responder<'r, 't>> {
        let now = reply.now();
        let mut cache = self.inner.cache.borrow_mut();
        match cache.good(key, now) {
            Some(entry) => Ok(self.step(entry, stage, asked, reply)),
            None => Err(reply),
        }
    }

    /// Answers with an entry, if it is the answer and nothing is to be made of it first.
    pub(super) fn step<'r, 't>(
        &self,
        entry: &Arc<Entry>,
        stage: Stage,
        asked: RequestView<'_>,
        reply: Responder<'r, 't>,
    ) -> Step<'r, 't> {
        if asked.is_head() && stage == Stage::Requested && self.is_listed(entry, asked) {
            return answered(answer_head(&self.inner.mounts, asked, reply));
        }
        match &entry.what {
            What::File(_, file) => match file.choose(asked) {
                Choice::Send(form) => {
                    self.note(entry, stage, asked, &reply);
                    answered(self.send_form(&form, file, entry, stage, asked, reply))
                }
                Choice::Compress(coding) => {
                    Step::Compress(Compression { entry: Arc::clone(entry), stage, coding }, reply)
                }
            },
            What::Redirect(slash) if stage == Stage::Requested => {
                answered(self.redirect(*slash, entry, asked, reply))
            }
            What::Listing if stage == Stage::Requested => Step::Done(Progress::Listing(reply)),
            _ => match stage.after(&self.inner.mounts, entry, asked.navigates()) {
                Some(next) => Step::Lookup(next, reply),
                None => answered(self.instead(entry, stage, asked, reply)),
            },
        }
    }

    /// Answers with an entry as it is now.
    pub(super) fn finish(
        &self,
        entry: &Entry,
        stage: Stage,
        asked: RequestView<'_>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        match &entry.what {
            What::File(_, file) => {
                self.note(entry, stage, asked, &reply);
                self.send_form(&file.choose_now(asked), file, entry, stage, asked, reply)
            }
            _ => self.instead(entry, stage, asked, reply),
        }
    }

    /// Answers with one form of a file: as what was asked for, or in its stead.
    fn send_form(
        &self,
        form: &Form<'_>,
        file: &FileEntry,
        entry: &Entry,
        stage: Stage,
        asked: RequestView<'_>,
        mut reply: Responder<'_, '_>,
    ) -> Answer {
        let context = self.context(entry);
        match stage {
            Stage::Requested => send::send(form, &file.plain, context, asked, reply),
            Stage::Fallback { .. } => {
                let head = |form: &Representation| Cow::Owned(absent::fallback_head(form));
                send::send_as(form, head, &file.plain, context, asked, reply)
            }
            Stage::ErrorPage { .. } => {
                let permit = match send::charge(form, context, asked, &reply) {
                    Charged::Yes(permit) => permit,
                    Charged::SendPlain => {
                        let plain = Form::kept(&file.plain);
                        return self.send_form(&plain, file, entry, stage, asked, reply);
                    }
                    Charged::No => return send::busy(context, reply),
                };
                if let Some(permit) = permit {
                    reply.hold(permit);
                }
                let fields = absent::error_page_fields(form.file);
                let fields = context.cors.grant(&fields, asked.origin());
                reply.send(Status::NOT_FOUND, &fields, form.body())
            }
        }
    }

    /// Answers where there is nothing to send.
    fn instead(
        &self,
        entry: &Entry,
        stage: Stage,
        asked: RequestView<'_>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        self.note(entry, stage, asked, &reply);
        let why = stage.absent(entry).unwrap_or(Absent::Missing);
        let cors = self.cors(entry.mount);
        let status = absent::status(why);
        if status == Status::SERVICE_UNAVAILABLE {
            return reply.error(status, &self.inner.retry, "");
        }
        reply.error(status, &cors.grant(&cors.standing(), asked.origin()), "")
    }

    /// Sends the client to the same path with a slash more, so that the relative links of the
    /// folder's page lead into the folder, or with one less, for a page.
    fn redirect(
        &self,
        slash: Slash,
        entry: &Entry,
        asked: RequestView<'_>,
        reply: Responder<'_, '_>,
    ) -> Answer {
        let cors = self.cors(entry.mount);
        match location(asked.path(), asked.query(), slash) {
            Ok(mut fields) => {
                cors.stand_in(&mut fields);
                let fields = cors.grant(&fields, asked.origin());
                reply.error(Status::MOVED_PERMANENTLY, &fields, "")
            }
            Err(_) => reply.error(Status::NOT_FOUND, &Fields::new(), ""),
        }
    }

    /// Answers to OPTIONS: to a browser that asks before its script reads, what it may, and to
    /// everybody which methods there are.
    pub(crate) fn options(&self, request: &Request<'_>, reply: Responder<'_, '_>) -> Answer {
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
            Some(fields) => reply.send(Status::NO_CONTENT, &fields, Body::Empty),
            None => self.allow(Status::NO_CONTENT, reply),
        }
    }

    /// Says which methods there are: to OPTIONS as the answer, to others as the reason.
    pub(crate) fn allow(&self, status: Status, reply: Responder<'_, '_>) -> Answer {
        reply.error(status, &self.inner.allow, "Files are only read here.")
    }

    /// Answers a method that is none of HTTP's own (RFC 9110, 9.1).
    pub(crate) fn unknown_method(&self, name: &str, reply: Responder<'_, '_>) -> Answer {
        let text = format!("Nothing here knows the method {name}. Files are only read here.");
        reply.error(Status::NOT_IMPLEMENTED, &Fields::new(), &text)
    }
}

fn answered<'r, 't>(answer: Answer) -> Step<'r, 't> {
    Step::Done(Progress::Answered(answer))
}
