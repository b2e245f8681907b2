//! Bringing some files of a large repository and leaving the rest where it is.

use std::collections::BTreeSet;

use crate::error::GitError;
use crate::fetch::{Depth, FetchOptions, Refspec};
use crate::names::{Oid, RefName};
use crate::remote::{Remote, RemoteKind};
use crate::repo::Repo;

/// Commits and folders, no content.
const NO_FILES: &str = "--filter=blob:none";

impl Repo {
    /// Brings the newest commit of a ref and, of its files, those of one folder whose names are wanted. A server that cannot
    /// part them sends more. The other files are not here afterwards, perhaps; none where the ref went away meanwhile.
    ///
    /// # Errors
    /// [`Fault::NoSuchRef`](crate::Fault::NoSuchRef) if the ref is not there; other faults as they are.
    pub async fn fetch_folder(
        &self,
        remote: &Remote,
        spec: (&RefName, &RefName),
        folder: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<Oid>, GitError> {
        let (src, dst) = spec;
        let branch = Refspec::of(src, dst).argument();
        let newest = || self.fetching(FetchOptions::depth(Depth::Shallow(1)));
        // What lies on this machine costs nothing to bring, and git parts only what has a URL.
        let part = remote.url().kind() != RemoteKind::Path;
        let filter = part.then_some(NO_FILES);
        newest().args(filter).remote(remote).arg(&branch).ok().await?;
        let Some(tip) = self.rev_parse(dst.as_str()).await? else {
            return Ok(None);
        };
        let files = self.files_in(&tip, folder).await?.into_iter();
        let blobs: BTreeSet<String> = files.filter(|f| wanted(&f.name)).map(|f| f.blob.to_string()).collect();
        if blobs.is_empty() || !part {
            return Ok(Some(tip));
        }
        let some = self
            .fetching(FetchOptions::default())
            // Told of the commit we have, a server would take its files for here.
            .top("-c")
            .top("fetch.negotiationAlgorithm=noop")
            .arg(NO_FILES)
            .remote(remote)
            .args(blobs);
        match some.ok().await {
            Ok(_) => Ok(Some(tip)),
            Err(error) if error.is_transient() => Err(error),
            // It gives branches and nothing else: then all of this one.
            Err(_) => {
                let whole = newest().args(["--refetch", "--no-filter"]);
                whole.remote(remote).arg(&branch).ok().await?;
                self.rev_parse(dst.as_str()).await
            }
        }
    }
}
