//! What an API server's audit log says of one user: calls by verb and resource, and whether a role fits them exactly.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One kind of call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// `create`, `patch`, `watch`, …
    pub verb: String,
    /// API group; empty for the core.
    pub group: String,
    /// Resource, with its subresource after a slash.
    pub resource: String,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, group, resource } = self;
        match group.as_str() {
            "" => write!(f, "{verb} {resource}"),
            group => write!(f, "{verb} {resource}.{group}"),
        }
    }
}

impl Call {
    /// Reads `verb resource[/subresource][.group]`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (verb, rest) = text.split_once(' ')?;
        let (resource, group) = rest.split_once('.').unwrap_or((rest, ""));
        Some(Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
        })
    }

    /// Whether it changes something.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        )
    }
}

/// One finished call of the user.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which kind of call.
    pub call: Call,
    /// Of which object; empty for collections and creates of nameless ones.
    pub name: String,
    /// HTTP status.
    pub code: u16,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Line {
    stage: String,
    verb: String,
    user: User,
    object_ref: Option<Object>,
    response_status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    resource: String,
    subresource: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    code: u16,
}

/// Reads a log as it grows.
pub struct Log {
    path: PathBuf,
    at: u64,
}

impl Log {
    /// From its beginning.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            at: 0,
        }
    }

    /// What the user did since the last look. Watches count once they are over.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn since(&mut self, user: &str) -> anyhow::Result<Vec<Entry>> {
        let mut file = std::fs::File::open(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        file.seek(SeekFrom::Start(self.at))?;
        let (mut lines, mut line, mut entries) = (BufReader::new(file), Vec::new(), Vec::new());
        loop {
            line.clear();
            let read = lines.read_until(b'\n', &mut line)?;
            // Half a line is under way: it is read next time.
            if read == 0 || line.last() != Some(&b'\n') {
                return Ok(entries);
            }
            self.at += u64::try_from(read)?;
            let Ok(said) = serde_json::from_slice::<Line>(&line) else {
                continue;
            };
            if said.user.username == user && said.stage == "ResponseComplete" {
                entries.extend(entry(said));
            }
        }
    }
}

/// Discovery and health have no object, and every authenticated user may ask for them.
fn entry(said: Line) -> Option<Entry> {
    let object = said.object_ref.filter(|o| !o.resource.is_empty())?;
    let resource = match object.subresource.as_str() {
        "" => object.resource,
        sub => format!("{}/{sub}", object.resource),
    };
    Some(Entry {
        call: Call {
            verb: said.verb,
            group: object.api_group,
            resource,
        },
        name: object.name,
        code: said.response_status.unwrap_or_default().code,
    })
}

/// How often each kind of call.
#[must_use]
pub fn tally(entries: &[Entry]) -> BTreeMap<Call, usize> {
    let mut tally = BTreeMap::new();
    for entry in entries {
        *tally.entry(entry.call.clone()).or_default() += 1;
    }
    tally
}

/// A role, a binding, or anything else, as YAML has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// `Role`, `ClusterRole`, `RoleBinding`, `ClusterRoleBinding`; others are passed over.
    pub kind: String,
    /// Its name.
    pub metadata: Named,
    /// What a role grants.
    pub rules: Vec<Rule>,
    /// What a binding grants.
    pub role_ref: Named,
    /// To whom.
    pub subjects: Vec<Named>,
}

/// A name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// What the documents of a file are, as far as roles go.
///
/// # Errors
/// Where it cannot be read, or is no YAML.
pub fn roles(file: &Path) -> anyhow::Result<Vec<Role>> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_saphyr::from_multiple(&text).with_context(|| file.display().to_string())
}

/// The roles among these documents that are bound to the user; all, where they hold no binding.
#[must_use]
pub fn bound(documents: &[Role], user: &str) -> Vec<Role> {
    let account = user.rsplit(':').next().unwrap_or(user);
    let bindings: Vec<&Role> = documents.iter().filter(|d| d.kind.ends_with("RoleBinding")).collect();
    let ours = |role: &&Role| {
        let of_ours = |b: &&Role| b.role_ref.name == role.metadata.name && b.subjects.iter().any(|s| s.name == account);
        role.kind.ends_with("Role") && (bindings.is_empty() || bindings.iter().any(of_ours))
    };
    documents.iter().filter(ours).cloned().collect()
}

/// One rule of a role.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// API groups.
    pub api_groups: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Verbs.
    pub verbs: Vec<String>,
}

/// The calls a set of roles grants.
#[must_use]
pub fn granted(roles: &[Role]) -> BTreeSet<Call> {
    let mut granted = BTreeSet::new();
    for rule in roles.iter().flat_map(|r| &r.rules) {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                for verb in &rule.verbs {
                    granted.insert(Call {
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                    });
                }
            }
        }
    }
    granted
}

/// How a user's calls and a role fit.
#[derive(Debug, Default)]
pub struct Fit {
    /// Called, and not granted.
    pub outside: BTreeSet<Call>,
    /// Granted, and never called.
    pub idle: BTreeSet<Call>,
    /// Calls the server forbade and never let pass. One that it also let pass met a server which had just begun: it forbids
    /// everything until it has read the roles.
    pub forbidden: BTreeSet<Call>,
    /// Anything about Secrets or `*`, called or granted.
    pub taboo: BTreeSet<Call>,
}

