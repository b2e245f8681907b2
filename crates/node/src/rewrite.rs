//! Mount paths rewritten to real folders, for containers that share the host's file system.

use std::path::PathBuf;

/// Replaces mount paths in the strings of a container.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rewriter {
    /// Longest first, so that a mount inside another one wins.
    pairs: Vec<(String, String)>,
}

impl Rewriter {
    pub(crate) fn new(mounts: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        let mut pairs: Vec<(String, String)> = mounts
            .into_iter()
            .map(|(from, to)| (from.to_string_lossy().into_owned(), to.to_string_lossy().into_owned()))
            .collect();
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Self { pairs }
    }

    /// Every mount path in the text becomes its real folder, wherever it stands as a path of its own
    /// or as the start of one: `/workspace/repo` and `"/workspace"`, but not `/workspace2` or `a/workspace`.
    pub(crate) fn rewrite(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('/') {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let starts = out.ends_with("file://") || !out.chars().next_back().is_some_and(in_path);
            let hit = starts
                .then(|| self.pairs.iter().find(|(mount, _)| leads(from, mount)))
                .flatten();
            if let Some((mount, real)) = hit {
                out.push_str(real);
                rest = from.get(mount.len()..).unwrap_or_default();
            } else {
                out.push('/');
                rest = from.get(1..).unwrap_or_default();
            }
        }
        out.push_str(rest);
        out
    }
}

fn leads(text: &str, mount: &str) -> bool {
    text.strip_prefix(mount)
        .is_some_and(|tail| tail.starts_with('/') || !tail.chars().next().is_some_and(in_path))
}

fn in_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_rewritten_and_the_longest_mount_wins() {
        let rewriter = Rewriter::new([
            ("/workspace".into(), "/d/w".into()),
            ("/workspace/cache".into(), "/d/c".into()),
            ("/tmp".into(), "/d/tmp".into()),
        ]);
        for (text, want) in [
            ("/workspace", "/d/w"),
            ("/workspace/repo", "/d/w/repo"),
            ("/workspace/cache/x", "/d/c/x"),
            ("/workspace/cache2", "/d/w/cache2"),
            ("/workspace2", "/workspace2"),
            ("/a/workspace", "/a/workspace"),
            ("--dir=/workspace", "--dir=/d/w"),
            (r#"{"a":"/workspace/x","b":"/tmp"}"#, r#"{"a":"/d/w/x","b":"/d/tmp"}"#),
            ("/usr/bin:/workspace/bin:/tmp", "/usr/bin:/d/w/bin:/d/tmp"),
            ("file:///workspace/r.git", "file:///d/w/r.git"),
            ("https://tmp/x", "https://tmp/x"),
            ("cd /workspace; é/tmp", "cd /d/w; é/tmp"),
        ] {
            assert_eq!(rewriter.rewrite(text), want, "{text}");
        }
    }
}
