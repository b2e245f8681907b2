//! rig, refinery, witness, beadstore.

use crate::objects::busy;
use crate::scene::Scene;
use crate::transcript;

#[tokio::test(flavor = "multi_thread")]
async fn rig_list_and_status() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig list",
                "kubectl gt rig list -o wide",
                "kubectl gt rig list -o name",
                "kubectl gt rig list -o json",
                "kubectl gt rig status my-project",
                "kubectl gt rig status my-project -o yaml",
                "kubectl gt rig status my-project -o name",
                "kubectl gt rig status nowhere",
                "kubectl gt rig status .",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rig_create_as_the_readmes_print_it() {
    let scene = Scene::new().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig list",
                "kubectl gt rig list -o json",
                "kubectl gt rig list -o yaml",
                "kubectl gt rig create my-project \\\n  --git-url https://github.com/org/repo.git \\\n  --prefix mp \\\n  -n gastown-system",
                "kubectl gt rig create my-project --git-url https://github.com/org/repo.git --prefix mp",
                "kubectl gt rig create local --git-url git@github.com:myorg/my-project.git --prefix proj --local-path /home/user/workspaces/my-project -o json",
                "kubectl gt rig create files --git-url /srv/git/repo.git --prefix fi --test 'make test'",
                "kubectl gt rig create all --git-url ssh://git@host:22/a/b.git --prefix al --test 'make test && echo ok' --target-branch trunk --max-polecats 3 --git-secret g --claude-creds c --api-key-secret k/key --theme minerals --agent opencode --model m --image i:1 -o yaml",
                "kubectl gt rig create own --git-url /srv/git/own.git --prefix ow --agent-command './agent.sh --fast' -o yaml",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rig_create_refuses_what_cannot_be() {
    let scene = Scene::new().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig create x --git-url https://github.com/org/repo.git",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix MP",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --theme disco",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --agent cursor",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --api-key-secret /key",
                "kubectl gt rig list",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_make_nothing() {
    let scene = Scene::new().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --dry-run=client",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --dry-run=server",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --dry-run -o yaml",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix MP --dry-run=server",
                "kubectl gt rig create x --git-url https://github.com/org/repo.git --prefix mp --dry-run=perhaps",
                "kubectl gt rig list",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_resume() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt rig pause my-project --dry-run=server",
                "kubectl gt rig pause my-project",
                "kubectl gt rig pause my-project -o name",
                "kubectl gt rig status my-project",
                "kubectl gt rig resume my-project --dry-run=client",
                "kubectl gt rig resume my-project",
                "kubectl gt rig resume my-project",
                "kubectl gt refinery pause my-project --dry-run=server",
                "kubectl gt refinery pause my-project",
                "kubectl gt refinery queue my-project",
                "kubectl gt refinery resume my-project --dry-run=client",
                "kubectl gt refinery resume my-project",
                "kubectl gt rig pause nowhere",
            ])
            .await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn children_of_a_rig() {
    let scene = busy().await;
    transcript!(
        scene
            .tell(&[
                "kubectl gt refinery list",
                "kubectl gt refinery list -A -o wide",
                "kubectl gt refinery queue my-project",
                "kubectl gt refinery queue my-project -o name",
                "kubectl gt refinery queue nowhere",
                "kubectl gt witness list",
                "kubectl gt witness list -A",
                "kubectl gt witness status my-project",
                "kubectl gt beadstore list",
                "kubectl gt beadstore list -A -o name",
                "kubectl gt beadstore status my-project-beads",
                "kubectl gt beadstore status nowhere",
                "kubectl gt refinery list -n gastown-workers",
                "kubectl gt witness list -n gastown-workers",
                "kubectl gt beadstore list -n gastown-workers",
            ])
            .await
    );
}
