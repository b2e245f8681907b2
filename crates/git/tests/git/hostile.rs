//! What others put in our way: environment, configuration, hooks, filters.

use std::process::Command;

use gastown_git::{AgentRepo, Expect, FetchOptions, Git, PushOutcome, RefUpdate, Refspec, Remote};

use crate::scene::{Scene, commit, git, name, script};

/// Run by [`nothing_of_the_user_reaches_us`] in a poisoned environment.
#[tokio::test]
#[ignore = "needs the environment that nothing_of_the_user_reaches_us makes"]
async fn in_a_poisoned_environment() {
    let scene = Scene::new().await;
    let (ours, _) = scene.bare("ours").await;
    let (hub, remote) = scene.bare("hub").await;
    let a = commit(&ours, &[], "a").await;
    let pushed = ours
        .push(
            &remote,
            &[RefUpdate::set(name("refs/heads/main"), a.clone(), Expect::Absent)],
        )
        .await
        .unwrap();
    assert_eq!(pushed, PushOutcome::Done);
    assert_eq!(hub.rev_parse("main").await.unwrap(), Some(a.clone()));
    let want = gastown_git::Checkout {
        commit: &a,
        branch: None,
        depth: gastown_git::Depth::Keep,
        tags: false,
        others: &[],
        config: &[],
    };
    let work = ours.checkout_into(&scene.path("w"), &want).await.unwrap();
    std::fs::write(scene.path("w/untracked"), "x").unwrap();
    let status = work.hand_over().status_porcelain().await.unwrap();
    assert_eq!(status.len(), 1, "no ignore file of the user: {status:?}");
}

#[tokio::test]
async fn nothing_of_the_user_reaches_us() {
    let scene = Scene::new().await;
    let home = scene.path("home");
    let ran = scene.path("ran");
    std::fs::create_dir_all(home.join(".config/git")).unwrap();
    std::fs::create_dir_all(home.join("hooks")).unwrap();
    for hook in ["pre-push", "post-checkout", "reference-transaction"] {
        script(
            &home.join("hooks").join(hook),
            &format!("echo {hook} >> '{}'; exit 1", ran.display()),
        );
    }
    let config = format!(
        "[core]\n\thooksPath = {0}/hooks\n\tfsmonitor = echo fsmonitor >> '{1}'\n\texcludesFile = {0}/ignore\n\
         [init]\n\tdefaultBranch = evil\n[commit]\n\tgpgSign = true\n[transfer]\n\thideRefs = refs/heads\n[url \"/nowhere/\"]\n\tinsteadOf = /\n",
        home.display(),
        ran.display()
    );
    std::fs::write(home.join(".gitconfig"), &config).unwrap();
    std::fs::write(home.join("ignore"), "*\n").unwrap();
    std::fs::write(home.join(".config/git/ignore"), "*\n").unwrap();
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hostile::in_a_poisoned_environment", "--ignored"])
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("GIT_DIR", scene.path("no-such-repository"))
        .env("GIT_WORK_TREE", "/nowhere")
        .env("GIT_INDEX_FILE", "/nowhere/index")
        .env("GIT_OBJECT_DIRECTORY", "/nowhere/objects")
        .env("GIT_CONFIG_GLOBAL", home.join(".gitconfig"))
        .env("GIT_CONFIG_PARAMETERS", "'core.bare=nonsense'")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.bare")
        .env("GIT_CONFIG_VALUE_0", "nonsense")
        .env("GIT_TRACE", scene.path("trace"))
        .env("GIT_AUTHOR_DATE", "nonsense")
        .env("LC_ALL", "de_DE.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("1 passed"), "{said}");
    assert!(!ran.exists(), "ran: {:?}", std::fs::read_to_string(&ran));
    assert!(!scene.path("trace").exists());
}

#[tokio::test]
async fn a_fetch_from_a_hostile_repository_runs_nothing_of_it() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let ran = scene.path("ran");
    let evil = scene.path("evil");
    script(&evil, &format!("echo \"$0 $*\" >> '{}'; cat", ran.display()));
    tree.write("f", "1\n")
        .write(".gitattributes", "* filter=evil diff=evil merge=evil\n");
    let tip = tree.commit("a");
    let evil = evil.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.askPass",
        "uploadpack.packObjectsHook",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.external",
        "merge.evil.driver",
        "credential.helper",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "gpg.program",
    ] {
        tree.git(&["config", key, evil]);
    }
    for hook in [
        "post-checkout",
        "reference-transaction",
        "pre-receive",
        "post-update",
        "pre-auto-gc",
        "fsmonitor-watchman",
    ] {
        script(
            &tree.0.join(".git/hooks").join(hook),
            &format!("echo {hook} >> '{}'", ran.display()),
        );
    }
    let agent = AgentRepo::at(scene.git.clone(), &tree.0);
    let (ours, _) = scene.bare("ours").await;
    ours.fetch_from_agent(
        &agent,
        &[Refspec::head(&name("refs/gastown/agent"))],
        FetchOptions::default(),
    )
    .await
    .unwrap();
    assert_eq!(ours.rev_parse("refs/gastown/agent").await.unwrap(), Some(tip.clone()));
    let want = gastown_git::Checkout {
        commit: &tip,
        branch: None,
        depth: gastown_git::Depth::Keep,
        tags: false,
        others: &[],
        config: &[],
    };
    ours.checkout_into(&scene.path("w"), &want).await.unwrap();
    assert!(!ran.exists(), "ran: {:?}", std::fs::read_to_string(&ran));
    // The trap is real: inside the repository its filter does run. That is why only AgentRepo does so, where no credential is.
    tree.write("f", "2\n");
    agent.status_porcelain().await.unwrap();
    assert!(ran.exists());
}

