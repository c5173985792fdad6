//! The head of a request as a browser sends it: about 1.4 KiB, half of it a cookie.

/// Number of browsers, which differ in their cookies.
pub(crate) const BROWSERS: usize = 16;

/// The fields of one browser's requests, without Host.
pub(crate) fn fields(browser: usize) -> Vec<(String, String)> {
    let cookie = cookie(browser);
    [
        ("sec-ch-ua", "\"Chromium\";v=\"141\", \"Not?A_Brand\";v=\"8\", \"Browser\";v=\"141\""),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", "\"Linux\""),
        ("Upgrade-Insecure-Requests", "1"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/141.0.0.0 Safari/537.36",
        ),
        (
            "Accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
             image/apng,*/*;q=0.8",
        ),
        ("Sec-Fetch-Site", "same-origin"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-User", "?1"),
        ("Sec-Fetch-Dest", "document"),
        ("Referer", "http://localhost/products/search?q=blue+sweater&sort=price&page=3"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8,fr;q=0.7"),
        ("Cookie", cookie.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A cookie with realistic names and pseudo-random values, of the same length for every browser.
fn cookie(browser: usize) -> String {
    const NAMES: [&str; 6] = ["session", "_visitor", "consent", "theme", "experiments", "csrf"];
    const LENGTHS: [usize; 6] = [256, 64, 160, 4, 128, 64];
    let mut state = browser as u64 * 2 + 1;
    let mut noise = |length: usize| -> String {
        let digit = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from_digit((state >> 60) as u32, 16).unwrap_or('0')
        };
        (0..length).map(digit).collect()
    };
    let pairs: Vec<String> = NAMES
        .iter()
        .zip(LENGTHS)
        .map(|(name, length)| format!("{name}={}", noise(length)))
        .collect();
    pairs.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Shape;

    #[test]
    fn heads_are_one_and_a_half_kilobytes_long_and_differ_in_their_cookies() {
        let prepared = Shape::Browser { alike: false }.prepared().unwrap();
        let heads: Vec<&[u8]> = prepared.iter().map(|request| &request.keep_alive()[..]).collect();
        assert_eq!(heads.len(), BROWSERS);
        for (at, head) in heads.iter().enumerate() {
            assert!((1400..1600).contains(&head.len()), "{}", head.len());
            assert_eq!(head.len(), heads[0].len());
            assert!(heads[..at].iter().all(|other| other != head), "{at}");
        }
        assert_eq!(Shape::Browser { alike: true }.prepared().unwrap().len(), 1);
    }
}
