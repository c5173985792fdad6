//! The plan of the folders to serve: opens them and applies the flags.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use sockeye::files::{
    BadMount, BudgetLimits, Budgets, Cors, Disk, Folder, Headers, Live, Mounts, OpenError, Options,
};

use super::Listing;
use crate::error::{Error, OrUsage, is_wrong_path};
use crate::{args, text, watch};

/// The opened folders.
#[derive(Debug)]
pub(crate) struct Folders {
    /// The folders by URL prefix.
    pub(crate) mounts: Mounts,
    /// Limits on resources, shared by all folders.
    pub(crate) budgets: Arc<Budgets>,
    /// The folders in the order of the command line.
    pub(crate) mounted: Vec<MountedFolder>,
    pub(crate) listing: Listing,
    /// Whether folders can be downloaded as archives.
    pub(crate) archives: bool,
    /// Further folders into which symbolic links may lead.
    pub(crate) links_into: Vec<PathBuf>,
    /// With `--live`: tells open pages which files have changed.
    pub(crate) live: Option<Arc<Live>>,
}

/// A folder, or a single file, with its URL prefix.
#[derive(Debug)]
pub(crate) struct MountedFolder {
    /// The URL prefix, which starts with a slash.
    pub(crate) prefix: String,
    /// The absolute path of the folder or file, without a slash at the end.
    pub(crate) path: PathBuf,
    pub(crate) folder: Folder,
}

impl Folders {
    /// Opens the folders.
    ///
    /// # Errors
    ///
    /// A flag has an invalid value, a folder can't be opened, or two folders have the same prefix.
    pub(crate) fn of(flags: args::FolderArgs, listing: Listing) -> Result<Self, Error> {
        let options = options(&flags, listing).or_usage()?;
        let compressed = flags.compress_memory.bytes();
        let budgets = Budgets::new(BudgetLimits { compressed, ..BudgetLimits::default() });
        let archives = listing.is_on() && !flags.no_archives;
        let live = flags.live.then(Live::new);
        let (mut mounts, mut mounted) = (Mounts::new(), Vec::<MountedFolder>::new());
        for argument in flags.folders {
            let (prefix, path) = split(argument).or_usage()?;
            let folder = Folder::new(open(&path, &flags.links_into)?);
            let mut folder = folder.with_options(options.clone()).with_budgets(&budgets);
            if let Some(live) = &live {
                folder = folder.with_live(live);
            }
            let path = std::path::absolute(&path).context("cannot find the current folder")?;
            // Removes a slash at the end.
            let path: PathBuf = path.components().collect();
            let result = mounts.at(&prefix, folder.clone());
            mounts = result.map_err(|error| bad_mount(error, &path)).or_usage()?;
            mounted.push(MountedFolder { prefix, path, folder });
        }
        let links_into = flags.links_into;
        Ok(Self { mounts, budgets, mounted, listing, archives, links_into, live })
    }

    /// With `--live`, starts to watch the folders for changes, so that pages reload.
    ///
    /// # Errors
    ///
    /// Those of [`watch::start`].
    pub(crate) fn watch(&self) -> anyhow::Result<()> {
        let Some(live) = &self.live else { return Ok(()) };
        let root = |mounted: &MountedFolder| watch::Root {
            path: mounted.path.clone(),
            prefix: mounted.prefix.clone(),
            is_file: mounted.folder.is_file(),
            links_into: self.links_into.clone(),
        };
        watch::start(self.mounted.iter().map(root).collect(), Arc::clone(live))
    }

    /// The folder or file that is served at `/`.
    pub(crate) fn root(&self) -> Option<&MountedFolder> {
        self.mounted.iter().find(|mounted| mounted.prefix == "/")
    }
}

/// Opens a folder or file. Symbolic links in it may also lead into the folders `links_into`.
fn open(path: &Path, links_into: &[PathBuf]) -> Result<Disk, Error> {
    let disk = Disk::open(path).map_err(not_servable)?;
    links_into
        .iter()
        .try_fold(disk, Disk::links_into)
        .map_err(|error| not_servable(error).of_flag("--links-into"))
}

