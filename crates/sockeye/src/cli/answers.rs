//! The answers of `sockeye message`: those of the reference service, or a file's.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sockeye_proto::message::reference::Dictionary;

use crate::log::Log;
use crate::signals::Reread;
use crate::text;

/// Bytes of a file of answers.
const MOST: u64 = 256 * 1024 * 1024;

/// What a search finds, and where that stands.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) dictionary: Dictionary,
    path: Option<PathBuf>,
}

impl Answers {
    /// Those that `path` has, or those of the reference service.
    ///
    /// # Errors
    ///
    /// When the file can't be read, or isn't a JSON object of strings.
    pub(crate) fn of(path: Option<&Path>) -> anyhow::Result<Self> {
        let dictionary = match path {
            Some(path) => Dictionary::new(read(path)?),
            None => Dictionary::default(),
        };
        Ok(Self { dictionary, path: path.map(Path::to_owned) })
    }

    /// What the start screen says of them.
    pub(crate) fn note(&self) -> Option<String> {
        let path = self.path.as_ref()?.display();
        Some(format!("Answers come from {path}, which is read again on SIGHUP."))
    }

    /// Reads the file again, and says what came of it; one that is broken changes nothing. `None`
    /// where there is no file.
    pub(crate) fn reread(self) -> Option<Reread> {
        let Self { dictionary, path } = self;
        let path = path?;
        Some(Box::new(move |log: &Log| match read(&path) {
            Ok(answers) => {
                let count = text::count(answers.len() as u64, "answer");
                dictionary.replace(answers);
                log.say(format!("{} was read again: {count}", path.display()));
            }
            Err(error) => log.say(format!("{error:#}; the answers stay as they were")),
        }))
    }
}

fn read(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    let parse = || {
        let mut content = String::new();
        File::open(path)?.take(MOST + 1).read_to_string(&mut content)?;
        if content.len() as u64 > MOST {
            bail!("it has more than {}", text::bytes(MOST));
        }
        Dictionary::parse(&content).context("it must be a JSON object whose values are strings")
    };
    parse().with_context(|| format!("cannot take answers from {}", path.display()))
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
            let error = Answers::of(Some(&path)).err().map(|error| format!("{error:#}"));
            assert_eq!(error.is_some(), says.is_some(), "{content}: {error:?}");
            if let (Some(error), Some(says)) = (error, says) {
                assert!(error.contains(says) && error.contains("sockeye-answers"), "{error}");
            }
        }
        std::fs::remove_file(&path).unwrap();
        let error = format!("{:#}", Answers::of(Some(&path)).unwrap_err());
        assert!(error.contains("No such file"), "{error}");
    }
}