impl Fit {
    /// Whether it is exact.
    #[must_use]
    pub fn exact(&self) -> bool {
        [&self.outside, &self.idle, &self.forbidden, &self.taboo]
            .iter()
            .all(|s| s.is_empty())
    }
}

/// Compares what was called with what is granted. `rare` names grants that a healthy run need not use.
#[must_use]
pub fn fit(entries: &[Entry], granted: &BTreeSet<Call>, rare: &[Call]) -> Fit {
    let called: BTreeSet<Call> = entries.iter().map(|e| e.call.clone()).collect();
    let taboo = |c: &&Call| {
        c.resource.starts_with("secrets")
            || c.resource == "pods/exec"
            || [&c.verb, &c.group, &c.resource].iter().any(|part| part.contains('*'))
    };
    Fit {
        outside: called.difference(granted).cloned().collect(),
        idle: granted
            .difference(&called)
            .filter(|c| !rare.contains(c))
            .cloned()
            .collect(),
        forbidden: called
            .iter()
            .filter(|c| entries.iter().all(|e| e.call != **c || e.code == 403))
            .cloned()
            .collect(),
        taboo: called.union(granted).filter(taboo).cloned().collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn call(verb: &str, resource: &str) -> Call {
        Call {
            verb: verb.into(),
            group: String::new(),
            resource: resource.into(),
        }
    }

    fn log(lines: &[&str]) -> Vec<Entry> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, lines.join("\n") + "\n{\"half\":").unwrap();
        Log::open(&path).since("op").unwrap()
    }

    #[test]
    fn finished_calls_of_one_user_are_read_and_half_a_line_is_left() {
        let entries = log(&[
            r#"{"stage":"ResponseComplete","verb":"create","user":{"username":"op"},"objectRef":{"resource":"pods","name":"p"},"responseStatus":{"code":201}}"#,
            r#"{"stage":"RequestReceived","verb":"create","user":{"username":"op"},"objectRef":{"resource":"pods","name":"p"}}"#,
            r#"{"stage":"ResponseComplete","verb":"get","user":{"username":"op"},"requestURI":"/apis/x/v1"}"#,
            r#"{"stage":"ResponseComplete","verb":"list","user":{"username":"admin"},"objectRef":{"resource":"secrets"}}"#,
            r#"{"stage":"ResponseComplete","verb":"patch","user":{"username":"op"},"objectRef":{"resource":"polecats","subresource":"status","apiGroup":"g"}}"#,
        ]);
        let calls: Vec<String> = entries.iter().map(|e| e.call.to_string()).collect();
        assert_eq!(calls, ["create pods", "patch polecats/status.g"]);
    }

    #[test]
    fn of_all_roles_those_bound_to_the_account_count() {
        let document = |kind: &str, name: &str, role: &str, to: &str| Role {
            kind: kind.into(),
            metadata: Named { name: name.into() },
            role_ref: Named { name: role.into() },
            subjects: vec![Named { name: to.into() }],
            ..Role::default()
        };
        let mut all = vec![
            document("ClusterRole", "ours", "", ""),
            document("ClusterRole", "viewer", "", ""),
        ];
        assert_eq!(bound(&all, "system:serviceaccount:town:op").len(), 2);
        all.push(document("ClusterRoleBinding", "b", "ours", "op"));
        let names: Vec<String> = bound(&all, "system:serviceaccount:town:op")
            .into_iter()
            .map(|r| r.metadata.name)
            .collect();
        assert_eq!(names, ["ours"]);
    }

    #[test]
    fn a_server_that_had_just_begun_may_forbid_what_it_then_lets_pass() {
        let entry = |code: u16| Entry {
            call: call("watch", "pods"),
            name: String::new(),
            code,
        };
        let granted = BTreeSet::from([call("watch", "pods")]);
        assert!(fit(&[entry(403), entry(200)], &granted, &[]).exact());
        assert_eq!(fit(&[entry(403)], &granted, &[]).forbidden, granted);
    }

    #[test]
    fn a_role_that_grants_too_much_or_too_little_does_not_fit() {
        let entries: Vec<Entry> = ["create", "watch"]
            .map(|verb| Entry {
                call: call(verb, "pods"),
                name: String::new(),
                code: 200,
            })
            .into();
        let exactly = BTreeSet::from([call("create", "pods"), call("watch", "pods")]);
        assert!(fit(&entries, &exactly, &[]).exact());
        let mut more = exactly.clone();
        more.insert(call("delete", "pods"));
        assert_eq!(fit(&entries, &more, &[]).idle, BTreeSet::from([call("delete", "pods")]));
        assert!(fit(&entries, &more, &[call("delete", "pods")]).exact());
        let less = BTreeSet::from([call("create", "pods")]);
        assert_eq!(
            fit(&entries, &less, &[]).outside,
            BTreeSet::from([call("watch", "pods")])
        );
        let mut secrets = exactly;
        secrets.insert(call("get", "secrets"));
        assert!(!fit(&entries, &secrets, &[call("get", "secrets")]).exact());
    }
}
