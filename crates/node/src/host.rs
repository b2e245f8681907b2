//! What containers see of the host: system folders and toolchains, read-only; never what is hidden.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::namespaces::{Bind, Rootfs, make_dir};
use crate::options::NodeOptions;
use crate::volumes::Mount;

/// System folders, or links to such, at the top of the root.
const SYSTEM: &[&str] = &[
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/opt", "/nix",
];

/// What programs need of `/etc`. Everything else there (shadow, host keys) stays out.
const ETC: &[&str] = &[
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "environment",
    "fonts",
    "gai.conf",
    "gitconfig",
    "host.conf",
    "hosts",
    "inputrc",
    "java",
    "java-11-openjdk",
    "java-17-openjdk",
    "java-21-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "locale.alias",
    "locale.conf",
    "mime.types",
    "nsswitch.conf",
    "openssl",
    "os-release",
    "perl",
    "pki",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "resolv.conf",
    "services",
    "ssl",
    "static",
    "terminfo",
    "timezone",
    "vulkan",
    "xdg",
];

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The part of the host that every container gets, found once.
#[derive(Debug, Default)]
pub(crate) struct HostView {
    /// Bound read-only at the same path.
    binds: Vec<PathBuf>,
    /// Link to its content, as on the host.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Hidden folders that lie inside a bind.
    covers: Vec<PathBuf>,
    /// Named by the options, bound even inside hidden folders.
    prefix: Vec<PathBuf>,
    /// Value of `PATH` where a container sets none.
    path: String,
}

/// One container's choices for its root.
pub(crate) struct RootRequest<'a> {
    pub(crate) root: &'a Path,
    pub(crate) hostname: &'a str,
    pub(crate) read_only: bool,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: &'a str,
    pub(crate) workdir: &'a Path,
    /// Files and folders of the pod.
    pub(crate) mounts: &'a [Mount],
}

impl HostView {
    pub(crate) fn discover(options: &NodeOptions) -> Self {
        let mut hide: Vec<PathBuf> = options.hide.clone();
        hide.push(options.data.clone());
        let hide: Vec<PathBuf> = hide.into_iter().map(|h| h.canonicalize().unwrap_or(h)).collect();
        let hidden = |path: &Path| hide.iter().any(|h| path.starts_with(h));
        let mut view = Self::default();
        let etc = ETC.iter().map(|name| Path::new("/etc").join(name));
        for path in SYSTEM.iter().map(PathBuf::from).chain(etc) {
            if let Ok(to) = fs::read_link(&path)
                && path.parent() == Some(Path::new("/"))
            {
                view.links.insert(path, to);
            } else if path.exists() && !hidden(&path) {
                view.binds.push(path);
            }
        }
        view.prefix = options.path_prefix.clone();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut extra = Vec::new();
        for dir in std::env::split_paths(&path) {
            let Ok(real) = dir.canonicalize() else {
                continue;
            };
            if !dir.is_absolute() || hidden(&real) || hidden(&dir) {
                continue;
            }
            extra.push(dir.to_string_lossy().into_owned());
            if !view.has(&dir) {
                view.binds.push(toolchain(&dir, &hide));
            }
        }
        for dir in DEFAULT_PATH.split(':') {
            if !extra.iter().any(|e| e == dir) {
                extra.push(dir.to_owned());
            }
        }
        view.path = extra.join(":");
        view.covers = hide
            .iter()
            .filter(|h| h.is_dir() && view.binds.iter().any(|b| h.starts_with(b)))
            .cloned()
            .collect();
        view
    }

    /// `PATH` of a container: the node's own folders, then what the container or the host says.
    pub(crate) fn path(&self, own: Option<&str>) -> String {
        let mut dirs: Vec<String> = self.prefix.iter().map(|p| p.to_string_lossy().into_owned()).collect();
        dirs.push(own.unwrap_or(&self.path).to_owned());
        dirs.join(":")
    }

    fn has(&self, path: &Path) -> bool {
        self.binds.iter().any(|b| path.starts_with(b)) || self.links.keys().any(|l| path.starts_with(l))
    }

