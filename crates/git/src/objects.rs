//! Blobs and trees, written and read without a work tree.

use std::path::Path;

use crate::call::path_bytes;
use crate::commit::batch_entry;
use crate::error::GitError;
use crate::names::{NameError, Oid};
use crate::process::Cap;
use crate::repo::Repo;

/// One entry of a tree to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    /// A file.
    File {
        /// Its name, without a slash.
        name: String,
        /// Its content.
        blob: Oid,
    },
    /// A folder.
    Folder {
        /// Its name, without a slash.
        name: String,
        /// Its content.
        tree: Oid,
    },
}

/// A file in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// Its name, without the folder; what is not UTF-8 is replaced in it.
    pub name: String,
    /// Its content, which need not be here.
    pub blob: Oid,
}

/// Longest listing of a folder that is read: the names of some thousand files. Bytes.
const LISTING: usize = 1024 * 1024;

impl Repo {
    /// Stores bytes as they are.
    ///
    /// # Errors
    /// If they cannot be stored.
    pub async fn write_blob(&self, bytes: Vec<u8>) -> Result<Oid, GitError> {
        self.call("hash-object")
            .args(["-w", "--no-filters", "--stdin"])
            .stdin(bytes)
            .oid()
            .await
    }

    /// Writes a tree.
    ///
    /// # Errors
    /// If a name is not the name of a file, an object is missing, or it cannot be stored.
    pub async fn mktree(&self, entries: &[TreeEntry]) -> Result<Oid, GitError> {
        let mut input = Vec::new();
        for entry in entries {
            let (mode, name, oid) = match entry {
                TreeEntry::File { name, blob } => ("100644 blob", name, blob),
                TreeEntry::Folder { name, tree } => ("040000 tree", name, tree),
            };
            if name.is_empty() || matches!(name.as_str(), "." | ".." | ".git") || name.contains(['/', '\0']) {
                let why = "the name of one file or folder is needed";
                return Err(NameError {
                    kind: "tree entry",
                    name: name.clone(),
                    why,
                }
                .into());
            }
            input.extend(format!("{mode} {oid}\t{name}\0").bytes());
        }
        self.call("mktree").arg("-z").stdin(input).oid().await
    }

    /// The file at `path` (relative, from the top) in a commit; `None` if there is none or it is not a file.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] beyond `most` bytes; if the commit is not here.
    pub async fn read_file_at(&self, commit: &Oid, path: &Path, most: usize) -> Result<Option<Vec<u8>>, GitError> {
        let call = self
            .call("ls-tree")
            .args(["-z", "--full-tree"])
            .arg(commit.as_str())
            .end_of_options()
            .arg(path);
        let answer = call.ok().await?;
        let Some((mode, oid)) = tree_line(&answer.stdout, path) else {
            return Ok(None);
        };
        if !mode.starts_with("100") {
            return Ok(None);
        }
        let oid = Oid::parse(oid).map_err(|e| answer.unreadable(e.to_string()))?;
        self.read_blob(&oid, most).await.map(Some)
    }

    /// The file at `path` in each of these commits, whether it is a link or not: `None` where there is none, or it is longer than
    /// `most` bytes. Two commands, however many they are.
    ///
    /// # Errors
    /// If git cannot tell.
    pub async fn read_files_at(
        &self,
        commits: &[&Oid],
        path: &str,
        most: usize,
    ) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        let asked = commits.iter().map(|commit| format!("{commit}:{path}"));
        let check = "--batch-check=%(objectname) %(objecttype) %(objectsize)";
        let answer = self.cat_file(check, asked).await?.text();
        let blobs: Vec<Option<Oid>> = answer.lines().map(|line| blob_line(line, most)).collect();
        let answer = self.cat_file("--batch", blobs.iter().flatten()).await?;
        let mut rest = answer.stdout.as_slice();
        let mut files = Vec::with_capacity(commits.len());
        for blob in blobs {
            let Some(blob) = blob else {
                files.push(None);
                continue;
            };
            let (content, after) = batch_entry(&blob, "blob", rest)
                .ok_or_else(|| answer.unreadable(format!("{blob} is not a file here")))?;
            files.push(Some(content.to_vec()));
            rest = after;
        }
        Ok(files)
    }

    /// The content of a file.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] beyond `most` bytes; if it is not here.
    pub async fn read_blob(&self, blob: &Oid, most: usize) -> Result<Vec<u8>, GitError> {
        let call = self.call("cat-file").args(["blob", blob.as_str()]).cap(Cap::Fail(most));
        Ok(call.ok().await?.stdout)
    }

    /// The files of one folder (relative, from the top) in a commit, by name; links and folders in it are none. Of a folder
    /// with very many, the first some thousand. None where there is no such folder.
    ///
    /// # Errors
    /// If the commit is not here.
    pub async fn files_in(&self, commit: &Oid, folder: &str) -> Result<Vec<TreeFile>, GitError> {
        let call = self
            .call("ls-tree")
            .args(["-z", "--full-tree"])
            .arg(commit.as_str())
            .end_of_options()
            .arg(format!("{folder}/"))
            .cap(Cap::Truncate(LISTING));
        let answer = call.ok().await?;
        let mut lines: Vec<&[u8]> = crate::call::fields(&answer.stdout).collect();
        if answer.truncated {
            // The last one was cut, perhaps within its name.
            lines.pop();
        }
        Ok(lines.into_iter().filter_map(tree_file).collect())
    }
}

/// Reads `<id> blob <size>`; none where it is something else or too long.
fn blob_line(line: &str, most: usize) -> Option<Oid> {
    let (id, size) = line.split_once(" blob ")?;
    (size.parse::<usize>().ok()? <= most).then_some(())?;
    Oid::parse(id).ok()
}

/// Reads `<mode> <type> <id>\t<path>`; none where it is no file.
fn tree_file(line: &[u8]) -> Option<TreeFile> {
    let tab = line.iter().position(|b| *b == b'\t')?;
    let (about, path) = line.split_at_checked(tab)?;
    let mut words = std::str::from_utf8(about).ok()?.split_ascii_whitespace();
    let mode = words.next()?;
    let blob = words.nth(1)?;
    let name = path.get(1..)?.rsplit(|b| *b == b'/').next()?;
    mode.starts_with("100").then_some(())?;
    Some(TreeFile {
        name: String::from_utf8_lossy(name).into_owned(),
        blob: Oid::parse(blob).ok()?,
    })
}

/// Finds `path` in `<mode> <type> <id>\t<path>\0...`: mode and id.
fn tree_line<'a>(listing: &'a [u8], path: &Path) -> Option<(&'a str, &'a str)> {
    crate::call::fields(listing).find_map(|line| {
        let tab = line.iter().position(|b| *b == b'\t')?;
        let (about, name) = line.split_at_checked(tab)?;
        if name.get(1..)? != path_bytes(path) {
            return None;
        }
        let mut words = std::str::from_utf8(about).ok()?.split(' ');
        Some((words.next()?, words.nth(1)?))
    })
}
