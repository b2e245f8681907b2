//! auth.

use crate::scene::{NAMESPACE, Scene};
use crate::transcript;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::fs;
use std::path::Path;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A time that is over, in milliseconds.
const OVER: i64 = 1_600_000_000_000;

/// A login as Claude Code writes it; `expires` in milliseconds.
pub fn login(expires: i64) -> String {
    json!({"claudeAiOauth": {
        "accessToken": "sk-ant-oat01-secret", "refreshToken": "sk-ant-ort01-secret", "expiresAt": expires, "scopes": ["user:inference"],
    }})
    .to_string()
}

/// A person's `~/.claude`.
pub fn claude(scene: &Scene) {
    let dir = scene.dir.path().join(".claude");
    // A good while after anybody runs this.
    write(&dir.join(".credentials.json"), &login(32_503_680_000_000));
    write(&dir.join("settings.json"), "{}");
    write(&dir.join("CLAUDE.md"), "Be brief.\n");
    write(&dir.join("skills/my_skill/SKILL.md"), "A skill.\n");
    write(&dir.join("history.jsonl"), "private\n");
    write(&dir.join("projects/-home/0.jsonl"), "private\n");
}

/// A person's opencode.
pub fn opencode(scene: &Scene) {
    write(&scene.dir.path().join(".config/opencode/opencode.json"), "{}");
    write(&scene.dir.path().join(".config/opencode/skills/a/SKILL.md"), "a");
    write(&scene.dir.path().join(".local/share/opencode/auth.json"), "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_and_status() {
    let scene = Scene::new().await;
    claude(&scene);
    write(&scene.dir.path().join("elsewhere.md"), "not ours");
    std::os::unix::fs::symlink("../../elsewhere.md", scene.dir.path().join(".claude/skills/link.md")).unwrap();
    transcript!(
        scene
            .tell(&[
                "kubectl gt auth status",
                "kubectl gt auth sync --dry-run",
                "kubectl gt auth sync --dry-run=server -o name",
                "kubectl gt auth status",
                "kubectl gt auth sync -n gastown-system",
                "kubectl gt auth sync",
                "kubectl gt auth sync --force",
                "echo more >> .claude/CLAUDE.md; kubectl gt auth sync",
                "rm -r .claude/skills; kubectl gt auth sync -o json",
                "kubectl gt auth sync --exclude settings.json --dry-run",
                "kubectl gt auth status -o name",
                "kubectl gt auth status -o json | grep -v -e time -e age -e lastSync -e bytes",
            ])
            .await
    );
    let said = scene.run("kubectl gt auth status").await;
    assert!(
        said.stdout.contains("good for ") && !said.stdout.contains("sk-ant"),
        "{}",
        said.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong() {
    let scene = Scene::new().await;
    scene
        .put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "somebodys", "namespace": NAMESPACE, "labels": {"keep": "me"}},
            "data": {"a": "YQ=="},
        }))
        .await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt auth sync",
                "mkdir -p .claude; kubectl gt auth sync",
                "echo '{}' > .claude/settings.json; kubectl gt auth sync",
                "kubectl gt auth sync --settings-only",
                "kubectl gt auth status | grep -v Synced",
                "echo 'no login' > .claude/.credentials.json; kubectl gt auth sync",
                "kubectl gt auth status | grep -v Synced",
                "head -c 2000000 /dev/zero > .claude/CLAUDE.md; kubectl gt auth sync",
                "kubectl gt auth sync --exclude CLAUDE.md --secret somebodys",
                "kubectl gt auth sync --exclude CLAUDE.md --secret somebodys --force",
                "kubectl gt auth sync --agent opencode",
                "kubectl gt auth sync --agent cursor",
                "kubectl gt auth sync --claude-dir nowhere",
                "kubectl gt auth sync --api-key-from-env",
                "kubectl gt auth sync --api-key-from-env 'NO NAME'",
                "kubectl gt auth status --secret nowhere",
            ])
            .await
    );
    let kept = scene.secret("somebodys").await;
    assert_eq!(kept["metadata"]["labels"]["keep"], "me");
    assert!(kept["data"].get("a").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_over() {
    let scene = Scene::new().await;
    claude(&scene);
    write(&scene.dir.path().join(".claude/.credentials.json"), &login(OVER));
    write(
        &scene.dir.path().join(".local/share/opencode/auth.json"),
        &json!({"openai": {"type": "oauth", "refresh": "r", "access": "a", "expires": OVER}}).to_string(),
    );
    transcript!(
        scene
            .tell(&[
                "kubectl gt auth sync",
                "kubectl gt auth sync --agent opencode",
                "kubectl gt auth sync --settings-only",
            ])
            .await
    );
    // As people make it by hand, and as it was made before.
    let whole = k8s_openapi::ByteString(login(OVER).into_bytes());
    scene
        .put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "by-hand", "namespace": NAMESPACE},
            "data": {".credentials.json": whole},
        }))
        .await;
    let told = scene.run("kubectl gt auth status --secret by-hand").await;
    assert_eq!(told.code, 1);
    for part in [
        "expired ",
        "run claude once",
        "auth sync",
        "a refresh token is in the Secret too",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let told = scene.run("kubectl gt auth status --secret by-hand -o json").await;
    assert_eq!(told.code, 1);
    let value: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&value["expired"], &value["login"]), (&json!(true), &json!("oauth")));
    assert_eq!(value["holdsRefreshToken"], json!(true));
    // What a pod would use is judged: the key beside it.
    let key = k8s_openapi::ByteString(b"sk-ant-api03-key".to_vec());
    let whole = k8s_openapi::ByteString(login(OVER).into_bytes());
    scene
        .put(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "both", "namespace": NAMESPACE},
            "data": {".credentials.json": whole, "ANTHROPIC_API_KEY": key},
        }))
        .await;
    let told = scene.run("kubectl gt auth status --secret both").await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    assert!(told.stdout.contains("an API key, which says no end"), "{}", told.stdout);
}