    /// Makes the root folder of a container and lists what is mounted in it.
    ///
    /// # Errors
    /// The disk refuses, or a mount would leave the container through a link.
    pub(crate) fn rootfs(&self, request: &RootRequest<'_>) -> Result<Rootfs, String> {
        let root = request.root;
        make_dir(root)?;
        let mut links = self.links.clone();
        let mut binds = self.binds.clone();
        for mount in request.mounts {
            check_nesting(mount, request.mounts)?;
            links.remove(&mount.target);
            binds = spread(binds, &mount.target, &mut links);
        }
        for (link, to) in &links {
            let at = inside(root, link);
            if let Some(parent) = at.parent() {
                make_dir(parent)?;
            }
            if at.symlink_metadata().is_err() {
                std::os::unix::fs::symlink(to, &at).map_err(|e| format!("{}: {e}", at.display()))?;
            }
        }
        let mounted = |path: &Path| request.mounts.iter().any(|m| path.starts_with(&m.target));
        if !mounted(Path::new("/etc")) {
            accounts(root, request)?;
        }
        let mut tmpfs: Vec<PathBuf> = self.covers.clone();
        if !mounted(Path::new("/tmp")) {
            if request.read_only {
                tmpfs.push("/tmp".into());
            } else {
                let tmp = root.join("tmp");
                make_dir(&tmp)?;
                let _ = fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777));
            }
        }
        let bound = |path: &Path| binds.iter().any(|b| path.starts_with(b));
        if !mounted(request.workdir) && !bound(request.workdir) {
            make_dir(&inside(root, request.workdir))?;
        }
        tmpfs.retain(|t| !request.mounts.iter().any(|m| m.target == *t));
        let host = |path: PathBuf| Bind {
            source: path.clone(),
            target: path,
            read_only: true,
        };
        let own = request.mounts.iter().map(|m| Bind {
            source: m.source.clone(),
            target: m.target.clone(),
            read_only: m.read_only,
        });
        Ok(Rootfs {
            root: root.to_owned(),
            read_only: request.read_only,
            hostname: request.hostname.to_owned(),
            uid: request.uid,
            gid: request.gid,
            // Later ones lie over earlier ones: the node's own programs over a volume that is mounted above them.
            binds: binds
                .into_iter()
                .map(host)
                .chain(own)
                .chain(self.prefix.iter().cloned().map(host))
                .collect(),
            tmpfs,
        })
    }

    /// Where a path of a container really is on the host.
    pub(crate) fn locate(&self, path: &Path, root: &Path, mounts: &[Mount]) -> Option<PathBuf> {
        let mut path = path.to_owned();
        for _ in 0..16 {
            let mount = mounts
                .iter()
                .filter(|m| path.starts_with(&m.target))
                .max_by_key(|m| m.target.components().count());
            let real = match mount {
                _ if self.prefix.iter().any(|p| path.starts_with(p)) => path.clone(),
                Some(m) => join(&m.source, path.strip_prefix(&m.target).ok()?),
                None if self.has(&path) => path.clone(),
                None => inside(root, &path),
            };
            match fs::read_link(&real) {
                // An absolute link means a path of the container, not of the host.
                Ok(to) => path = path.parent()?.join(to),
                Err(_) => return real.exists().then_some(real),
            }
        }
        None
    }
}

/// The folder to bind for a folder of `PATH`: with what stands beside `bin`, unless that is too much.
fn toolchain(dir: &Path, hide: &[PathBuf]) -> PathBuf {
    let parent = dir.parent().filter(|p| {
        let bin = dir.ends_with("bin") || dir.ends_with("sbin");
        bin && p.components().count() > 2 && !hide.iter().any(|h| h.starts_with(p))
    });
    parent.unwrap_or(dir).to_owned()
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// `Path::join` that adds no slash for nothing.
fn join(base: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        base.to_owned()
    } else {
        base.join(rest)
    }
}

