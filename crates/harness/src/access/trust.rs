//! Whom a pod trusts: a rig's own authorities come on top of those that everybody trusts. Git, OpenSSL and Python's requests
//! each take one file and trust nobody beside it, so both are put into one.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use gastown_wire::{AUTHORITIES_ENV, RemoteTrouble};

use super::AccessError;
use crate::files;

/// Where distributions keep the authorities that everybody trusts. The first that is there counts.
const SYSTEM: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Names a file of authorities to trust beside them; the operator sets it for a rig's own bundle.
const OWN: &str = "GIT_SSL_CAINFO";

/// All there are to trust (PEM), where the rig names some of its own; none: what the system does by itself is right.
pub(crate) fn trusted() -> Result<Option<String>, AccessError> {
    named(OWN).map(|own| joined(&own, &SYSTEM)).transpose()
}

/// Leaves them for containers of other images, whose programs add nothing up by themselves, where the operator says so.
pub(crate) fn leave_authorities() -> Result<(), AccessError> {
    let Some(file) = named(AUTHORITIES_ENV) else {
        return Ok(());
    };
    let Some(authorities) = trusted()? else {
        return Ok(());
    };
    // Nothing secret: whoever runs there, as whatever user, reads it.
    files::replace(&file, authorities.as_bytes(), 0o644).map_err(|error| {
        let detail = format!("{}: {error}", file.display());
        AccessError::new(RemoteTrouble::VolumeNotWritable, detail)
    })?;
    tracing::info!(
        "the rig's own authorities and those of this image are in {}",
        file.display()
    );
    Ok(())
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|f| !f.is_empty()).map(PathBuf::from)
}

/// Comments in a bundle may be of any encoding; what counts is ASCII.
fn joined(own: &Path, system: &[&str]) -> Result<String, AccessError> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let own_text = fs::read(own).map(text).map_err(|error| {
        let detail = format!("{} cannot be read: {error}", own.display());
        AccessError::new(RemoteTrouble::CaBundleMissing, detail)
    })?;
    let everybodys = system.iter().find_map(|file| fs::read(file).ok()).map(text);
    Ok(format!("{}\n{own_text}\n", everybodys.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_of_ones_own_comes_on_top_of_what_everybody_trusts() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let own = file("ca.crt", b"# Citad\xe9l\nown");
        let (missing, system) = (format!("{own}.missing"), file("system", b"everybody's"));
        let later = file("later", b"never read");
        let all = joined(Path::new(&own), &[&missing, &system, &later]).unwrap();
        assert!(all.starts_with("everybody's\n") && all.ends_with("\nown\n"), "{all}");
        assert!(!all.contains("never"), "{all}");

        let alone = joined(Path::new(&own), &[&missing]).unwrap();
        assert!(
            alone.trim_start().starts_with('#') && alone.ends_with("own\n"),
            "{alone}"
        );

        let error = joined(Path::new(&missing), &[&system]).unwrap_err();
        assert_eq!(error.trouble, RemoteTrouble::CaBundleMissing);
        assert!(error.detail.contains("ca.crt.missing"), "{error}");
    }
}
