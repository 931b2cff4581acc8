//! Lines of an access log: visitors who come, read some pages and go, out of order by up to a minute, a few lines broken.

use std::num::NonZeroU32;

use bytes::Bytes;
use jiff::Timestamp;

use super::Random;

/// An endless access log in combined format.
#[derive(Clone, Debug)]
pub struct WebLog {
    random: Random,
    lines: u64,
    time_seconds: i64,
    visitors: u64,
}

impl WebLog {
    /// The log of `seed`, beginning at 2015-05-17 10:05 UTC.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), lines: 0, time_seconds: 1_431_857_100, visitors: VISITORS }
    }

    /// The same with so many visitors, each from an address of its own: keys enough to spread evenly over many shards.
    #[must_use]
    pub fn crowded(seed: u64, visitors: NonZeroU32) -> Self {
        Self { visitors: visitors.get().into(), ..Self::new(seed) }
    }

    fn line(&mut self) -> String {
        let visitor = self.random.below(self.visitors);
        let address = match self.visitors {
            VISITORS => format!("203.0.113.{}", visitor % 250),
            _ => format!("10.{}.{}.{}", visitor >> 16 & 255, visitor >> 8 & 255, visitor & 255),
        };
        let agent = AGENTS[usize::try_from(visitor).unwrap_or(0) % AGENTS.len()];
        let jitter = i64::try_from(self.random.below(59)).unwrap_or(0);
        let time = Timestamp::from_second(self.time_seconds - jitter).expect("a year from now at most");
        let path = self.random.pick(&PATHS);
        let status = if self.random.below(20) == 0 { 404 } else { 200 };
        let bytes = 200 + self.random.below(40_000);
        let referrer =
            self.random.pick(&["-", "http://www.example.com/", "https://search.example.org/?q=rust"]);
        let time = time.strftime("%d/%b/%Y:%H:%M:%S +0000");
        format!(r#"{address} - - [{time}] "GET {path} HTTP/1.1" {status} {bytes} "{referrer}" "{agent}""#)
    }
}

impl Iterator for WebLog {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.lines += 1;
        // Mostly busy seconds, now and then a pause that ends every session.
        self.time_seconds +=
            if self.lines.is_multiple_of(5_000) { 3_600 } else { i64::from(self.random.below(3) == 0) * 4 };
        let mut line = self.line().into_bytes();
        match self.random.below(3_000) {
            0 => line.truncate(line.len() - 1),
            1 => line[0] = 0xff,
            2 => line = b"- - -".to_vec(),
            _ => {}
        }
        Some(Bytes::from(line))
    }
}

const VISITORS: u64 = 400;
const PATHS: [&str; 10] = [
    "/",
    "/blog/",
    "/blog/leases",
    "/blog/streams?page=2",
    "/about",
    "/docs/install",
    "/docs/api",
    "/style.css",
    "/images/logo.png",
    "/feed.xml",
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.0 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (compatible; ExampleBot/2.1)",
    "curl/8.5.0",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::parse_combined_log;

    #[test]
    fn a_seed_gives_the_same_lines_and_few_of_them_are_broken() {
        let lines: Vec<Bytes> = WebLog::new(1).take(20_000).collect();
        assert_eq!(lines, WebLog::new(1).take(20_000).collect::<Vec<_>>());
        let is_broken =
            |line: &&Bytes| std::str::from_utf8(line).map_or(true, |text| parse_combined_log(text).is_err());
        let broken = lines.iter().filter(is_broken).count();
        assert!((5..60).contains(&broken), "{broken} broken lines");
    }

    #[test]
    fn a_crowd_comes_from_many_addresses() {
        let crowd = NonZeroU32::new(20_000).expect("not zero");
        let lines: Vec<Bytes> = WebLog::crowded(1, crowd).take(5_000).collect();
        let addresses: std::collections::HashSet<_> =
            lines.iter().filter_map(|line| line.split(|&byte| byte == b' ').next()).collect();
        assert!(addresses.len() > 4_000, "{} addresses", addresses.len());
    }
}
