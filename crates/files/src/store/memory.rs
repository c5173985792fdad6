//! A store in memory, for tests: files can change at any time, and faults can be injected.
//!
//! The store has a clock of its own, which only [`Memory::pass`] moves. Nothing blocks, and what
//! exists can be opened and read unless a fault is injected.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use sockeye_proto::{Access, FileSource};

use super::absent::Absent;
use super::identity::{Identity, Stamp};
use super::omitted::{Omission, Omitted};
use super::traits::{Child, Kind, OpenFile, Opened, Store};
use crate::limits::lock::lock;
use crate::naming::path::{self, WellKnown};

/// Files in memory. Clones share the same files.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    well_known: WellKnown,
}

#[derive(Debug, Default)]
struct State {
    now: Stamp,
    inodes: u64,
    files: HashMap<Vec<u8>, Arc<Mutex<File>>>,
    faults: HashMap<Vec<u8>, InjectedFault>,
    opens: usize,
    reads: usize,
    access: Option<Access>,
}

/// What happens when a name is opened or listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// Opening and listing fail.
    Absent(Absent),
    /// The lookup panics.
    Panic,
}

#[derive(Debug, Default)]
struct File {
    content: Vec<u8>,
    identity: Identity,
    /// The next contents. After each read, the first of them replaces `content`.
    changes: VecDeque<Vec<u8>>,
}

impl Memory {
    /// An empty store. Its clock is at 2001-09-09T01:46:40Z.
    #[must_use]
    pub fn new() -> Self {
        let memory = Self::default();
        // Not a whole second: a whole one may come from a file system that stores times in steps of
        // two seconds (FAT), so a file with such a time counts as just changed for two seconds.
        memory.lock().now = Stamp { secs: 1_000_000_000, nanos: 1 };
        memory
    }

    /// Moves the clock forward by this number of nanoseconds.
    pub fn pass(&self, nanos: u64) {
        let now = &mut self.lock().now;
        let nanos = u64::from(now.nanos) + nanos;
        now.secs += (nanos / 1_000_000_000) as i64;
        now.nanos = (nanos % 1_000_000_000) as u32;
    }

    /// Writes a file in place, or creates it. Slashes in names make folders.
    pub fn write(&self, name: &str, content: impl Into<Vec<u8>>) {
        let mut state = self.lock();
        let now = state.now;
        let file = match state.files.get(name.as_bytes()) {
            Some(file) => Arc::clone(file),
            None => state.create(name),
        };
        lock(&file).write(content.into(), now);
    }

    /// Replaces a file with a new one, as renaming another file to its name does.
    pub fn replace(&self, name: &str, content: impl Into<Vec<u8>>) {
        let mut state = self.lock();
        let now = state.now;
        state.unlink(name);
        lock(&state.create(name)).write(content.into(), now);
    }

    /// Appends to a file in place.
    pub fn append(&self, name: &str, more: &[u8]) {
        self.change(name, |file, now| {
            let content = [&file.content, more].concat();
            file.write(content, now);
        });
    }

    /// Sets the modification time of a file, as `touch` does.
    pub fn touch(&self, name: &str) {
        self.change(name, |file, now| {
            (file.identity.modified, file.identity.changed) = (now, now);
        });
    }

    /// Changes the metadata of a file only, as `chmod`, a rename and a new link do.
    pub fn change_metadata(&self, name: &str) {
        self.change(name, |file, now| file.identity.changed = now);
    }

    /// Makes a file claim another size than that of its content, until the file is written again.
    pub fn claim_size(&self, name: &str, size: u64) {
        self.change(name, |file, _| file.identity.size = size);
    }

    /// Changes the content of a file, but not its identity, as files in `/proc` and `/sys` do.
    pub fn set_content(&self, name: &str, content: impl Into<Vec<u8>>) {
        self.change(name, |file, _| file.content = content.into());
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut File, Stamp)) {
        let state = self.lock();
        if let Some(file) = state.files.get(name.as_bytes()) {
            change(&mut lock(file), state.now);
        }
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        self.lock().unlink(name);
    }

    /// Writes each of `contents` in place, one after each read of the file.
    pub fn change_when_read<C: Into<Vec<u8>>>(
        &self,
        name: &str,
        contents: impl IntoIterator<Item = C>,
    ) {
        if let Some(file) = self.lock().files.get(name.as_bytes()) {
            lock(file).changes = contents.into_iter().map(Into::into).collect();
        }
    }

    /// Injects a fault into each later opening or listing of `name`; `None` removes it. A fault for
    /// which a disk would not list the name, such as a link that leads out of the folder, also
    /// removes the name from listings.
    pub fn fail(&self, name: &str, fault: Option<InjectedFault>) {
        let faults = &mut self.lock().faults;
        match fault {
            Some(fault) => faults.insert(name.into(), fault),
            None => faults.remove(name.as_bytes()),
        };
    }

    /// Sets [`FileSource::access`] of all files.
    pub fn set_access(&self, access: Access) {
        self.lock().access = Some(access);
    }

    /// How many times a file or folder was opened or listed, all names together.
    #[must_use]
    pub fn opens(&self) -> usize {
        self.lock().opens
    }

    /// How many times a file was read from, all files together.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.lock().reads
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn create(&mut self, name: &str) -> Arc<Mutex<File>> {
        self.inodes += 1;
        let identity = Identity { inode: self.inodes, ..Identity::default() };
        let file = Arc::new(Mutex::new(File { identity, ..File::default() }));
        self.files.insert(name.into(), Arc::clone(&file));
        file
    }

    /// Fails or panics if a fault is injected for `name`.
    fn injected(&self, name: &[u8]) -> Result<(), Absent> {
        match self.faults.get(name) {
            Some(InjectedFault::Absent(absent)) => Err(*absent),
            Some(InjectedFault::Panic) => panic!("this lookup was asked to panic"),
            None => Ok(()),
        }
    }

    fn unlink(&mut self, name: &str) {
        if let Some(file) = self.files.remove(name.as_bytes()) {
            lock(&file).identity.changed = self.now;
        }
    }
}

