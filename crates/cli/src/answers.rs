//! The answers of `sockeye message` to searches: requests that look up a value. They come from a
//! file. By default, they are those of the Python server that `message` is compatible with.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sockeye_message::reference::Reference;

use crate::error::{Error, OrUsage};
use crate::log::Log;
use crate::signals::OnHangup;
use crate::text;

/// Maximum size of a file of answers, in bytes.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// The answers to searches. Default: the built-in ones.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The handler that answers as the Python server does.
    pub(crate) service: Reference,
    /// The file that the answers come from.
    path: Option<PathBuf>,
}

impl Answers {
    /// Reads answers from a file.
    ///
    /// # Errors
    ///
    /// The file can't be read, or isn't a JSON object of strings.
    pub(crate) fn of(path: PathBuf) -> Result<Self, Error> {
        Ok(Self { service: Reference::new(read(&path)?), path: Some(path) })
    }

    /// The line about the file on the start screen. `None` for the built-in answers.
    pub(crate) fn note(&self) -> Option<String> {
        let path = self.path.as_ref()?.display();
        Some(format!("Answers come from {path}. SIGHUP reads it again."))
    }

    /// Returns a function that reads the file again, to be called on SIGHUP. If the file can't be
    /// read or is invalid, the old answers stay. `None` for the built-in answers.
    pub(crate) fn on_hangup(self) -> Option<OnHangup> {
        let Self { service, path } = self;
        let path = path?;
        Some(Box::new(move |log: &Log| match read(&path) {
            Ok(answers) => {
                let count = text::count(answers.len() as u64, "answer");
                service.replace(answers);
                log.print(format!("read {} again: {count}", path.display()));
            }
            Err(error) => {
                tracing::error!(target: "sockeye", "{error}; still using the old answers");
            }
        }))
    }
}

fn read(path: &Path) -> Result<HashMap<String, String>, Error> {
    let failure = || format!("cannot read answers from {}", path.display());
    let content = File::open(path).and_then(|file| read_at_most(file, MAX_FILE));
    let content = content.map_err(|error| Error::of_path(error, failure()))?;
    let answers = serde_json::from_slice(&content);
    let answers = answers.context("it must be a JSON object whose values are strings");
    answers.with_context(failure).or_usage()
}

/// Reads to the end. Fails after more than `max` bytes.
pub(crate) fn read_at_most(source: impl Read, max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    source.take(max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max {
        let max = text::bytes(max);
        return Err(io::Error::other(format!("it has more than {max}, which is the maximum")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_answers_are_refused_with_the_reason() {
        let path = std::env::temp_dir().join(format!("sockeye-answers-{}", std::process::id()));
        let table = [
            ("{\"a\": \"b\", \"c\": \"d\"}", None),
            ("{}", None),
            ("", Some("line 1")),
            ("{\"a\": \"b\",\n \"c\": 1}", Some("line 2")),
            ("[\"a\"]", Some("object")),
        ];
        for (content, expected_text) in table {
            std::fs::write(&path, content).unwrap();
            let error = Answers::of(path.clone()).err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected_text.is_some(), "{content}: {error:?}");
            if let (Some(error), Some(expected_text)) = (error, expected_text) {
                assert!(
                    error.contains(expected_text) && error.contains("sockeye-answers"),
                    "{error}"
                );
            }
        }
        std::fs::remove_file(&path).unwrap();
        let error = Answers::of(path).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn an_endless_source_is_refused() {
        let error = read_at_most(io::repeat(0), 1024).unwrap_err();
        assert!(error.to_string().contains("more than 1.0 KiB"), "{error}");
    }
}
