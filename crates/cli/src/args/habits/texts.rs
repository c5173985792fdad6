//! Answers to flags and to commands of other programs.

pub(super) const NO_PASSWORDS: &str = "there are no users and passwords; put a proxy that asks for \
                                       them in front, such as Caddy or nginx (docs/proxy.md)";
pub(super) const READ_ONLY: &str =
    "folders are served read-only; nothing can be uploaded, changed or deleted";
pub(super) const NO_METRICS: &str = "there are no metrics; --access-log FILE --access-log-format \
                                     json writes each request as a line of JSON";
pub(super) const NO_CONFIGURATION: &str = "there is no configuration file; write flags, or set \
                                           environment variables, as SOCKEYE_LISTEN for --listen";
pub(super) const NO_TEST: &str =
    "there is no configuration file to test; sockeye explain says how a URL is answered";
