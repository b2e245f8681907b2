//! What `--help` prints, and that every example in it works.

use crate::objects::busy;
use crate::scene::Scene;
use crate::transcript;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every command, from what help itself lists.
async fn commands(scene: &Scene) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut next = 0;
    while let Some(command) = found.get(next).cloned() {
        next += 1;
        let help = scene.run(&format!("kubectl gt {command} --help")).await.stdout;
        let listed = help
            .lines()
            .skip_while(|l| *l != "Commands:")
            .skip(1)
            .take_while(|l| !l.is_empty());
        for line in listed {
            let word = line.split_whitespace().next().unwrap();
            if word != "help" && line.starts_with("  ") && !line.starts_with("   ") {
                found.push(format!("{command} {word}").trim().to_owned());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn help_of_every_command() {
    let scene = Scene::new().await;
    let mut text = String::new();
    for command in commands(&scene).await {
        let told = scene.run(&format!("kubectl gt {command} --help")).await;
        assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{command}");
        text.push_str(&format!("######## kubectl gt {command}\n{}\n", told.stdout));
    }
    transcript!(text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_with_something_to_show_has_an_example_and_every_example_works() {
    let scene = busy().await;
    crate::day_two::with_files(&scene).await;
    crate::auth::claude(&scene);
    crate::auth::opencode(&scene);
    let mut ran = 0;
    for command in commands(&scene).await {
        let help = scene.run(&format!("kubectl gt {command} --help")).await.stdout;
        if help.contains("\nCommands:\n") {
            continue;
        }
        let examples: Vec<&str> = help
            .lines()
            .skip_while(|l| *l != "Examples:")
            .skip(1)
            .filter_map(|l| l.strip_prefix("  "))
            .filter(|l| !l.starts_with('#') && !l.is_empty())
            .collect();
        assert!(!examples.is_empty(), "kubectl gt {command} --help shows no example");
        for example in examples {
            if scene.real && example.contains(" logs ") {
                continue;
            }
            // Nobody works here: what an example waits for happens at once or not at all.
            let quick = example
                .replace(" --wait --timeout 30m", "")
                .replace(" --wait-ready --timeout 5m", "");
            let quick = quick.replace("polecat logs my-project/furiosa -f", "polecat logs my-project/nux -f");
            let quick = quick.replace("top --watch", "top");
            let told = scene.run(&quick).await;
            // What doctor finds wrong here, nobody runs an operator, is its answer.
            let expected = i32::from(scene.real && example.contains("gt doctor"));
            assert_eq!(told.code, expected, "{example}\n{}{}", told.stdout, told.stderr);
            ran += 1;
        }
    }
    assert!(ran > 20, "{ran} examples");
}

/// What is wrong with what a command printed in a form; a list is an array.
fn misspoken(form: &str, out: &str, is_list: bool) -> Option<String> {
    match form {
        "json" => match serde_json::from_str::<Value>(out) {
            Ok(value) => (is_list != value.is_array()).then(|| "a list is an array, and nothing else is".to_owned()),
            Err(error) => Some(error.to_string()),
        },
        "yaml" => serde_saphyr::from_str::<Value>(out)
            .err()
            .map(|error| error.to_string()),
        "name" => {
            let is_name = |line: &str| {
                line.split_once('/')
                    .is_some_and(|(kind, name)| !kind.is_empty() && !name.contains(' '))
            };
            (!out.lines().all(is_name)).then(|| "not KIND/NAME, line by line".to_owned())
        }
        _ => None,
    }
}

/// A town in which every command has something to say. None: a real server, for it was looked at on our own.
async fn furnished() -> Option<Scene> {
    let scene = busy().await;
    if scene.real {
        eprintln!("skipped: what is printed was looked at on our own API server");
        return None;
    }
    crate::day_two::with_files(&scene).await;
    crate::auth::claude(&scene);
    scene.run("kubectl gt auth sync").await;
    Some(scene)
}

/// Each command's first example, in every form.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_speaks_every_form() {
    // A patch, lines as they come, and a script for a shell.
    let of_their_own = ["polecat diff", "polecat logs", "completion"];
    let (mut ran, mut wrong) = (0, Vec::new());
    for form in ["table", "wide", "json", "yaml", "name"] {
        let Some(scene) = furnished().await else { return };
        scene.lead().await;
        for command in commands(&scene).await {
            let help = scene.run(&format!("kubectl gt {command} --help")).await.stdout;
            let examples = help.lines().skip_while(|l| *l != "Examples:");
            let plain = |l: &&str| l.starts_with("  kubectl gt ") && !l.contains(" -o ");
            let Some(example) = examples
                .skip(1)
                .find(plain)
                .filter(|_| !of_their_own.contains(&command.as_str()))
            else {
                continue;
            };
            let example = example.trim();
            let told = scene.run(&format!("{example} -o {form}")).await;
            let is_list = command.ends_with(" list") || ["top", "doctor"].contains(&command.as_str());
            // Of what doctor finds in order there is nothing to name.
            let may_be_empty = form == "name" && command == "doctor";
            let fault = match told.code {
                0 if told.stdout.is_empty() => (!may_be_empty).then(|| "nothing".to_owned()),
                0 => misspoken(form, &told.stdout, is_list),
                code => Some(format!("ends with {code}")),
            };
            if let Some(fault) = fault {
                wrong.push(format!("{example} -o {form}: {fault}\n{}{}", told.stdout, told.stderr));
            }
            ran += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 100, "{ran}");
}

/// The fields that the reference gives a command's own document: between backticks, up to what other forms print.
fn documented(reference: &str, command: &str) -> BTreeSet<String> {
    let row = reference
        .lines()
        .find_map(|l| l.strip_prefix(&format!("| `{command}` | ")));
    let row = row.unwrap_or_else(|| panic!("no row of {command}"));
    let aside = regex::Regex::new(r"\([^)]*\)").unwrap();
    let row = aside.replace_all(row, "");
    let fields = row.split(';').next().unwrap().split('`').skip(1).step_by(2);
    fields.map(|field| field.trim_end_matches("[]").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_commands_have_the_fields_that_the_reference_names() {
    let Some(scene) = furnished().await else { return };
    let reference = kubectl_gt::reference(&mut kubectl_gt::command());
    for (command, typed) in [
        ("polecat logs", "polecat logs nux --tail 1"),
        ("polecat diff", "polecat diff toast"),
        ("top", "top"),
        ("doctor", "doctor"),
        ("auth sync", "auth sync --dry-run"),
        ("auth status", "auth status"),
        ("version", "version"),
    ] {
        let told = scene.run(&format!("kubectl gt {typed} -o json")).await;
        let printed: Value = serde_json::from_str(&told.stdout).unwrap();
        let objects = printed.as_array().cloned().unwrap_or_else(|| vec![printed]);
        let fields = objects.iter().flat_map(|o| o.as_object().unwrap().keys());
        let mut fields: BTreeSet<String> = fields.cloned().collect();
        if command == "auth status" {
            // Only of a login that is not as its agent writes it.
            fields.insert("odd".to_owned());
        }
        assert_eq!(fields, documented(&reference, command), "{typed}");
    }
}

/// What is typed in these transcripts and in the examples of help, line by line.
fn typed_lines() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let scenes = std::fs::read_dir(folder.join("tests/transcripts")).unwrap();
    let mut files: Vec<_> = scenes.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "rs"));
    files.push(folder.join("src/examples.rs"));
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Flags of a command and of those below it that no line has.
fn untyped(command: &clap::Command, path: &str, lines: &[String], seen: &mut usize) -> Vec<String> {
    let mut lost = Vec::new();
    for below in command.get_subcommands().filter(|c| !c.get_name().starts_with("__")) {
        lost.extend(untyped(below, &format!("{path} {}", below.get_name()), lines, seen));
    }
    let own = command
        .get_arguments()
        .filter(|a| !a.is_global_set() && a.get_id() != "help");
    for (flag, short) in own.filter_map(|a| Some((a.get_long()?, a.get_short()))) {
        *seen += 1;
        let long = format!(" --{flag}");
        let has = |line: &String, word: &str| {
            let after = line.split_once(word).map(|(_, rest)| rest.chars().next());
            after.is_some_and(|next| next.is_none_or(|c| !c.is_alphanumeric() && c != '-'))
        };
        let is_typed = |line: &&String| {
            line.contains(path) && (has(line, &long) || short.is_some_and(|s| has(line, &format!(" -{s}"))))
        };
        if !lines.iter().any(|line| is_typed(&line)) {
            lost.push(format!("{path}{long}"));
        }
    }
    lost
}

#[test]
fn every_flag_of_every_command_is_typed_in_a_transcript() {
    let mut seen = 0;
    let lost = untyped(&kubectl_gt::command(), "kubectl gt", &typed_lines(), &mut seen);
    assert!(lost.is_empty(), "nobody types these: {lost:#?}");
    assert!(seen > 60, "{seen} flags");
}

/// `make generate` writes it.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_is_in_step() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CLI_REFERENCE.md");
    let now = kubectl_gt::reference(&mut kubectl_gt::command());
    if std::env::var_os("INSTA_UPDATE").is_some_and(|v| v == "always") {
        std::fs::write(&path, &now).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        held == now,
        "docs/CLI_REFERENCE.md is not what the code generates: make generate"
    );
}

/// Every code a failure may have is in the documents.
#[test]
fn exit_codes_are_documented() {
    use kubectl_gt::exit;
    let codes: Vec<u8> = exit::ALL.iter().map(|(code, _)| *code).collect();
    let all = [
        0,
        exit::FAILED,
        exit::USAGE,
        exit::NOT_FOUND,
        exit::REFUSED,
        exit::TIMED_OUT,
    ];
    assert_eq!(codes, all);
}
