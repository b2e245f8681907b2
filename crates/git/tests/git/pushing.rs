//! Pushes: leases, atomicity, refusals.

use gastown_git::{Cas, Expect, Fault, PushOutcome, RefUpdate, Remote};

use crate::scene::{Scene, commit, name, script};

#[tokio::test]
async fn a_lost_lease_is_a_value_and_one_stale_ref_moves_none() {
    let scene = Scene::new().await;
    let (ours, _) = scene.bare("ours").await;
    let (hub, remote) = scene.bare("hub").await;
    let (record, work) = (name("refs/gastown/polecats/u1"), name("refs/heads/polecat/x"));
    let r1 = commit(&ours, &[], "r1").await;
    let r2 = commit(&ours, std::slice::from_ref(&r1), "r2").await;
    let r2b = commit(&ours, std::slice::from_ref(&r1), "r2 of another pod").await;
    let w1 = commit(&ours, &[], "w1").await;
    let w2 = commit(&ours, &[], "w2, rebased: no fast-forward").await;

    let first = [
        RefUpdate::set(record.clone(), r1.clone(), Expect::Absent),
        RefUpdate::set(work.clone(), w1.clone(), Expect::Absent),
    ];
    assert_eq!(ours.push(&remote, &first).await.unwrap(), PushOutcome::Done);
    // The answer was lost, and the same push comes again: every ref is where it should be.
    assert_eq!(ours.push(&remote, &first).await.unwrap(), PushOutcome::Done);

    let second = [
        RefUpdate::set(record.clone(), r2.clone(), Expect::Is(r1.clone())),
        RefUpdate::set(work.clone(), w2.clone(), Expect::Is(w1.clone())),
    ];
    assert_eq!(ours.push(&remote, &second).await.unwrap(), PushOutcome::Done);

    // Back from the dead: its record lease is old, its work lease is not.
    let late = [
        RefUpdate::set(record.clone(), r2b, Expect::Is(r1)),
        RefUpdate::set(work.clone(), w1.clone(), Expect::Is(w2.clone())),
    ];
    assert_eq!(
        ours.push(&remote, &late).await.unwrap(),
        PushOutcome::Stale {
            refs: vec![record.clone()]
        }
    );
    let refs = hub.for_each_ref("refs").await.unwrap();
    assert_eq!(refs.get(&record), Some(&r2));
    assert_eq!(refs.get(&work), Some(&w2));

    // A branch that must not exist, exists.
    let taken = [RefUpdate::set(work.clone(), w1.clone(), Expect::Absent)];
    assert_eq!(
        ours.push(&remote, &taken).await.unwrap(),
        PushOutcome::Stale {
            refs: vec![work.clone()]
        }
    );

    // Without an expectation we go forward or not at all.
    let w3 = commit(&ours, std::slice::from_ref(&w2), "w3").await;
    let back = [RefUpdate::set(work.clone(), w1, Expect::Any)];
    assert_eq!(
        ours.push(&remote, &back).await.unwrap(),
        PushOutcome::Stale {
            refs: vec![work.clone()]
        }
    );
    let forward = [RefUpdate::set(work.clone(), w3.clone(), Expect::Any)];
    assert_eq!(ours.push(&remote, &forward).await.unwrap(), PushOutcome::Done);

    let stale = [RefUpdate::delete(work.clone(), Expect::Is(w2))];
    assert_eq!(
        ours.push(&remote, &stale).await.unwrap(),
        PushOutcome::Stale {
            refs: vec![work.clone()]
        }
    );
    let gone = [RefUpdate::delete(work.clone(), Expect::Is(w3))];
    assert_eq!(ours.push(&remote, &gone).await.unwrap(), PushOutcome::Done);
    assert_eq!(scene.git.ls_remote(&remote, &[work.as_str()]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_ref_moved_on_the_server_in_the_middle_of_a_push_is_stale() {
    let scene = Scene::new().await;
    let (ours, _) = scene.bare("ours").await;
    let (hub, remote) = scene.bare("hub").await;
    let main = name("refs/heads/main");
    let a = commit(&ours, &[], "a").await;
    let b = commit(&ours, std::slice::from_ref(&a), "b").await;
    let c = commit(&ours, std::slice::from_ref(&a), "c").await;
    assert_eq!(
        ours.push(&remote, &[RefUpdate::set(main.clone(), a.clone(), Expect::Absent)])
            .await
            .unwrap(),
        PushOutcome::Done
    );
    assert_eq!(
        ours.push(
            &remote,
            &[RefUpdate::set(name("refs/heads/c"), c.clone(), Expect::Absent)]
        )
        .await
        .unwrap(),
        PushOutcome::Done
    );
    // After the server has greeted us with a, and before its transaction, somebody else moves main to c.
    std::fs::create_dir_all(hub.dir().join("hooks")).unwrap();
    script(
        &hub.dir().join("hooks/pre-receive"),
        &format!("unset GIT_QUARANTINE_PATH; git update-ref refs/heads/main {c}"),
    );
    let outcome = ours
        .push(&remote, &[RefUpdate::set(main.clone(), b, Expect::Is(a))])
        .await
        .unwrap();
    assert_eq!(
        outcome,
        PushOutcome::Stale {
            refs: vec![main.clone()]
        }
    );
    assert_eq!(hub.rev_parse("main").await.unwrap(), Some(c));
}

#[tokio::test]
async fn a_hook_that_declines_is_a_refusal_with_its_words() {
    let scene = Scene::new().await;
    let (ours, _) = scene.bare("ours").await;
    let (hub, remote) = scene.bare("hub").await;
    std::fs::create_dir_all(hub.dir().join("hooks")).unwrap();
    script(
        &hub.dir().join("hooks/update"),
        "case $1 in refs/heads/main) echo 'main is protected: ask Joe'; exit 1;; esac",
    );
    let a = commit(&ours, &[], "a").await;
    let updates = [
        RefUpdate::set(name("refs/heads/x"), a.clone(), Expect::Absent),
        RefUpdate::set(name("refs/heads/main"), a, Expect::Absent),
    ];
    let outcome = ours.push(&remote, &updates).await.unwrap();
    let PushOutcome::Refused { dst, why } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(dst, name("refs/heads/main"));
    assert!(why.contains("hook declined") && why.contains("ask Joe"), "{why}");
    assert!(hub.for_each_ref("refs").await.unwrap().is_empty(), "atomic");
}

#[tokio::test]
async fn no_repository_there_is_an_error_that_says_so() {
    let scene = Scene::new().await;
    let (ours, _) = scene.bare("ours").await;
    let a = commit(&ours, &[], "a").await;
    let nowhere = Remote::parse(scene.path("nowhere").to_str().unwrap()).unwrap();
    let error = ours
        .push(&nowhere, &[RefUpdate::set(name("refs/heads/x"), a, Expect::Any)])
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Fault::NotFound, "{error}");
    assert!(!error.is_transient());
    let error = scene.git.ls_remote(&nowhere, &[]).await.unwrap_err();
    assert_eq!(error.fault(), Fault::NotFound, "{error}");
}

#[tokio::test]
async fn own_refs_move_by_compare_and_swap() {
    let scene = Scene::new().await;
    let (repo, _) = scene.bare("ours").await;
    let a = commit(&repo, &[], "a").await;
    let b = commit(&repo, &[], "b").await;
    let (x, y) = (name("refs/heads/x"), name("refs/heads/y"));
    assert_eq!(repo.update_ref(&x, &a, Expect::Is(b.clone())).await.unwrap(), Cas::Lost);
    assert_eq!(repo.update_ref(&x, &a, Expect::Absent).await.unwrap(), Cas::Done);
    assert_eq!(repo.update_ref(&x, &b, Expect::Absent).await.unwrap(), Cas::Lost);
    let both = [
        RefUpdate::set(y.clone(), b.clone(), Expect::Absent),
        RefUpdate::set(x.clone(), b.clone(), Expect::Is(b.clone())),
    ];
    assert_eq!(repo.update_refs(&both).await.unwrap(), Cas::Lost);
    assert_eq!(repo.rev_parse("y").await.unwrap(), None, "all or none");
    assert_eq!(repo.update_ref(&x, &b, Expect::Is(a.clone())).await.unwrap(), Cas::Done);
    assert_eq!(repo.delete_ref(&x, Expect::Is(a)).await.unwrap(), Cas::Lost);
    assert_eq!(repo.delete_ref(&x, Expect::Is(b)).await.unwrap(), Cas::Done);
    assert_eq!(
        repo.delete_ref(&x, Expect::Any).await.unwrap(),
        Cas::Done,
        "gone is gone"
    );
    assert_eq!(repo.delete_ref(&x, Expect::Absent).await.unwrap(), Cas::Done);
}
