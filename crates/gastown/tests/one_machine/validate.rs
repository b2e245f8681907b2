//! Templates are valid as they are shipped, and validate refuses what an API server would.

use crate::checkout::Checkout;
use std::path::{Path, PathBuf};

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn templates() -> Vec<(String, String)> {
    let files = std::fs::read_dir(top().join("templates")).unwrap();
    let read = files.map(|f| {
        let path = f.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    });
    read.collect()
}

#[test]
fn every_template_and_every_manifest_of_the_documents_would_be_taken() {
    let checkout = Checkout::new();
    let paths: Vec<String> = ["templates", "README.md", "docs"]
        .iter()
        .map(|p| top().join(p).display().to_string())
        .collect();
    let words: Vec<&str> = ["validate"]
        .into_iter()
        .chain(paths.iter().map(String::as_str))
        .collect();
    let told = checkout.gastown(&words).ok();
    // Those that v0.4.2 names, and ours.
    for name in [
        "polecat-minimal",
        "polecat-kubernetes",
        "convoy",
        "witness",
        "refinery",
        "secret-git-ssh",
        "secret-claude-creds",
        "rig",
        "bead-store",
    ] {
        assert!(told.contains(&format!("templates/{name}.yaml:")), "{name}: {told}");
    }
    assert!(!told.contains("not judged"), "{told}");
}

/// The template that promises everything names every field, in use or in a comment.
#[test]
fn the_full_polecat_is_full() {
    let (_, text) = templates()
        .into_iter()
        .find(|(n, _)| n == "polecat-kubernetes.yaml")
        .unwrap();
    let crd = gastown_api::crds()
        .into_iter()
        .find(|c| c.spec.names.kind == "Polecat")
        .unwrap();
    let schema = crd.spec.versions[0]
        .schema
        .as_ref()
        .unwrap()
        .open_api_v3_schema
        .as_ref()
        .unwrap();
    let spec = &schema.properties.as_ref().unwrap()["spec"];
    let fields = spec.properties.as_ref().unwrap();
    let mut names: Vec<&String> = fields.keys().collect();
    for part in ["kubernetes", "agentConfig", "retry", "budget"] {
        names.extend(fields[part].properties.as_ref().unwrap().keys());
    }
    for name in names {
        assert!(text.contains(&format!("{name}:")), "{name} is not in it");
    }
}

/// A slip in any field of any template is found.
#[test]
fn no_misspelt_field_passes() {
    let checkout = Checkout::new();
    let folder = checkout.path("slips");
    std::fs::create_dir(&folder).unwrap();
    let mut slips = 0;
    for (file, text) in templates() {
        let lines: Vec<&str> = text.lines().collect();
        let spec = lines.iter().position(|l| *l == "spec:").unwrap_or(lines.len());
        for (at, line) in lines.iter().enumerate().skip(spec) {
            let Some((field, rest)) = line.split_once(':') else {
                continue;
            };
            let name = field.trim();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphabetic()) {
                continue;
            }
            let mut slip: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
            slip[at] = format!("{field}x:{rest}");
            std::fs::write(folder.join(format!("{at:03}-{file}")), slip.join("\n")).unwrap();
            slips += 1;
        }
    }
    assert!(slips > 60, "{slips}");
    let ran = checkout.gastown(&["validate", folder.to_str().unwrap()]);
    let passed: Vec<&str> = ran.out.lines().filter(|l| l.starts_with("ok")).collect();
    assert_eq!(passed, Vec::<&str>::new());
    assert!(ran.failed(1).contains(&format!("{slips} of {slips}")));
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_an_exit_code() {
    let checkout = Checkout::new();
    let rig = "apiVersion: gastown.gastown.io/v1alpha1\nkind: Rig\nmetadata: {name: parts}\nspec: {gitURL: https://example.com/r, beadsPrefix: mp}\n";
    let head = "apiVersion: gastown.gastown.io/v1alpha1\nkind: Polecat\nmetadata: {name: nux}\n";
    let cases = [
        ("good.yaml", rig.to_owned(), 0, "Rig parts"),
        (
            "value.yaml",
            format!("{rig}---\n{head}spec: {{rig: parts, desiredState: Asleep}}\n"),
            1,
            "value.yaml:6",
        ),
        (
            "field.yaml",
            format!("{head}spec: {{rig: parts, taks: x}}\n"),
            1,
            "taks",
        ),
        (
            "rule.yaml",
            format!("{head}spec: {{rig: parts, kubernetes: {{gitRepository: \"https://u:p@example.com/r\"}}}}\n"),
            1,
            "gitRepository",
        ),
        ("broken.yaml", "a: [\n".to_owned(), 1, "no YAML"),
        ("part.yaml", "agent: x\n".to_owned(), 1, "no apiVersion"),
        ("unknown.yaml", rig.replace("parts", "\"{{WHO}}\""), 1, "WHO"),
        (
            "other.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n".to_owned(),
            0,
            "not judged",
        ),
        (
            "prose.md",
            format!("# A\n```yaml\nagent: x\n```\n```yaml\n{rig}```\n"),
            0,
            "prose.md:6",
        ),
        ("empty.md", "# Nothing\n".to_owned(), 3, ""),
    ];
    for (name, text, code, words) in cases {
        let file = checkout.path(name);
        std::fs::write(&file, text).unwrap();
        let ran = checkout.gastown(&["validate", file.to_str().unwrap()]);
        assert_eq!(ran.code, code, "{name}: {ran:?}");
        assert!(ran.out.contains(words), "{name}: {ran:?}");
    }
    checkout.gastown(&["validate", "nowhere.yaml"]).failed(2);
    let json = checkout.gastown(&["validate", "-o", "json", checkout.path("value.yaml").to_str().unwrap()]);
    let told: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (told[0]["valid"].as_bool(), told[1]["valid"].as_bool()),
        (Some(true), Some(false))
    );
}

/// As the predecessor's README has it.
#[test]
fn the_script_says_the_same() {
    let checkout = Checkout::new();
    let script = top().join("scripts/validate-template.sh");
    let run = |args: &str| {
        let line = format!("GASTOWN={} {} {args}", env!("CARGO_BIN_EXE_gastown"), script.display());
        checkout.shell(&line, &[])
    };
    let template = top().join("templates/polecat-kubernetes.yaml");
    assert!(run(template.to_str().unwrap()).ok().contains("Polecat furiosa"));
    let bad = checkout.path("bad.yaml");
    std::fs::write(&bad, "kind: Polecat\n").unwrap();
    run(bad.to_str().unwrap()).failed(1);
    assert!(run("").failed(2).contains("usage"));
}