#[tokio::test]
async fn an_agent_cannot_cut_our_history_short() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    tree.write("f", "1\n").commit("a");
    let (ours, _) = scene.bare("ours").await;
    let main = [Refspec::same(&name("refs/heads/main"))];
    ours.fetch(&tree.remote(), &main, FetchOptions::default())
        .await
        .unwrap();
    let b = tree.write("f", "2\n").commit("b");
    let c = tree.write("f", "3\n").commit("c");
    std::fs::write(tree.0.join(".git/shallow"), format!("{b}\n")).unwrap();
    let agent = AgentRepo::at(scene.git.clone(), &tree.0);
    // git leaves the ref alone, or fetches what it lacks; it does not take the cut.
    let _: Result<(), _> = ours
        .fetch_from_agent(
            &agent,
            &[Refspec::head(&name("refs/gastown/agent"))],
            FetchOptions::default(),
        )
        .await;
    assert!(!ours.dir().join("shallow").exists());
    assert!(!ours.has_commit(&c).await.unwrap() || ours.count_commits(None, &c).await.unwrap() == 3);
}

#[tokio::test]
async fn a_repository_of_somebody_else_is_read_all_the_same() {
    let scene = Scene::new().await;
    let tree = scene.tree("t");
    let tip = tree.write("f", "1\n").commit("a");
    // Only root can give things away; as an ordinary user this checks the plain fetch.
    let _ = Command::new("chown")
        .args(["-R", "12345"])
        .arg(&tree.0)
        .output()
        .unwrap();
    let (ours, _) = scene.bare("ours").await;
    ours.mirror(&tree.remote()).await.unwrap();
    assert_eq!(ours.rev_parse("main").await.unwrap(), Some(tip));
}

#[tokio::test]
async fn a_password_in_an_address_stays_out_of_errors_and_arguments() {
    let scene = Scene::new().await;
    // Stands in for git: says its arguments and its environment's answer to a credential request.
    let fake = scene.path("fake-git");
    script(
        &fake,
        "case \"$*\" in *version*) echo git version 2.40.0; exit;; esac\n\
         echo \"arguments: $*\" >&2\n\
         printf 'protocol=https\\nhost=h\\n\\n' | git credential fill | sed 's/^/given: /' >&2\n\
         echo 'fatal: unable to access https://bot:s3cr3tpass@h/r: s3cr3tpass refused' >&2; exit 128",
    );
    let fake = Git::probe_program(&fake).await.unwrap();
    let remote = Remote::parse("https://bot:s3cr3tpass@h/r").unwrap();
    let error = fake.ls_remote(&remote, &[]).await.unwrap_err();
    let said = format!("{error} {error:?} {remote} {remote:?}");
    assert!(!said.contains("s3cr3tpass"), "{said}");
    assert!(said.contains("https://***@h/r"), "{said}");
    assert!(
        said.contains("-- https://h/r"),
        "the address alone stands in the arguments: {said}"
    );
    // The real git, asked in that environment, got the credential.
    assert!(
        said.contains("given: username=bot") && said.contains("given: password=***"),
        "{said}"
    );
}

#[tokio::test]
async fn the_scratch_home_goes_with_the_last_git() {
    let scene = Scene::new().await;
    let probe = scene.path("fake-git");
    script(
        &probe,
        "case \"$*\" in *version*) echo git version 2.40.0; exit;; esac\necho \"home=$HOME\" >&2; exit 1",
    );
    let fake = Git::probe_program(&probe).await.unwrap();
    let said = fake
        .ls_remote(&Remote::parse("/x").unwrap(), &[])
        .await
        .unwrap_err()
        .to_string();
    let home = std::path::PathBuf::from(said.rsplit("home=").next().unwrap().trim());
    assert!(home.join("gitconfig").exists(), "{said}");
    let copy = fake.clone();
    drop(fake);
    assert!(home.exists());
    drop(copy);
    assert!(!home.exists());
    assert_eq!(git(scene.root.path(), &["version"]).split(' ').next(), Some("git"));
}
