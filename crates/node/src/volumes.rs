//! Volumes of a pod: folders under its own, filled from the API.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Pod, ProjectedVolumeSource, Volume,
};

use crate::env;
use crate::sources::{SourceError, Sources};

/// Files of a volume: path inside it, content, mode.
type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

const DEFAULT_MODE: i32 = 0o644;

/// Where each volume of a pod really is, by volume name.
pub(crate) type Volumes = BTreeMap<String, PathBuf>;

/// One mount of a container, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

/// What volumes are made from.
pub(crate) struct VolumeMaker<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) node: &'a str,
    /// `pods/<uid>/volumes`
    pub(crate) dir: PathBuf,
    pub(crate) host_paths: &'a [PathBuf],
    pub(crate) sources: &'a Sources,
}

impl VolumeMaker<'_> {
    /// Makes every volume of the pod; one that exists keeps what is in it.
    ///
    /// # Errors
    /// Something a volume names is missing, not allowed here, or the disk refuses.
    pub(crate) async fn make(&self) -> Result<Volumes, SourceError> {
        let mut made = Volumes::new();
        let volumes = self.pod.spec.as_ref().and_then(|s| s.volumes.as_ref());
        for volume in volumes.into_iter().flatten() {
            let path = if let Some(host) = &volume.host_path {
                self.host_path(volume, host)?
            } else {
                let path = self.dir.join(checked(volume, Path::new(&volume.name))?);
                let disk = |source| disk(volume, source);
                folder(&path, 0o777).map_err(disk)?;
                if let Some(files) = self.files(volume).await? {
                    write(&path, files).map_err(disk)?;
                }
                path
            };
            made.insert(volume.name.clone(), path);
        }
        Ok(made)
    }

    /// Writes the downward-API volumes again, after labels or annotations changed.
    pub(crate) async fn refresh_downward(&self) -> Result<(), SourceError> {
        let volumes = self.pod.spec.as_ref().and_then(|s| s.volumes.as_ref());
        for volume in volumes.into_iter().flatten() {
            let projected = volume
                .projected
                .as_ref()
                .and_then(|p| p.sources.as_ref())
                .is_some_and(|s| s.iter().any(|s| s.downward_api.is_some()));
            if (volume.downward_api.is_some() || projected)
                && let Some(files) = self.files(volume).await?
            {
                let path = self.dir.join(checked(volume, Path::new(&volume.name))?);
                write(&path, files).map_err(|source| disk(volume, source))?;
            }
        }
        Ok(())
    }

    /// The files of a volume that has its content from the API; `None` for an emptyDir.
    async fn files(&self, volume: &Volume) -> Result<Option<Files>, SourceError> {
        let mut files = Files::new();
        if volume.empty_dir.is_some() {
            return Ok(None);
        } else if let Some(v) = &volume.secret {
            let name = v.secret_name.as_deref().unwrap_or_default();
            let optional = v.optional == Some(true);
            let values = self.sources.secret(name, optional).await?;
            let items = Items::of("Secret", name, v.items.as_deref(), optional, v.default_mode);
            items.select(volume, values, &mut files)?;
        } else if let Some(v) = &volume.config_map {
            let optional = v.optional == Some(true);
            let values = self.sources.config_map(&v.name, optional).await?;
            let items = Items::of("ConfigMap", &v.name, v.items.as_deref(), optional, v.default_mode);
            items.select(volume, values, &mut files)?;
        } else if let Some(v) = &volume.downward_api {
            self.downward(volume, v.items.as_deref(), v.default_mode, &mut files)?;
        } else if let Some(v) = &volume.projected {
            self.projected(volume, v, &mut files).await?;
        } else {
            return Err(refused(volume, "this node does not know its kind"));
        }
        Ok(Some(files))
    }

    async fn projected(
        &self,
        volume: &Volume,
        projected: &ProjectedVolumeSource,
        files: &mut Files,
    ) -> Result<(), SourceError> {
        let mode = projected.default_mode;
        for source in projected.sources.iter().flatten() {
            if let Some(v) = &source.secret {
                let optional = v.optional == Some(true);
                let values = self.sources.secret(&v.name, optional).await?;
                Items::of("Secret", &v.name, v.items.as_deref(), optional, mode).select(volume, values, files)?;
            } else if let Some(v) = &source.config_map {
                let optional = v.optional == Some(true);
                let values = self.sources.config_map(&v.name, optional).await?;
                Items::of("ConfigMap", &v.name, v.items.as_deref(), optional, mode).select(volume, values, files)?;
            } else if let Some(v) = &source.downward_api {
                self.downward(volume, v.items.as_deref(), mode, files)?;
            } else {
                return Err(refused(
                    volume,
                    "this node projects Secrets, ConfigMaps and fields, no tokens; \
                     set automountServiceAccountToken: false",
                ));
            }
        }
        Ok(())
    }

    fn downward(
        &self,
        volume: &Volume,
        items: Option<&[DownwardAPIVolumeFile]>,
        default_mode: Option<i32>,
        files: &mut Files,
    ) -> Result<(), SourceError> {
        for item in items.into_iter().flatten() {
            let path = item
                .field_ref
                .as_ref()
                .map(|f| f.field_path.as_str())
                .unwrap_or_default();
            let value = env::field(self.pod, self.node, path)
                .ok_or_else(|| SourceError::Unsupported(format!("fieldRef {path:?}")))?;
            let mode = mode_of(item.mode.or(default_mode));
            files.insert(checked(volume, Path::new(&item.path))?, (value.into_bytes(), mode));
        }
        Ok(())
    }

    /// A host path is allowed at or below the node's list, after links are followed.
    fn host_path(&self, volume: &Volume, host: &HostPathVolumeSource) -> Result<PathBuf, SourceError> {
        let asked = Path::new(&host.path);
        let allowed = |path: &Path| {
            self.host_paths
                .iter()
                .any(|a| path.starts_with(a.canonicalize().unwrap_or_else(|_| a.clone())))
        };
        let kind = host.type_.as_deref().unwrap_or_default();
        if kind == "DirectoryOrCreate" && !asked.exists() {
            // Decided on the nearest folder that exists, since what does not exist has no links.
            let existing = asked.ancestors().find_map(|a| a.canonicalize().ok());
            let plain = !asked.components().any(|c| c == Component::ParentDir);
            if plain && existing.is_some_and(|e| allowed(&e)) {
                fs::create_dir_all(asked).map_err(|source| disk(volume, source))?;
            }
        }
        let real = asked
            .canonicalize()
            .map_err(|e| refused(volume, &format!("hostPath {}: {e}", host.path)))?;
        if !allowed(&real) {
            return Err(refused(
                volume,
                &format!("hostPath {} is not among those this node allows", host.path),
            ));
        }
        let fits = match kind {
            "Directory" | "DirectoryOrCreate" => real.is_dir(),
            "File" | "FileOrCreate" => real.is_file(),
            _ => true,
        };
        if fits {
            Ok(real)
        } else {
            Err(refused(volume, &format!("hostPath {} is no {kind}", host.path)))
        }
    }
}

