//! Tests over a disk that fails when told to: what was answered holds, what was refused never shows.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use redb::{Database, DatabaseError, StorageBackend};
use serde_json::json;

use super::disk::{Backend, Disk, builder, initialise};
use crate::server::ApiServer;

/// A disk in memory that runs full after a number of writes; negative: never.
#[derive(Debug, Clone)]
struct Flaky {
    bytes: Arc<Mutex<Vec<u8>>>,
    writes_left: Arc<AtomicI64>,
}

impl Flaky {
    fn new() -> Self {
        let flaky = Flaky {
            bytes: Arc::default(),
            writes_left: Arc::new(AtomicI64::new(i64::MAX)),
        };
        initialise(&flaky.open().unwrap()).unwrap();
        flaky
    }

    fn allow(&self, writes: i64) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    fn spend(&self) -> io::Result<()> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(28))
    }

    fn server(&self) -> ApiServer {
        let opened = Disk::over(Box::new(self.clone())).unwrap();
        ApiServer::over(Some(opened), 64, crate::Clock::default(), PathBuf::new()).unwrap()
    }
}

impl Backend for Flaky {
    fn open(&self) -> Result<Database, DatabaseError> {
        builder().create_with_backend(self.clone())
    }

    fn path(&self) -> &Path {
        Path::new("flaky")
    }
}

impl StorageBackend for Flaky {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&bytes[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.spend()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        let mut bytes = self.bytes.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        bytes[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn config(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": value}})).unwrap()
}

async fn contents(server: &ApiServer) -> Vec<(String, String)> {
    let api: Api<ConfigMap> = Api::namespaced(server.client("default"), "default");
    let list = api.list(&ListParams::default()).await.unwrap();
    list.items
        .into_iter()
        .map(|c| (c.metadata.name.unwrap(), c.data.unwrap().remove("k").unwrap()))
        .collect()
}

/// Cuts the disk off after every possible number of writes, and looks at what a restart finds.
#[tokio::test]
async fn a_full_disk_refuses_and_the_last_committed_state_survives() {
    let mut failed_at_least_once = false;
    for writes in 0..40 {
        let disk = Flaky::new();
        let server = disk.server();
        let api: Api<ConfigMap> = Api::namespaced(server.client("default"), "default");
        api.create(&PostParams::default(), &config("kept", "old"))
            .await
            .unwrap();

        disk.allow(writes);
        let patch = Patch::Merge(json!({"data": {"k": "new"}}));
        let patched = api.patch("kept", &PatchParams::default(), &patch).await;
        let created = api.create(&PostParams::default(), &config("more", "x")).await;
        let mut expected = vec![("kept".to_owned(), "old".to_owned())];
        if patched.is_ok() {
            expected[0].1 = "new".to_owned();
        }
        if created.is_ok() {
            expected.push(("more".to_owned(), "x".to_owned()));
        }
        for refused in [patched.err(), created.err()].into_iter().flatten() {
            failed_at_least_once = true;
            let kube::Error::Api(status) = refused else {
                panic!("{refused}")
            };
            assert!(matches!(status.code, 500 | 507), "{status:?}");
            assert!(
                status.message.contains("the store cannot be written"),
                "{}",
                status.message
            );
        }
        assert_eq!(contents(&server).await, expected, "what clients see, {writes} writes");

        // Space is back: the next write works, and a restart finds exactly what was answered.
        disk.allow(i64::MAX);
        api.create(&PostParams::default(), &config("after", "y")).await.unwrap();
        api.delete("after", &DeleteParams::default()).await.unwrap();
        server.close().await;
        assert_eq!(
            contents(&disk.server()).await,
            expected,
            "what a restart finds, {writes} writes"
        );
    }
    assert!(failed_at_least_once);
}

/// A crash is a copy of the bytes at some instant; here, between any two writes of a commit.
#[tokio::test]
async fn a_crash_between_any_two_writes_loses_nothing_answered() {
    for writes in 0..40 {
        let disk = Flaky::new();
        let server = disk.server();
        let api: Api<ConfigMap> = Api::namespaced(server.client("default"), "default");
        api.create(&PostParams::default(), &config("kept", "old"))
            .await
            .unwrap();
        disk.allow(writes);
        let created = api.create(&PostParams::default(), &config("more", "x")).await;
        // Nothing more is written: the process is gone.
        let copy = Flaky {
            bytes: Arc::new(Mutex::new(disk.bytes.lock().unwrap().clone())),
            writes_left: Arc::new(AtomicI64::new(i64::MAX)),
        };
        let found = contents(&copy.server()).await;
        assert_eq!(found.first().unwrap(), &("kept".to_owned(), "old".to_owned()));
        if created.is_ok() {
            assert_eq!(found.len(), 2, "{writes} writes");
        }
        disk.allow(i64::MAX);
    }
}
