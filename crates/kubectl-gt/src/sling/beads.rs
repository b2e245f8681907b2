//! What a bead says, from `.beads/*.jsonl` in the checkout, when that is the rig's repository.

use crate::checkout::Checkout;
use crate::output::note;
use crate::{Access, Failure};
use gastown_api::Rig;
use gastown_wire::beads::{Bead, read_into};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file larger than this is not read: no tracker's export is.
const LARGEST: u64 = 128 * 1024 * 1024;

/// The beads that are known here.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// By ID; none where no checkout of the rig's repository is around, or it has no export.
    beads: BTreeMap<String, Bead>,
    /// Where they were read.
    from: Option<PathBuf>,
}

impl Known {
    pub(super) fn get(&self, id: &str) -> Option<&Bead> {
        self.beads.get(id)
    }

    /// Where they were read, if there are any.
    pub(super) fn from(&self) -> Option<&Path> {
        self.from.as_deref()
    }

    /// Those of the current checkout.
    pub(super) fn around(access: &Access, rig: &Rig) -> Result<Self, Failure> {
        let checkout = match &access.checkout {
            Some(top) => Checkout::around(top),
            None => std::env::current_dir().ok().and_then(|dir| Checkout::around(&dir)),
        };
        let Some(checkout) = checkout else {
            return Ok(Self::default());
        };
        let local = rig
            .spec
            .local_path
            .as_ref()
            .is_some_and(|p| Path::new(p) == checkout.top);
        let here = access.rig_here.as_deref() == Some(rig.name_any().as_str());
        if !local && !here && !checkout.is_of(&rig.spec.git_url) {
            return Ok(Self::default());
        }
        Self::read(&folder(&checkout.top))
    }

    fn read(folder: &Path) -> Result<Self, Failure> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Ok(Self::default());
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
            .collect();
        files.sort();
        let mut known = Self::default();
        for file in files {
            if fs::metadata(&file).is_ok_and(|m| !m.is_file() || m.len() > LARGEST) {
                note(format!("note: {} is no export of beads: passed over", file.display()));
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
            let broken = read_into(&mut known.beads, &text);
            if broken > 0 {
                note(format!(
                    "note: {} has {broken} line(s) that are not JSON (a merge conflict?): passed over",
                    file.display()
                ));
            }
        }
        if !known.beads.is_empty() {
            known.from = Some(folder.to_owned());
        }
        Ok(known)
    }
}

/// `.beads`, or where its `redirect` file points: worktrees share one.
fn folder(top: &Path) -> PathBuf {
    let here = top.join(".beads");
    match fs::read_to_string(here.join("redirect")) {
        Ok(target) if !target.trim().is_empty() => top.join(target.trim()),
        _ => here,
    }
}
