//! Writes, and their rehearsals.

use crate::globals::DryRun;
use crate::held::{Held, Shelf};
use crate::{Failure, exit};
use kube::Resource;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Who we say we are, to whoever reads managed fields.
const FIELD_MANAGER: &str = "kubectl-gt";

impl DryRun {
    /// What is said after a sentence about a write that was none.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }

    pub(crate) fn is_real(self) -> bool {
        self == Self::None
    }

    pub(crate) fn post(self) -> PostParams {
        PostParams {
            dry_run: self == Self::Server,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        }
    }

    fn patch(self) -> PatchParams {
        PatchParams {
            dry_run: self == Self::Server,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        }
    }
}

fn unwritable(e: &serde_json::Error) -> Failure {
    Failure::new(exit::FAILED, format!("the object cannot be written: {e}"))
}

impl<K> Shelf<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Serialize,
{
    /// Creates it; `None`: the name is taken.
    pub(crate) async fn create(&self, object: K, dry: DryRun) -> Result<Option<Held<K>>, Failure> {
        if dry == DryRun::Client {
            return Held::imagined(object).map(Some);
        }
        let raw: DynamicObject = serde_json::to_value(&object)
            .and_then(serde_json::from_value)
            .map_err(|e| unwritable(&e))?;
        match self.api.create(&dry.post(), &raw).await {
            Ok(made) => self.hold(made).map(Some),
            Err(kube::Error::Api(s)) if s.code == 409 && s.reason == "AlreadyExists" => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Merge-patches it.
    pub(crate) async fn patch(
        &self,
        name: &str,
        patch: &Value,
        dry: DryRun,
        program: &str,
    ) -> Result<Held<K>, Failure> {
        if dry == DryRun::Client {
            let held = self.need(name, program).await?;
            let mut value = serde_json::to_value(&held).map_err(|e| unwritable(&e))?;
            json_patch::merge(&mut value, patch);
            return self.hold(serde_json::from_value(value).map_err(|e| unwritable(&e))?);
        }
        self.hold(self.api.patch(name, &dry.patch(), &Patch::Merge(patch)).await?)
    }

    /// Deletes it.
    pub(crate) async fn delete(&self, name: &str, dry: DryRun) -> Result<(), Failure> {
        if dry != DryRun::Client {
            let params = DeleteParams {
                dry_run: dry == DryRun::Server,
                ..DeleteParams::default()
            };
            self.api.delete(name, &params).await?;
        }
        Ok(())
    }
}
