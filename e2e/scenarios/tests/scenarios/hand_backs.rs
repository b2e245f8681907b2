//! Work that is not fit to land goes back to who wrote it, with the reason.

use crate::landing::adds;
use crate::scene::{Scene, phase};
use gastown_api::PolecatPhase;
use serde_json::json;

pub(crate) fn a_red_change_is_mended_with_the_evidence(scene: &Scene) {
    scene.rig(json!({ "testCommand": "if test -e BROKEN; then echo the part is broken, $$; exit 1; fi" }));
    scene.sling(
        "mender",
        r#"if test "$GASTOWN_ROUND" = 2; then cp "$GASTOWN_EVIDENCE_FILE" evidence; git rm --quiet BROKEN; git add evidence
           else touch BROKEN; git add BROKEN; fi
           git commit --quiet -m "Round $GASTOWN_ROUND""#,
    );
    let polecat = scene.lands("mender");
    let status = polecat.status.clone().unwrap();
    assert_eq!((phase(&polecat), status.round), (PolecatPhase::Done, Some(2)));
    let evidence = scene.on_main("evidence");
    // The shell that ran the test put its number for `$$`: the command reached it as it was given.
    let said = |l: &str| {
        l.split_once("the part is broken, ")
            .is_some_and(|(_, n)| n.parse::<u32>().is_ok())
    };
    assert!(evidence.lines().any(said), "{evidence}");
    let text = scene.gt(&["polecat", "status", "mender"]).ok();
    assert!(
        text.contains("TestFailed") && text.contains("the part is broken"),
        "{text}"
    );
}

pub(crate) fn a_conflict_goes_back_with_both_sides_and_lands(scene: &Scene) {
    let agent = |name: &str| {
        format!(
            "if test \"$GASTOWN_ROUND\" = 2; then
               git reset --quiet --hard origin/main; cp \"$GASTOWN_EVIDENCE_FILE\" evidence; git add evidence
             fi
             echo {name} >> README; git commit --quiet --all -m 'Line of {name}'"
        )
    };
    // Nothing is tested before both are done.
    scene.rig(json!({ "testCommand": null }));
    for name in ["p1", "p2"] {
        scene.sling(name, &agent(name));
    }
    for name in ["p1", "p2"] {
        scene.polecat(name, |p| phase(p) == PolecatPhase::Done);
    }
    scene.rig(json!({ "testCommand": "./test.sh" }));
    let mut rounds = ["p1", "p2"].map(|name| scene.lands(name).status.unwrap().round.unwrap());
    rounds.sort_unstable();
    assert_eq!(rounds, [1, 2]);
    let readme = scene.on_main("README");
    assert!(readme.contains("p1\n") && readme.contains("p2\n"), "{readme}");
    let evidence = scene.on_main("evidence");
    assert!(evidence.contains("+p1") && evidence.contains("+p2"), "{evidence}");
}

pub(crate) fn without_a_test_nothing_lands_and_with_one_it_does(scene: &Scene) {
    scene.rig(json!({ "testCommand": null }));
    scene.sling("p1", &adds("p1"));
    scene.polecat("p1", |p| phase(p) == PolecatPhase::Done);
    scene.until("the rig's word", || {
        let status = scene.gt(&["rig", "status", &scene.name]).ok();
        (status.contains("NoTestCommand") && status.contains("testCommand")).then_some(())
    });
    assert_eq!(scene.landed(), ["First"]);
    scene.rig(json!({ "testCommand": "./test.sh" }));
    scene.lands("p1");
}

pub(crate) fn a_test_that_does_not_end_or_is_not_there_is_red(scene: &Scene) {
    let sleeper = scene.sleeper();
    scene.rig(json!({
        "testTimeoutSeconds": 4,
        "testCommand": format!("if test -e endless; then {sleeper}; fi; if test -e lost; then ./no-such-test; fi"),
    }));
    let mends = |file: &str| {
        format!(
            "if test \"$GASTOWN_ROUND\" = 1; then touch {file}; git add {file}; else git rm --quiet {file}; fi
             echo \"$GASTOWN_ROUND\" > {file}.round; git add {file}.round; git commit --quiet -m {file}"
        )
    };
    scene.sling("endless", &mends("endless"));
    scene.sling("lost", &mends("lost"));
    scene.sling("good", &adds("good"));
    scene.lands("good");
    for (name, words) in [("endless", "did not end"), ("lost", "no-such-test")] {
        let status = scene.lands(name).status.unwrap();
        assert_eq!(status.round, Some(2), "{name}: {:?}", status.rounds);
        let evidence = status.rounds[0].evidence.clone().unwrap();
        let told = format!("{} {}", status.rounds[0].message, evidence.summary);
        assert!(told.contains(words), "{name}: {told}");
    }
    scene.nothing_is_left(&sleeper);
}
