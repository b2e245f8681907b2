//! The store on disk: one redb file, one lock beside it, and a refusal to guess when either looks wrong.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use serde_json::Value;

use crate::object::{Key, Object};

const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FILE: &str = "objects.redb";
/// What this build writes. A store with a greater number comes from a newer one.
const FORMAT: u64 = 1;
const CACHE: usize = 8 * 1024 * 1024;

/// Why a store cannot be opened. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another server of this one, uses the same data.
    #[error("{path} is in use by another process; stop that one, or name another data folder")]
    Locked {
        /// The data folder.
        path: PathBuf,
    },
    /// The file is not what we wrote. It is left as it is.
    #[error(
        "the store {path} is corrupt: {why}; nothing was changed. Put a copy of this file back if you have one, \
         or move it away to start empty (the work itself lies in git, not here)"
    )]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file was written by a later version of this program.
    #[error(
        "the store {path} has format {found}, this program knows {FORMAT}; use a newer program, or another data folder"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The format found in it.
        found: u64,
    },
    /// The operating system refused.
    #[error("cannot open the store {path}: {source}")]
    Io {
        /// What could not be opened.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// Opens the database file; a seam where tests put a disk that fails.
pub(crate) trait Backend: Send {
    fn open(&self) -> Result<Database, DatabaseError>;
    fn path(&self) -> &Path;
}

struct FileBackend(PathBuf);

impl Backend for FileBackend {
    fn open(&self) -> Result<Database, DatabaseError> {
        builder().create(&self.0)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

/// How every database of ours is opened: checked in full, whatever the way it was closed.
pub(crate) fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

/// A commit that did not happen, as far as we know.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CommitError {
    pub(crate) message: String,
    pub(crate) full: bool,
}

impl CommitError {
    fn new(error: &dyn std::error::Error) -> Self {
        let message = error.to_string();
        let full = message.contains("No space left") || message.contains("os error 28");
        CommitError { message, full }
    }
}

/// What was read back.
pub(crate) struct Loaded {
    pub(crate) rv: u64,
    pub(crate) objects: Vec<(Key, Arc<Object>)>,
}

/// The open store.
pub(crate) struct Disk {
    backend: Box<dyn Backend>,
    // `None` after a failed commit: redb refuses everything from then on, so it is opened anew.
    database: Option<Database>,
    /// Keys of failed commits. The disk may hold either side, so the next commit writes them again.
    suspects: BTreeSet<Key>,
    _lock: Option<File>,
}

impl Disk {
    /// Opens the store in `folder`, making both if there is nothing yet.
    pub(crate) fn open(folder: &Path) -> Result<(Disk, Loaded), OpenError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let lock = lock(folder)?;
        let file = folder.join(FILE);
        match std::fs::metadata(&file) {
            Ok(meta) if meta.len() == 0 => {
                return Err(OpenError::Corrupt {
                    path: file,
                    why: "the file is empty".to_owned(),
                });
            }
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => create(folder, &file)?,
            Err(e) => {
                return Err(OpenError::Io { path: file, source: e });
            }
        }
        let (mut disk, loaded) = Disk::over(Box::new(FileBackend(file)))?;
        disk._lock = Some(lock);
        Ok((disk, loaded))
    }

    /// Opens the store behind `backend`.
    pub(crate) fn over(backend: Box<dyn Backend>) -> Result<(Disk, Loaded), OpenError> {
        let path = backend.path().to_owned();
        let corrupt = |why: String| OpenError::Corrupt {
            path: path.clone(),
            why,
        };
        // redb answers damage with errors, and where it trusted its own file, with a panic.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = backend.open().map_err(|e| open_error(&path, e))?;
            let loaded = load(&database, &path)?;
            Ok::<_, OpenError>((database, loaded))
        }));
        let (database, loaded) = match opened {
            Ok(result) => result?,
            Err(_) => return Err(corrupt("its pages contradict each other".to_owned())),
        };
        let disk = Disk {
            backend,
            database: Some(database),
            suspects: BTreeSet::new(),
            _lock: None,
        };
        Ok((disk, loaded))
    }

    /// Writes all of `writes` or none. `current` tells what memory holds, to repair after a failure.
    pub(crate) fn commit(
        &mut self,
        writes: &[(Key, Option<Bytes>)],
        rv: u64,
        current: impl Fn(&Key) -> Option<Bytes>,
    ) -> Result<(), CommitError> {
        let result = self.try_commit(writes, rv, current);
        match &result {
            Ok(()) => self.suspects.clear(),
            Err(error) => {
                tracing::error!(error = error.message, "the store could not be written");
                self.suspects.extend(writes.iter().map(|(k, _)| k.clone()));
                self.database = None;
            }
        }
        result
    }

    fn try_commit(
        &mut self,
        writes: &[(Key, Option<Bytes>)],
        rv: u64,
        current: impl Fn(&Key) -> Option<Bytes>,
    ) -> Result<(), CommitError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.backend.open().map_err(|e| CommitError::new(&e))?,
        };
        let repairs: Vec<(Key, Option<Bytes>)> = self.suspects.iter().map(|k| (k.clone(), current(k))).collect();
        write(&database, repairs.iter().chain(writes), rv).map_err(|e| CommitError::new(&e))?;
        self.database = Some(database);
        Ok(())
    }
}

