//! What a bead says: from `.beads/*.jsonl` in the checkout, when that is the rig's repository, else in the rig's `localPath`,
//! else from the remote. Files are read as they lie there, committed or not.

use crate::checkout::Checkout;
use crate::local_path;
use crate::output::note;
use crate::scratch::Scratch;
use crate::{Access, Failure};
use gastown_api::Rig;
use gastown_git::{Git, GitError, RefName, Remote};
use gastown_wire::beads::{Bead, Export, FOLDER, is_export, to_read};
use kube::ResourceExt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest that the remote is waited for: the pod looks beads up by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// The beads that are known here.
#[derive(Debug, Default)]
pub(super) struct Known {
    export: Export,
    /// Where they were read.
    from: Option<String>,
}

impl Known {
    pub(super) fn get(&self, id: &str) -> Option<&Bead> {
        self.export.get(id)
    }

    /// Where they were read, if there are any.
    pub(super) fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// Those of the current checkout, where it is one of the rig's repository; else of the rig's `localPath`, where that is
    /// one on this machine; else those of the repository.
    pub(super) async fn around(access: &Access, rig: &Rig) -> Result<Self, Failure> {
        let checkout = match &access.checkout {
            Some(top) => Checkout::around(top),
            None => std::env::current_dir().ok().and_then(|dir| Checkout::around(&dir)),
        };
        let is_of_rig = |checkout: &Checkout| {
            let local = rig.spec.local_path.as_ref();
            let here = access.rig_here.as_deref() == Some(rig.name_any().as_str());
            here || local.is_some_and(|p| Path::new(p) == checkout.top) || checkout.is_of(&rig.spec.git_url)
        };
        match checkout.filter(is_of_rig).or_else(|| local(rig)) {
            Some(checkout) => Self::read(&folder(&checkout.top)),
            None => Ok(Self::fetch(rig).await.unwrap_or_else(|why| {
                let url = Remote::parse(&rig.spec.git_url).map_or_else(|_| "the rig".to_owned(), |r| r.to_string());
                note(format!(
                    "note: your git cannot read the beads of {url}: {why}\nnote: the pod looks them up; or run this in a \
                     checkout of it, or say what to do with --message"
                ));
                Self::default()
            })),
        }
    }

    fn read(folder: &Path) -> Result<Self, Failure> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(Self::default());
        };
        let files = entries.filter_map(|e| e.ok().map(|e| e.path()).filter(|p| p.is_file()));
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (files, left) = to_read(files, name);
        let mut known = Self::default();
        known.export.pass_over(left);
        for file in files {
            let size = usize::try_from(fs::metadata(&file)?.len()).unwrap_or(usize::MAX);
            match size <= known.export.room() {
                true => known.take(&file.display().to_string(), &fs::read(&file)?),
                false => known.export.pass_over(1),
            }
        }
        known.done(folder.display().to_string());
        Ok(known)
    }

    /// With the person's own git; the error is words for them.
    async fn fetch(rig: &Rig) -> Result<Self, String> {
        let text = |e: GitError| e.to_string();
        let remote = Remote::parse(&rig.spec.git_url).map_err(|e| e.to_string())?;
        let branch = rig.spec.target_branch.as_deref().filter(|b| !b.is_empty());
        let branch = branch.unwrap_or("main");
        let theirs = RefName::parse(&format!("refs/heads/{branch}")).map_err(|e| e.to_string())?;
        let git = Git::probe().await.map_err(text)?.with_timeout(PATIENCE).as_user();
        let scratch = Scratch::new();
        let repo = git.init_bare(&scratch.0).await.map_err(text)?;
        let fetched = repo.fetch_folder(&remote, (&theirs, &theirs), FOLDER, is_export).await;
        let tip = fetched
            .map_err(text)?
            .ok_or_else(|| format!("it has no branch {branch}"))?;
        let files = repo.files_in(&tip, FOLDER).await.map_err(text)?;
        let (files, left) = to_read(files, |f| f.name.clone());
        let mut known = Self::default();
        known.export.pass_over(left);
        for file in files {
            match repo.read_blob(&file.blob, known.export.room()).await {
                Ok(content) => known.take(&format!("{FOLDER}/{} of {remote}", file.name), &content),
                Err(GitError::TooLarge { .. }) => known.export.pass_over(1),
                Err(error) => return Err(text(error)),
            }
        }
        known.done(format!("{FOLDER} of {remote}"));
        Ok(known)
    }

    fn take(&mut self, name: &str, content: &[u8]) {
        let broken = self.export.read(content);
        if broken > 0 {
            note(format!(
                "note: {name} has {broken} line(s) that are no JSON objects (a merge conflict?): passed over"
            ));
        }
    }

    fn done(&mut self, from: String) {
        let left = self.export.unread();
        if left > 0 {
            note(format!(
                "note: {from} has {left} file(s) too large or too many for an export: passed over"
            ));
        }
        self.from = Some(from).filter(|_| !self.export.is_empty());
    }
}

/// The rig's `localPath`, as far as it is a checkout here.
fn local(rig: &Rig) -> Option<Checkout> {
    let found = local_path::checkout(rig.spec.local_path.as_deref()?, &rig.spec.git_url);
    let passed_over = |why: &String| {
        let name = rig.name_any();
        note(format!(
            "note: localPath of rig {name}: {why}: the beads are read from its repository"
        ));
    };
    found.inspect_err(passed_over).ok()
}

/// `.beads`, or where its `redirect` file points: worktrees share one.
fn folder(top: &Path) -> PathBuf {
    let here = top.join(FOLDER);
    match fs::read_to_string(here.join("redirect")) {
        Ok(target) if !target.trim().is_empty() => top.join(target.trim()),
        _ => here,
    }
}
