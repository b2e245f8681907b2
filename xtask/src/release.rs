//! `release.env`: registry, owner and version, which nothing else may state on its own.

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::Path;

/// Where the three stand.
pub(crate) const PATH: &str = "release.env";

/// Who publishes, where, and which version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// `localhost` where nothing is published.
    pub(crate) registry: String,
    /// The account of that registry.
    pub(crate) owner: String,
    /// Semantic, without a leading `v`.
    pub(crate) version: String,
}

impl Release {
    /// What the file says.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(PATH)).with_context(|| format!("reading {PATH}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let (mut registry, mut owner, mut version) = (None, None, None);
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = line
                .split_once('=')
                .with_context(|| format!("{PATH}: not KEY=VALUE: {line}"))?;
            // Shells, make and workflows read it too: what one of them would unquote or expand is refused.
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:/".contains(c);
            ensure!(
                !value.is_empty() && value.chars().all(plain),
                "{PATH}: {key} must be lower-case letters, digits and -._:/ only, as image names are"
            );
            let place = match key {
                "REGISTRY" => &mut registry,
                "OWNER" => &mut owner,
                "VERSION" => &mut version,
                _ => bail!("{PATH}: {key} is not one of REGISTRY, OWNER, VERSION"),
            };
            ensure!(place.replace(value.to_owned()).is_none(), "{PATH}: {key} twice");
        }
        Ok(Self {
            registry: registry.with_context(|| format!("{PATH}: no REGISTRY"))?,
            owner: owner.with_context(|| format!("{PATH}: no OWNER"))?,
            version: version.with_context(|| format!("{PATH}: no VERSION"))?,
        })
    }

    /// Fails where Cargo.toml says another version.
    pub(crate) fn agrees_with(&self, workspace: &str) -> Result<()> {
        ensure!(
            self.version == workspace,
            "{PATH} says version {}, Cargo.toml says {workspace}: they must be the same",
            self.version
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_are_read_and_nothing_else() {
        let release = Release::parse("# who\nREGISTRY=example.com:5000\nOWNER=a/b\n\nVERSION=1.2.3-rc.1\n").unwrap();
        assert_eq!(
            (release.registry.as_str(), release.owner.as_str()),
            ("example.com:5000", "a/b")
        );
        release.agrees_with("1.2.3-rc.1").unwrap();
        assert!(release.agrees_with("1.2.3").is_err());
        for bad in [
            "REGISTRY=a\nOWNER=b\n",
            "REGISTRY=a\nOWNER=b\nVERSION=\n",
            "REGISTRY=a\nOWNER=\"b\"\nVERSION=1\n",
            "REGISTRY=a\nOWNER=$B\nVERSION=1\n",
            "REGISTRY=a\nOWNER=b\nVERSION=1\nVERSION=2\n",
            "REGISTRY=a\nOWNER=b\nVERSION=1\nTAG=2\n",
            "REGISTRY\nOWNER=b\nVERSION=1\n",
        ] {
            assert!(Release::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_repository_agrees_with_itself() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        Release::read(root)
            .unwrap()
            .agrees_with(env!("CARGO_PKG_VERSION"))
            .unwrap();
    }
}