fn write<'a>(
    database: &Database,
    writes: impl Iterator<Item = &'a (Key, Option<Bytes>)>,
    rv: u64,
) -> Result<(), redb::Error> {
    // Durability::Immediate is redb's default: commit returns after the data is synced.
    let transaction = database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for (key, value) in writes {
            let key = encode(key);
            match value {
                Some(value) => objects.insert(key.as_str(), value.as_ref())?,
                None => objects.remove(key.as_str())?,
            };
        }
        transaction.open_table(META)?.insert("rv", rv)?;
    }
    transaction.commit()?;
    Ok(())
}

fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let io = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

/// Makes an empty store under another name first: a crash in here leaves nothing that looks corrupt.
fn create(folder: &Path, file: &Path) -> Result<(), OpenError> {
    let fresh = folder.join(format!("{FILE}.new"));
    let io = |source| OpenError::Io {
        path: fresh.clone(),
        source,
    };
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
        _ => {}
    }
    let database = builder().create(&fresh).map_err(|e| open_error(&fresh, e))?;
    initialise(&database).map_err(|e| io(io::Error::other(e.to_string())))?;
    drop(database);
    std::fs::rename(&fresh, file).map_err(io)?;
    File::open(folder).and_then(|d| d.sync_all()).map_err(io)
}

/// Writes the format into an empty database.
pub(crate) fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        transaction.open_table(OBJECTS)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        // Revision 0 means "any" in the API, so the first state has 1.
        meta.insert("rv", 1)?;
    }
    transaction.commit()?;
    Ok(())
}

fn open_error(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { path },
        DatabaseError::UpgradeRequired(found) => OpenError::Newer {
            path,
            found: found.into(),
        },
        DatabaseError::Storage(StorageError::Io(source))
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput
            ) =>
        {
            OpenError::Io { path, source }
        }
        other => OpenError::Corrupt {
            path,
            why: other.to_string(),
        },
    }
}

fn load(database: &Database, path: &Path) -> Result<Loaded, OpenError> {
    let corrupt = |why: String| OpenError::Corrupt {
        path: path.to_owned(),
        why,
    };
    let read = |e: redb::Error| corrupt(e.to_string());
    let transaction = database.begin_read().map_err(|e| read(e.into()))?;
    let meta = transaction.open_table(META).map_err(|e| read(e.into()))?;
    let number = |name: &str| -> Result<u64, OpenError> {
        let found = meta.get(name).map_err(|e| read(e.into()))?;
        found
            .map(|v| v.value())
            .ok_or_else(|| corrupt(format!("it does not say its {name}")))
    };
    let format = number("format")?;
    if format > FORMAT {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: format,
        });
    }
    let rv = number("rv")?;
    let table = transaction.open_table(OBJECTS).map_err(|e| read(e.into()))?;
    let mut objects = Vec::new();
    for entry in table.iter().map_err(|e| read(e.into()))? {
        let (key, value) = entry.map_err(|e| read(e.into()))?;
        objects.push(decode(key.value(), value.value()).map_err(corrupt)?);
    }
    Ok(Loaded { rv, objects })
}

fn encode(key: &Key) -> String {
    format!("{}\0{}\0{}", key.resource, key.namespace, key.name)
}

fn decode(key: &str, value: &[u8]) -> Result<(Key, Arc<Object>), String> {
    let mut parts = key.split('\0');
    let (Some(resource), Some(namespace), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(format!("an entry has the name {key:?}"));
    };
    let value: Value = serde_json::from_slice(value).map_err(|e| format!("{key:?} is not JSON: {e}"))?;
    let rv = crate::object::meta_str(&value, "resourceVersion");
    let rv = rv.parse().map_err(|_| format!("{key:?} has the revision {rv:?}"))?;
    let key = Key {
        resource: resource.into(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    Ok((key, Arc::new(Object::new(value, rv))))
}