/// What it exits with, and how old what was synced is.
#[tokio::test(flavor = "multi_thread")]
async fn status_says_age_and_whether_anything_is_wrong() {
    let scene = Scene::new().await;
    claude(&scene);
    assert_eq!(scene.run("kubectl gt auth sync --settings-only").await.code, 0);
    let told = scene.run("kubectl gt auth status").await;
    assert_eq!(told.code, 1, "no login");
    assert!(told.stdout.contains("none: kubectl gt auth sync"), "{}", told.stdout);
    assert_eq!(scene.run("kubectl gt auth sync").await.code, 0);
    let long_ago = json!({"metadata": {"annotations": {"gastown.io/last-sync": "2026-01-01T00:00:00Z"}}});
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(scene.client.clone(), NAMESPACE);
    secrets
        .patch("claude-creds", &PatchParams::default(), &Patch::Merge(long_ago))
        .await
        .unwrap();
    let told = scene.run("kubectl gt auth status").await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    let synced = told.stdout.lines().find(|l| l.starts_with("Synced")).unwrap();
    assert!(synced.contains("d ago"), "{synced}");
    let told = scene.run("kubectl gt auth status -o json").await;
    let value: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let a_month = 30 * 86_400;
    assert!(value["ageSeconds"].as_i64().unwrap() > a_month, "{value}");
    let unreadable = k8s_openapi::ByteString(b"no login".to_vec());
    let broken = json!({"data": {".credentials.json": unreadable}});
    secrets
        .patch("claude-creds", &PatchParams::default(), &Patch::Merge(broken))
        .await
        .unwrap();
    assert_eq!(scene.run("kubectl gt auth status").await.code, 1, "unreadable");
}

/// What would get another token stays where it was made; only what pods are given counts as changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_without_its_refresh_token() {
    let scene = Scene::new().await;
    claude(&scene);
    write(
        &scene.dir.path().join(".local/share/opencode/auth.json"),
        &json!({"openai": {"type": "oauth", "refresh": "rt-ort01", "access": "a", "expires": 32_503_680_000_000_i64}})
            .to_string(),
    );
    transcript!(
        scene
            .tell(&[
                "kubectl gt auth sync",
                "sed -i s/ort01-secret/ort01-next/ .claude/.credentials.json; kubectl gt auth sync",
                "sed -i s/oat01-secret/oat01-next/ .claude/.credentials.json; kubectl gt auth sync",
                "kubectl gt auth sync --agent opencode",
                "kubectl gt auth sync --token-from-env",
                "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-long kubectl gt auth sync --token-from-env --agent opencode",
                "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-long kubectl gt auth sync --api-key-from-env CLAUDE_CODE_OAUTH_TOKEN",
                "CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-long kubectl gt auth sync --token-from-env -o json | grep -v bytes",
                "kubectl gt auth status | grep -v Synced",
            ])
            .await
    );
    for name in ["claude-creds", "opencode-creds"] {
        let secret = scene.secret(name).await;
        for (key, value) in secret["data"].as_object().unwrap() {
            let held: k8s_openapi::ByteString = serde_json::from_value(value.clone()).unwrap();
            assert!(!String::from_utf8_lossy(&held.0).contains("ort01"), "{name}: {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_other_agents() {
    let scene = Scene::new().await;
    opencode(&scene);
    write(&scene.dir.path().join(".aider.conf.yml"), "model: m\n");
    write(&scene.dir.path().join(".env"), "KEY=secret\n");
    transcript!(
        scene
            .tell(&[
                "ANTHROPIC_API_KEY=sk-ant-api03-secret kubectl gt auth sync --api-key-from-env",
                "OPENAI_API_KEY=sk-secret kubectl gt auth sync --api-key-from-env OPENAI_API_KEY",
                "kubectl gt auth status --secret openai-api-key | grep -v Synced",
                "kubectl gt auth sync --agent opencode",
                "kubectl gt auth status --agent opencode | grep -v Synced",
                "kubectl gt auth sync --agent aider --dry-run",
                "kubectl gt auth sync --agent aider --with-env --dry-run=client",
            ])
            .await
    );
}

/// Every file comes back from the cluster as it was, under a key the kubelet takes.
#[tokio::test(flavor = "multi_thread")]
async fn files_arrive_as_they_were() {
    let scene = Scene::new().await;
    claude(&scene);
    let deep = scene.dir.path().join(".claude/agents/a b/é_x/..dots/n.md");
    write(&deep, "\u{0}binary\r\n");
    assert_eq!(scene.run("kubectl gt auth sync").await.code, 0);
    let secret = scene.secret("claude-creds").await;
    let data = secret["data"].as_object().unwrap();
    let paths: Vec<String> = data.keys().map(|k| gastown_wire::settings_path(k).unwrap()).collect();
    assert!(paths.contains(&"agents/a b/é_x/..dots/n.md".to_owned()), "{paths:?}");
    assert!(
        !paths.iter().any(|p| p.contains("history") || p.contains("projects")),
        "{paths:?}"
    );
    let key = gastown_wire::settings_key("agents/a b/é_x/..dots/n.md").unwrap();
    let held: k8s_openapi::ByteString = serde_json::from_value(data[&key].clone()).unwrap();
    assert_eq!(held.0, fs::read(&deep).unwrap());
    assert!(secret["metadata"]["annotations"]["gastown.io/last-sync"].is_string());
}
