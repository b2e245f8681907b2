//! Which git this is, and what an older one would lack.

use std::fmt;

/// The oldest git we work with (Debian 12 ships 2.39): the first with `merge-tree --write-tree`.
pub const FLOOR: Version = Version { major: 2, minor: 38 };

/// Major and minor version; nothing we do depends on more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `2` in `2.39.5`.
    pub major: u32,
    /// `39` in `2.39.5`.
    pub minor: u32,
}

impl Version {
    /// Reads the answer of `git version`.
    pub(crate) fn parse(answer: &str) -> Option<Self> {
        let number = answer.trim().strip_prefix("git version ")?.split_whitespace().next()?;
        let mut parts = number.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor })
    }

    /// What this version lacks for our work, in words; `None` when it has everything.
    pub(crate) fn lacks(self) -> Option<&'static str> {
        if self >= FLOOR {
            return None;
        }
        Some("merge-tree --write-tree, which rebases and merges without a work tree")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn versions_of_many_vendors() {
        for (said, major, minor) in [
            ("git version 2.39.5\n", 2, 39),
            ("git version 2.39.3 (Apple Git-146)", 2, 39),
            ("git version 2.51.0.windows.1", 2, 51),
            ("git version 3.0.rc1", 3, 0),
        ] {
            assert_eq!(Version::parse(said), Some(Version { major, minor }), "{said}");
        }
        assert_eq!(Version::parse("hub version 2.14"), None);
        assert!(Version { major: 2, minor: 37 }.lacks().is_some());
        assert!(Version { major: 2, minor: 38 }.lacks().is_none());
        assert!(Version { major: 3, minor: 0 }.lacks().is_none());
    }
}
