//! Request methods. Any token can be a method (RFC 9110, 9.1).

use std::fmt;

use crate::semantics::chars;

macro_rules! methods {
    ($($name:ident $text:literal,)*) => {
        /// A request's method. The set is open: any token of at most [`Method::MAX_LEN`] bytes is a
        /// method. Methods are case-sensitive, so `get` is an extension method.
        ///
        /// A handler answers 501 to methods that it doesn't know, and 405 with `Allow` to those
        /// that it knows and that the resource doesn't allow (RFC 9110, 9.1).
        ///
        /// ```
        /// use sockeye_http::{OwnedRequest, Method};
        ///
        /// let request = OwnedRequest::read(b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n")?;
        /// match request.view().method() {
        ///     Method::Get | Method::Head => unreachable!(),
        ///     Method::Extension("PROPFIND") => {}
        ///     _ => unreachable!(),
        /// }
        /// # Ok::<(), sockeye_proto::Fault>(())
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Method<'a> {
            $(#[doc = concat!("`", $text, "`")] $name,)*
            /// Any other method, as it was sent.
            Extension(&'a str),
        }

        impl<'a> Method<'a> {
            /// The method as it was sent.
            #[must_use]
            pub const fn as_str(self) -> &'a str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Extension(name) => name,
                }
            }
        }

        /// A method without a lifetime: the name of an extension method is read from the request's
        /// bytes when it is needed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum MethodKind {
            $($name,)*
            Extension,
        }

        impl MethodKind {
            /// The method with this name, which is case-sensitive.
            pub(crate) fn from_token(token: &[u8]) -> Self {
                $(if token == $text.as_bytes() { return Self::$name; })*
                Self::Extension
            }

            /// The method as handlers see it. `head` must be the request's head, which starts with
            /// the method.
            #[inline]
            pub(crate) fn in_head(self, head: &[u8]) -> Method<'_> {
                match self {
                    $(Self::$name => Method::$name,)*
                    Self::Extension => extension(head),
                }
            }
        }
    };
}

// The methods of RFC 9110, 9.3, and PATCH (RFC 5789).
methods! {
    Get "GET",
    Head "HEAD",
    Post "POST",
    Put "PUT",
    Delete "DELETE",
    Connect "CONNECT",
    Options "OPTIONS",
    Trace "TRACE",
    Patch "PATCH",
}

#[cold]
fn extension(head: &[u8]) -> Method<'_> {
    let len = chars::prefix_len(head, chars::is_token_byte);
    Method::Extension(str::from_utf8(&head[..len]).unwrap_or_default())
}

impl Method<'_> {
    /// Maximum length of a method in bytes: about four times the length of the longest registered
    /// one. A longer method gets 501 (RFC 9112, 3).
    pub const MAX_LEN: usize = 64;
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
