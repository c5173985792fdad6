//! What is served, and how: folders at their places.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use sockeye::files::{
    BadMount, BudgetLimits, Budgets, Cors, Folder, Headers, Mounts, OpenError, Options,
};

use crate::args;
use crate::error::{Error, OrExit, is_wrong_path};

/// Folders at their places.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) mounts: Mounts,
    /// What the folders may hold together.
    pub(crate) budgets: Arc<Budgets>,
    /// The same, for people, in the order in which they were typed.
    pub(crate) places: Vec<Place>,
    /// Folders without a page of their own are listed.
    pub(crate) listing: bool,
    /// They can be downloaded whole.
    pub(crate) archives: bool,
}

/// A folder, or a single file, at its place.
#[derive(Debug)]
pub(crate) struct Place {
    /// With a slash in front.
    pub(crate) prefix: String,
    /// As an absolute path.
    pub(crate) path: PathBuf,
    pub(crate) folder: Folder,
}

impl Content {
    /// Opens the folders.
    ///
    /// # Errors
    ///
    /// When one is not to be had, or two are to be at the same place.
    pub(super) fn of(typed: args::Content) -> Result<Self, Error> {
        let options = options(&typed).or_usage()?;
        let compressed = typed.compress_memory.0 as u64;
        let limits = BudgetLimits { compressed, ..BudgetLimits::default() };
        let budgets = Budgets::new(limits);
        let (listing, archives) = (typed.listing, typed.listing && !typed.no_archives);
        let (mut mounts, mut places) = (Mounts::new(), Vec::<Place>::new());
        for typed in typed.folders {
            let (prefix, path) = split(typed).or_usage()?;
            let folder =
                Folder::open(&path).map_err(explain)?.with(options.clone()).sharing(&budgets);
            let path = std::path::absolute(&path).context("cannot tell where we are");
            let path = path.or_failure()?;
            let mounted = mounts.at(&prefix, folder.clone());
            mounts = mounted.map_err(|error| taken(error, &path)).or_usage()?;
            places.push(Place { prefix, path, folder });
        }
        Ok(Self { mounts, budgets, places, listing, archives })
    }

    /// What is served at `/`, if something is.
    pub(crate) fn root(&self) -> Option<&Place> {
        self.places.iter().find(|place| place.prefix == "/")
    }
}

/// `PREFIX=FOLDER`, or a folder at `/`. What begins with a slash is a prefix where an `=` follows,
/// unless all of it is there on disk.
fn split(typed: OsString) -> anyhow::Result<(String, PathBuf)> {
    if typed.is_empty() {
        bail!("a folder's name is empty: . is the current folder");
    }
    let bytes = typed.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|_| bytes.starts_with(b"/"));
    let Some(at) = at.filter(|_| !Path::new(&typed).exists()) else {
        return Ok(("/".into(), typed.into()));
    };
    let prefix = OsStr::from_bytes(&bytes[..at]);
    let prefix = prefix.to_str().ok_or_else(|| anyhow!("{prefix:?} is not UTF-8"))?;
    let path = OsString::from_vec(bytes[at + 1..].to_vec());
    if path.is_empty() {
        bail!("a folder is missing behind '{prefix}=': {prefix}=./folder");
    }
    // As it is shown: /docs, whatever was typed.
    let prefix = format!("/{}", prefix.trim_matches('/'));
    Ok((prefix, path.into()))
}

fn taken(error: BadMount, path: &Path) -> anyhow::Error {
    match error {
        BadMount::Taken(prefix) if prefix == "/" => {
            let name = path.file_name().map_or("name".into(), OsStr::to_string_lossy);
            anyhow!(
                "two folders can't both be served at /: give {} a path of its own, as /{name}={}",
                path.display(),
                path.display()
            )
        }
        other => other.into(),
    }
}

/// How folders are answered for.
fn options(typed: &args::Content) -> anyhow::Result<Options> {
    let mut options = Options {
        clean_urls: !typed.no_clean_urls,
        spa: typed.spa,
        listing: typed.listing,
        archives: !typed.no_archives,
        cors: Cors::origins(typed.cors.iter().map(|origin| &*origin.0))?,
        hashed_up_to: typed.hash_up_to.0 as u64,
        ..Options::default()
    };
    for rule in &typed.cache_control {
        options.caching.add(&rule.0.pattern, &rule.0.value)?;
    }
    for rule in &typed.content_type {
        options.content_types.add(&rule.0.pattern, &rule.0.value)?;
    }
    if typed.no_security_headers {
        options.headers = Headers::none();
    }
    for rule in &typed.header {
        match &rule.value {
            Some(value) => options.headers.set(&rule.name, value)?,
            None => options.headers.remove(&rule.name),
        }
    }
    options.codings.precompressed = !typed.no_precompressed;
    options.codings.on_demand = typed.compress.iter().filter_map(|coding| coding.0).collect();
    if options.codings.on_demand.len() != typed.compress.len() && typed.compress.len() > 1 {
        bail!("--compress none stands alone: with it nothing is compressed");
    }
    Ok(options)
}

/// Why a path can't be served, and what there is instead.
fn explain(error: OpenError) -> Error {
    // It says its own source.
    let why = anyhow!("{error}");
    match error {
        OpenError::NotFound(path) => Error::Usage(match nearest_parent(&path) {
            Some(parent) => {
                anyhow!("{why}; the nearest folder that exists is {}", parent.display())
            }
            None => why,
        }),
        OpenError::NotServable(_) => Error::Usage(why),
        OpenError::Failed(_, source) if is_wrong_path(&source) => Error::Usage(why),
        _ => Error::Failure(why),
    }
}

fn nearest_parent(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().skip(1).find(|parent| parent.is_dir()).map(Path::to_owned)
}