/// Where a mount lies inside a bind of the host, its mount point would be made on the host: such a
/// bind becomes binds of its entries, down to the mount point.
fn spread(binds: Vec<PathBuf>, target: &Path, links: &mut BTreeMap<PathBuf, PathBuf>) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for bind in binds {
        if !target.starts_with(&bind) || target == bind || (target.is_dir() && !target.is_symlink()) {
            if target != bind {
                out.push(bind);
            }
            continue;
        }
        let mut children = Vec::new();
        for entry in fs::read_dir(&bind).into_iter().flatten().flatten() {
            let path = entry.path();
            if let Ok(to) = fs::read_link(&path) {
                if path != target {
                    links.insert(path, to);
                }
            } else if path.exists() {
                children.push(path);
            }
        }
        out.extend(spread(children, target, links));
    }
    out
}

/// A mount inside a volume: its mount point is made in the volume, which must not lead elsewhere.
fn check_nesting(mount: &Mount, all: &[Mount]) -> Result<(), String> {
    for outer in all {
        let Ok(rest) = mount.target.strip_prefix(&outer.target) else {
            continue;
        };
        let mut at = outer.source.clone();
        for part in rest.components() {
            at.push(part);
            if at.is_symlink() {
                return Err(format!(
                    "the mount path {} leads through a link in another volume",
                    mount.target.display()
                ));
            }
        }
    }
    Ok(())
}

/// Accounts for the container's own user, without which many programs refuse to run.
fn accounts(root: &Path, request: &RootRequest<'_>) -> Result<(), String> {
    let etc = root.join("etc");
    make_dir(&etc)?;
    let RootRequest { uid, gid, home, .. } = request;
    let mut passwd = String::new();
    let mut group = String::new();
    if *uid != 0 {
        passwd.push_str("root:x:0:0:root:/root:/bin/sh\n");
    }
    if *gid != 0 {
        group.push_str("root:x:0:\n");
    }
    let name = if *uid == 0 { "root" } else { "user" };
    passwd.push_str(&format!("{name}:x:{uid}:{gid}:{name}:{home}:/bin/sh\n"));
    passwd.push_str("nobody:x:65534:65534:nobody:/:/bin/false\n");
    group.push_str(&format!("{name}:x:{gid}:\nnogroup:x:65534:\n"));
    for (name, text) in [("passwd", passwd), ("group", group)] {
        let path = etc.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(target: &str, source: &Path) -> Mount {
        Mount {
            source: source.to_owned(),
            target: target.into(),
            read_only: false,
        }
    }

    #[test]
    fn a_mount_inside_a_host_folder_is_not_made_on_the_host() {
        let host = tempfile::tempdir().unwrap();
        let host = host.path().canonicalize().unwrap();
        fs::create_dir_all(host.join("a/b")).unwrap();
        fs::write(host.join("a/file"), "").unwrap();
        std::os::unix::fs::symlink("file", host.join("a/link")).unwrap();
        let mut links = BTreeMap::new();
        let mut binds = spread(vec![host.clone()], &host.join("a/new"), &mut links);
        binds.sort();
        assert_eq!(binds, [host.join("a/b"), host.join("a/file")]);
        assert_eq!(links.get(&host.join("a/link")).unwrap(), Path::new("file"));
        let kept = spread(vec![host.clone()], &host.join("a/b"), &mut links);
        assert_eq!(kept, [host], "an existing folder is mounted over as it is");
    }

    #[test]
    fn a_mount_point_is_never_made_through_a_link() {
        let volume = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/usr", volume.path().join("cache")).unwrap();
        let outer = mount("/w", volume.path());
        let inner = mount("/w/cache/x", Path::new("/nowhere"));
        assert!(check_nesting(&inner, &[outer.clone(), inner.clone()]).is_err());
        let fine = mount("/w/other", Path::new("/nowhere"));
        assert!(check_nesting(&fine, &[outer, fine.clone()]).is_ok());
    }

    #[test]
    fn a_path_is_found_where_the_container_sees_it() {
        let volume = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(volume.path().join("real"), "").unwrap();
        std::os::unix::fs::symlink("/w/real", volume.path().join("link")).unwrap();
        let mounts = [mount("/w", volume.path())];
        let view = HostView::default();
        let real = Some(volume.path().join("real"));
        assert_eq!(view.locate(Path::new("/w/link"), root.path(), &mounts), real);
        assert_eq!(view.locate(Path::new("/w/none"), root.path(), &mounts), None);
        assert_eq!(view.locate(Path::new("/etc/shadow"), root.path(), &mounts), None);
    }
}
