//! Who the server is: its certificate, the authority that vouches for it, and the token it wants to see.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FILE: &str = "identity.json";
const NAMES: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// Certificate, key and token of a server. Prints nothing of itself.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The authority's certificate. Its key is thrown away: it signs one certificate and no other.
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) token: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("cannot use the API server's identity {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The file is not one we wrote.
    #[error(
        "the API server's identity {path} is damaged ({why}); delete it to get a new one, and use the new kubeconfig"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity kept in `dir`, or a new one that is then kept there (mode 0600), so that a
    /// kubeconfig stays valid over restarts.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is damaged. A damaged one is left as it is.
    pub fn load_or_create(dir: impl AsRef<Path>) -> Result<Identity, IdentityError> {
        let path = dir.as_ref().join(FILE);
        let io = |source| IdentityError::Io {
            path: path.clone(),
            source,
        };
        match std::fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content).map_err(|e| IdentityError::Damaged {
                path: path.clone(),
                why: e.to_string(),
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let identity = Identity::create()?;
                std::fs::create_dir_all(dir.as_ref()).map_err(io)?;
                identity.store(&path).map_err(io)?;
                Ok(identity)
            }
            Err(e) => Err(io(e)),
        }
    }

    /// A new identity that is kept nowhere.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    pub fn create() -> Result<Identity, IdentityError> {
        let failed = |e: rcgen::Error| IdentityError::Certificate(e.to_string());
        let authority_key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "gastown one-machine authority");
        let authority = params.self_signed(&authority_key).map_err(failed)?;
        let issuer = Issuer::new(params, authority_key);

        let key = KeyPair::generate().map_err(failed)?;
        let names: Vec<String> = NAMES.iter().map(|n| (*n).to_owned()).collect();
        let mut leaf = CertificateParams::new(names).map_err(failed)?;
        leaf.distinguished_name.push(DnType::CommonName, "gastown API server");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer).map_err(failed)?;
        let random = || uuid::Uuid::new_v4().simple().to_string();
        Ok(Identity {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            token: format!("{}{}", random(), random()),
        })
    }

    fn store(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("json.new");
        let mut file: File = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&fresh)?;
        // The mode above counts for new files only.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    }

    /// Whether an `Authorization` header carries the token. Compared by digest, so that the time taken
    /// tells nothing about how much of a guess was right.
    pub(crate) fn admits(&self, authorization: Option<&str>) -> bool {
        let given = authorization.and_then(|a| a.strip_prefix("Bearer ")).map(str::trim);
        given.is_some_and(|given| Sha256::digest(given) == Sha256::digest(&self.token))
    }
}
