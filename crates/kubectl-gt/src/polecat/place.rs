//! Where a polecat's work lies, read from there with the user's own right.

use crate::checkout::Checkout;
use crate::session::Session;
use crate::{Failure, exit};
use gastown_api::Polecat;
use gastown_git::Repo;
use std::path::PathBuf;

/// A repository, and the branch the work is for.
pub(super) struct Place {
    /// The person's own spelling of the URL is the one their credentials are for.
    pub(super) from: String,
    pub(super) target: String,
    /// Where its conversation is.
    pub(super) kept: String,
    /// What the checkout of it has already.
    objects: Option<PathBuf>,
}

impl Place {
    /// `remote` is where the person says; else the checkout's remote, else the rig's repository.
    pub(super) async fn of(polecat: &Polecat, remote: Option<&String>, session: &Session<'_>) -> Result<Self, Failure> {
        let rig = session.rigs().get(&polecat.spec.rig).await?.map(|r| r.object);
        let kubernetes = polecat.spec.kubernetes.clone().unwrap_or_default();
        let url = kubernetes
            .git_repository
            .or_else(|| rig.as_ref().map(|r| r.spec.git_url.clone()))
            .ok_or_else(|| {
                let what = format!(
                    "neither the polecat nor a rig {} says which repository this is",
                    polecat.spec.rig
                );
                Failure::new(exit::NOT_FOUND, what)
            })?;
        let target = kubernetes
            .git_branch
            .or_else(|| rig.as_ref().and_then(|r| r.spec.target_branch.clone()))
            .unwrap_or_else(|| "main".to_owned());
        let checkout = match &session.access.checkout {
            Some(top) => Checkout::around(top),
            None => std::env::current_dir().ok().and_then(|dir| Checkout::around(&dir)),
        };
        let here = session.access.rig_here.as_deref() == Some(polecat.spec.rig.as_str());
        let checkout = checkout.filter(|c| c.is_of(&url) || here);
        let spelled = |url: String| {
            let theirs = || checkout.as_ref().and_then(|c| c.remote_of(&url));
            remote.cloned().or_else(theirs).unwrap_or(url)
        };
        let records = rig.and_then(|r| r.spec.record?.git_url).filter(|url| !url.is_empty());
        let from = spelled(url);
        Ok(Self {
            kept: records.map_or_else(|| from.clone(), spelled),
            from,
            target,
            objects: checkout.and_then(|c| c.objects()),
        })
    }

    /// What the checkout has need not be fetched again.
    pub(super) fn lend(&self, repo: &Repo) {
        if let Some(objects) = &self.objects {
            let _ = std::fs::create_dir_all(repo.git_dir().join("objects/info"));
            let _ = std::fs::write(
                repo.git_dir().join("objects/info/alternates"),
                format!("{}\n", objects.display()),
            );
        }
    }
}
