//! The answers of `sockeye message`: those of the reference service, or a file's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sockeye_message::reference::Reference;

use crate::error::{Error, OrExit};
use crate::log::Log;
use crate::signals::Reread;
use crate::text;

/// Bytes of a file of answers.
const MOST: u64 = 256 * 1024 * 1024;

/// What a search finds, and where that stands.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) service: Reference,
    path: Option<PathBuf>,
}

impl Answers {
    /// Those that `path` has. The default is those of the reference service.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or isn't a JSON object of strings.
    pub(crate) fn of(path: PathBuf) -> Result<Self, Error> {
        Ok(Self { service: Reference::new(read(&path)?), path: Some(path) })
    }

    /// What the start screen says of them.
    pub(crate) fn note(&self) -> Option<String> {
        let path = self.path.as_ref()?.display();
        Some(format!("Answers come from {path}, which is read again on SIGHUP."))
    }

    /// Reads the file again, and says what came of it; one that is broken changes nothing. `None`
    /// where there is no file.
    pub(crate) fn reread(self) -> Option<Reread> {
        let Self { service, path } = self;
        let path = path?;
        Some(Box::new(move |log: &Log| match read(&path) {
            Ok(answers) => {
                let count = text::count(answers.len() as u64, "answer");
                service.replace(answers);
                log.say(format!("{} was read again: {count}", path.display()));
            }
            Err(error) => log.say(format!("{error}; the answers stay as they were")),
        }))
    }
}

fn read(path: &Path) -> Result<HashMap<String, String>, Error> {
    let doing = || format!("cannot take answers from {}", path.display());
    let content = whole(path).map_err(|error| Error::of_path(error, doing()))?;
    let answers = serde_json::from_str(&content);
    let answers = answers.context("it must be a JSON object whose values are strings");
    answers.with_context(doing).or_usage()
}

fn whole(path: &Path) -> io::Result<String> {
    let mut content = String::new();
    File::open(path)?.take(MOST + 1).read_to_string(&mut content)?;
    if content.len() as u64 > MOST {
        return Err(io::Error::other(format!("it has more than {}", text::bytes(MOST))));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_of_strings_is_refused_with_the_place() {
        let path = std::env::temp_dir().join(format!("sockeye-answers-{}", std::process::id()));
        let table = [
            ("{\"a\": \"b\", \"c\": \"d\"}", None),
            ("{}", None),
            ("", Some("line 1")),
            ("{\"a\": \"b\",\n \"c\": 1}", Some("line 2")),
            ("[\"a\"]", Some("object")),
        ];
        for (content, says) in table {
            std::fs::write(&path, content).unwrap();
            let error = Answers::of(path.clone()).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), says.is_some(), "{content}: {error:?}");
            if let (Some(error), Some(says)) = (error, says) {
                assert!(error.contains(says) && error.contains("sockeye-answers"), "{error}");
            }
        }
        std::fs::remove_file(&path).unwrap();
        let error = Answers::of(path).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }
}