impl File {
    fn write(&mut self, content: Vec<u8>, now: Stamp) {
        self.identity.size = content.len() as u64;
        (self.identity.modified, self.identity.changed) = (now, now);
        self.content = content;
    }
}

/// The name of `file` relative to `folder`, if the file is beneath the folder.
fn beneath<'a>(file: &'a [u8], folder: &[u8]) -> Option<&'a [u8]> {
    let rest = file.strip_prefix(folder)?;
    if folder.is_empty() { Some(rest) } else { rest.strip_prefix(b"/") }
}

impl Store for Memory {
    fn open(&self, name: &[u8]) -> Result<Opened, Absent> {
        let mut state = self.lock();
        state.opens += 1;
        state.injected(name)?;
        if let Some(file) = state.files.get(name) {
            let identity = lock(file).identity;
            let (file, store) = (Arc::clone(file), self.clone());
            return Ok(Opened::File(Arc::new(MemoryFile { file, store }), identity));
        }
        if name.is_empty() || state.files.keys().any(|file| beneath(file, name).is_some()) {
            return Ok(Opened::Folder);
        }
        Err(Absent::Missing)
    }

    fn list(
        &self,
        name: &[u8],
        each: &mut dyn FnMut(Child<'_>) -> ControlFlow<()>,
    ) -> Result<Omitted, Absent> {
        let mut found = BTreeMap::new();
        let mut omitted = Omitted::default();
        let faults;
        {
            let mut state = self.lock();
            state.opens += 1;
            state.injected(name)?;
            if state.files.contains_key(name) {
                return Err(Absent::NotAFolder);
            }
            faults = state.faults.clone();
            for (file, content) in &state.files {
                let Some(rest) = beneath(file, name) else { continue };
                let mut segments = rest.splitn(2, |byte| *byte == b'/');
                let child = segments.next().unwrap_or_default().to_vec();
                match segments.next() {
                    Some(_) => found.insert(child, (Kind::Folder, Identity::default())),
                    None => found.insert(child, (Kind::File, lock(content).identity)),
                };
            }
        }
        if found.is_empty() && !name.is_empty() {
            return Err(Absent::Missing);
        }
        for (child, (kind, identity)) in &found {
            let fault = match faults.get(&path::beneath(name, child)) {
                Some(InjectedFault::Absent(absent)) => Some(*absent),
                _ => None,
            };
            // Like a disk: bad links and special files are left out, an unreadable file is listed,
            // and other faults show only when the name is opened.
            let omission = match fault {
                _ if !path::is_requestable(name, child, self.well_known) => {
                    Some(Omission::of_name(child))
                }
                Some(
                    absent @ (Absent::Outside
                    | Absent::Hidden
                    | Absent::BrokenLink
                    | Absent::LinkLoop
                    | Absent::NotRegular(_)),
                ) => Some(Omission::of(absent)),
                _ => None,
            };
            if let Some(omission) = omission {
                omitted.add(omission);
                continue;
            }
            let child = Child {
                name: child,
                kind: *kind,
                is_symlink: false,
                readable: !matches!(fault, Some(Absent::Denied(_))),
                has_known_size: true,
                identity: *identity,
            };
            if each(child).is_break() {
                break;
            }
        }
        Ok(omitted)
    }

    fn now(&self) -> Stamp {
        self.lock().now
    }

    fn single_file(&self) -> Option<&[u8]> {
        None
    }

    fn beneath_prefix(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(Self { well_known: WellKnown::Hidden, ..self.clone() }))
    }
}

#[derive(Debug)]
struct MemoryFile {
    file: Arc<Mutex<File>>,
    store: Memory,
}

impl FileSource for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let now = {
            let mut state = self.store.lock();
            state.reads += 1;
            state.now
        };
        let mut file = lock(&self.file);
        let rest = usize::try_from(offset).ok().and_then(|at| file.content.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        if let Some(change) = file.changes.pop_front() {
            file.write(change, now);
        }
        Ok(count)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn access(&self) -> Access {
        self.store.lock().access.unwrap_or(Access::Direct)
    }
}

impl OpenFile for MemoryFile {
    fn identity(&self) -> Result<Identity, Absent> {
        Ok(lock(&self.file).identity)
    }
}
