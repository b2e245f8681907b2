//! `release.env`: registry, owner and version, which nothing else may state on its own.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Where the three stand.
pub(crate) const PATH: &str = "release.env";
const VALUES: &str = "charts/gastown-operator/values.yaml";

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

    /// Fails where the chart's values name another registry or owner. A chart that is not there names none.
    pub(crate) fn agrees_with_chart(&self, root: &Path) -> Result<()> {
        let path = root.join(VALUES);
        if !path.exists() {
            return Ok(());
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {VALUES}"))?;
        let values: Value = serde_saphyr::from_str(&text).with_context(|| format!("{VALUES} as YAML"))?;
        let ours = format!("{}/{}", self.registry, self.owner);
        let theirs = values.pointer("/image/registry").and_then(Value::as_str);
        ensure!(
            theirs == Some(ours.as_str()),
            "{PATH} says images are at {ours}, image.registry of {VALUES} says {}: they must be the same",
            theirs.unwrap_or("nothing")
        );
        Ok(())
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
        let release = Release::read(root).unwrap();
        release.agrees_with(env!("CARGO_PKG_VERSION")).unwrap();
        release.agrees_with_chart(root).unwrap();
    }

    #[test]
    fn a_chart_of_another_owner_is_refused() {
        let root = std::env::temp_dir().join(format!("gastown-release-{}", std::process::id()));
        let release = Release::parse("REGISTRY=example.com\nOWNER=us\nVERSION=1.0.0\n").unwrap();
        let values = root.join(VALUES);
        fs::create_dir_all(values.parent().unwrap()).unwrap();
        for (text, agrees) in [
            ("image:\n  registry: example.com/us\n", true),
            ("image:\n  registry: example.com/them\n", false),
            ("image: {}\n", false),
        ] {
            fs::write(&values, text).unwrap();
            assert_eq!(release.agrees_with_chart(&root).is_ok(), agrees, "{text}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