/// Which entries of a Secret or ConfigMap become which files.
struct Items<'a> {
    kind: &'static str,
    name: &'a str,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
    default_mode: Option<i32>,
}

impl<'a> Items<'a> {
    fn of(
        kind: &'static str,
        name: &'a str,
        items: Option<&'a [KeyToPath]>,
        optional: bool,
        default_mode: Option<i32>,
    ) -> Self {
        Self {
            kind,
            name,
            items,
            optional,
            default_mode,
        }
    }

    fn select(
        &self,
        volume: &Volume,
        mut values: BTreeMap<String, Vec<u8>>,
        files: &mut Files,
    ) -> Result<(), SourceError> {
        let Some(items) = self.items else {
            for (key, value) in values {
                let path = checked(volume, Path::new(&key))?;
                files.insert(path, (value, mode_of(self.default_mode)));
            }
            return Ok(());
        };
        for item in items {
            match values.remove(&item.key) {
                Some(value) => {
                    let mode = mode_of(item.mode.or(self.default_mode));
                    files.insert(checked(volume, Path::new(&item.path))?, (value, mode));
                }
                None if self.optional => {}
                None => {
                    return Err(SourceError::MissingKey {
                        kind: self.kind,
                        name: self.name.to_owned(),
                        key: item.key.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// The mounts of a container, with `subPath` folders made.
///
/// # Errors
/// A mount names no volume, or a path that leaves it.
pub(crate) fn mounts(container: &Container, volumes: &Volumes) -> Result<Vec<Mount>, SourceError> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let why = |why: &str| SourceError::Refused {
            volume: mount.name.clone(),
            why: why.to_owned(),
        };
        let volume = volumes
            .get(&mount.name)
            .ok_or_else(|| why("the pod has no volume of this name"))?;
        if mount.sub_path_expr.is_some() {
            return Err(SourceError::Unsupported("subPathExpr".to_owned()));
        }
        let target = Path::new(&mount.mount_path);
        if !target.is_absolute() || target == Path::new("/") || target.components().any(|c| c == Component::ParentDir) {
            return Err(why("its mountPath must be absolute, below / and without .."));
        }
        let source = match mount.sub_path.as_deref() {
            None | Some("") => volume.clone(),
            Some(sub) => {
                let sub = plain(Path::new(sub)).ok_or_else(|| why("its subPath leaves it"))?;
                let path = volume.join(sub);
                if !path.exists() {
                    folder(&path, 0o777).map_err(|source| SourceError::Disk {
                        volume: mount.name.clone(),
                        source,
                    })?;
                }
                // A link that a container made must not lead out of the volume.
                let real = path.canonicalize().unwrap_or_default();
                if !real.starts_with(volume.canonicalize().unwrap_or_default()) {
                    return Err(why("its subPath leaves it"));
                }
                real
            }
        };
        mounts.push(Mount {
            source,
            // Drops a trailing slash and doubled ones.
            target: target.components().collect(),
            read_only: mount.read_only == Some(true),
        });
    }
    Ok(mounts)
}

fn refused(volume: &Volume, why: &str) -> SourceError {
    SourceError::Refused {
        volume: volume.name.clone(),
        why: why.to_owned(),
    }
}

fn disk(volume: &Volume, source: io::Error) -> SourceError {
    SourceError::Disk {
        volume: volume.name.clone(),
        source,
    }
}

fn mode_of(mode: Option<i32>) -> u32 {
    u32::try_from(mode.unwrap_or(DEFAULT_MODE)).unwrap_or(0o644) & 0o777
}

/// A relative path without `..`.
fn plain(path: &Path) -> Option<PathBuf> {
    path.components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
        .then(|| path.to_owned())
}

fn checked(volume: &Volume, path: &Path) -> Result<PathBuf, SourceError> {
    plain(path).ok_or_else(|| refused(volume, "a path in it leaves it"))
}

fn folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Replaces the files of a volume, each in one step, and removes those that are no longer in it.
fn write(dir: &Path, files: Files) -> io::Result<()> {
    for (path, (content, mode)) in &files {
        let target = dir.join(path);
        if fs::read(&target).is_ok_and(|old| old == *content) {
            continue;
        }
        if let Some(parent) = target.parent() {
            folder(parent, 0o755)?;
        }
        let new = dir.join(".new");
        let _ = fs::remove_file(&new);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(*mode)
            .open(&new)?;
        io::Write::write_all(&mut file, content)?;
        file.set_permissions(fs::Permissions::from_mode(*mode))?;
        fs::rename(&new, &target)?;
    }
    for entry in fs::read_dir(dir)?.flatten() {
        let name = PathBuf::from(entry.file_name());
        let wanted = files.keys().any(|path| path.starts_with(&name));
        if !wanted && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder that a container may have filled with read-only folders.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open_up(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::VolumeMount;

    #[test]
    fn a_file_is_replaced_and_what_left_the_volume_goes() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| (text.as_bytes().to_vec(), 0o600);
        write(
            dir.path(),
            Files::from([("a".into(), file("1")), ("d/b".into(), file("2"))]),
        )
        .unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("d/b")).unwrap(), "2".to_owned());
        write(dir.path(), Files::from([("d/b".into(), file("3"))])).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("d/b")).unwrap(), "3");
        assert!(!dir.path().join("a").exists());
        let mode = fs::metadata(dir.path().join("d/b")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_sub_path_cannot_leave_its_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().join("v");
        folder(&volume, 0o777).unwrap();
        std::os::unix::fs::symlink(dir.path(), volume.join("out")).unwrap();
        let volumes = Volumes::from([("v".to_owned(), volume.clone())]);
        let mounted = |sub: &str| {
            let container = Container {
                volume_mounts: Some(vec![VolumeMount {
                    name: "v".into(),
                    mount_path: "/x/".into(),
                    sub_path: Some(sub.into()),
                    ..Default::default()
                }]),
                ..Default::default()
            };
            mounts(&container, &volumes)
        };
        assert!(mounted("../other").is_err());
        assert!(mounted("out").is_err());
        let fine = mounted("new/folder").unwrap();
        assert_eq!(fine.first().unwrap().target, Path::new("/x"));
        assert!(volume.join("new/folder").is_dir());
    }
}