/// Splits `PREFIX=FOLDER`, where the prefix starts with a slash. If the whole argument is an
/// existing path, or has no prefix, it is a folder for `/`.
fn split(argument: OsString) -> anyhow::Result<(String, PathBuf)> {
    if argument.is_empty() {
        bail!("the name of a folder is empty; . is the current folder");
    }
    let bytes = argument.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|_| bytes.starts_with(b"/"));
    let Some(at) = at.filter(|_| !Path::new(&argument).exists()) else {
        return Ok(("/".into(), argument.into()));
    };
    let prefix = OsStr::from_bytes(&bytes[..at]);
    let prefix = prefix.to_str().ok_or_else(|| anyhow!("{prefix:?} is not UTF-8"))?;
    let path = OsString::from_vec(bytes[at + 1..].to_vec());
    if path.is_empty() {
        bail!("a folder is missing after '{prefix}=': write {prefix}=./folder");
    }
    Ok((format!("/{}", prefix.trim_matches('/')), path.into()))
}

fn bad_mount(error: BadMount, path: &Path) -> anyhow::Error {
    match error {
        BadMount::Taken(prefix) if prefix == "/" => {
            let name = path.file_name().map_or("name".into(), OsStr::to_string_lossy);
            let mount = text::shell_word(Path::new(&format!("/{name}={}", path.display())));
            anyhow!("two folders can't both be served at /: write {mount} for the second")
        }
        BadMount::Taken(prefix) => {
            let mount = text::shell_word(Path::new(&format!("{prefix}-2={}", path.display())));
            anyhow!(
                "two folders can't both be served at {prefix}: write another path for the second, as \
                 {mount}"
            )
        }
        other => other.into(),
    }
}

fn options(flags: &args::FolderArgs, listing: Listing) -> anyhow::Result<Options> {
    let mut options = Options {
        clean_urls: !flags.no_clean_urls,
        spa: flags.spa,
        listing: listing.is_on(),
        archives: !flags.no_archives,
        fresh: flags.fresh || flags.live,
        cors: Cors::origins(flags.cors.iter().map(String::as_str))?,
        hashed_up_to: flags.hash_up_to.bytes(),
        ..Options::default()
    };
    for rule in &flags.cache_control {
        options.caching.add(&rule.pattern, &rule.value)?;
    }
    for rule in &flags.content_type {
        options.content_types.add(&rule.pattern, &rule.value)?;
    }
    for rule in &flags.content_encoding {
        options.content_encodings.add(&rule.pattern, rule.coding);
    }
    if flags.no_security_headers {
        options.headers = Headers::none();
    }
    for rule in &flags.header {
        match &rule.value {
            Some(value) => options.headers.set(&rule.name, value)?,
            None => options.headers.remove(&rule.name),
        }
    }
    options.codings.precompressed = !flags.no_precompressed;
    options.codings.on_demand = flags.compress.iter().flatten().copied().collect();
    if options.codings.on_demand.len() != flags.compress.len() && flags.compress.len() > 1 {
        bail!("--compress none can't be combined with encodings");
    }
    Ok(options)
}

/// Converts the error for a path that can't be served. If the path doesn't exist, adds the nearest
/// folder that does.
fn not_servable(error: OpenError) -> Error {
    // The text of an `OpenError` includes that of its source.
    let reason = anyhow!("{error}");
    match error {
        OpenError::NotFound(path) if path.starts_with("~") => Error::Usage(anyhow!(
            "{reason}; a shell replaces ~ only at the beginning of a word, without quotes: write \
             sockeye {}",
            path.display()
        )),
        OpenError::NotFound(path) => Error::Usage(match nearest_folder(&path) {
            Some(parent) => {
                anyhow!("{reason}; the nearest folder that exists is {}", parent.display())
            }
            None => reason,
        }),
        OpenError::NotServable(_) | OpenError::NotAFolder(_) => Error::Usage(reason),
        OpenError::Failed(_, source) if is_wrong_path(&source) => Error::Usage(reason),
        _ => Error::Failure(reason),
    }
}

/// The nearest parent folder of `path` that exists.
fn nearest_folder(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().skip(1).find(|parent| parent.is_dir()).map(Path::to_owned)
}
