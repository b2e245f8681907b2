//! One list of scenarios, played by the real programs on every kind of cluster.
//!
//! ```text
//! E2E_BACKEND      what runs the pods                              operator
//! apiserver        our API and our node, as `gastown up` has them  in the same process (the default)
//! kube-apiserver   a real control plane; our node as its kubelet   its own process
//! kubelet          a real control plane and a real node            a pod, from deploy/install.yaml
//! openshift        the same, admitted as by restricted-v2          the same
//! kubeconfig       a person's cluster                              as they installed it, or installed for the run
//! ```
//!
//! Scenarios share a backend and have a namespace, a repository and a rig each; they run side by side, those that
//! would disturb the others alone afterwards. `E2E_STRICT=1` makes a backend or an image that cannot be had a failure.
#![allow(
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod agents;
mod backend;
mod batches;
mod beads;
mod deletions;
mod ending;
mod forge;
mod hand_backs;
mod landing;
mod lost;
mod programs;
mod real_agents;
mod refusals;
mod scene;
mod signpost;
mod ssh;
mod troubles;

use backend::Need;
use gastown_testkit::agents::Who;
use libtest_mimic::{Arguments, Completion, Trial};
use scene::Scene;
use signpost::Signpost;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Something that must hold wherever it is played.
struct Scenario {
    name: &'static str,
    play: fn(&Scene),
    /// It disturbs the others.
    alone: bool,
    /// Where a backend lacks this, it is skipped, and that is said.
    need: Option<Need>,
}

macro_rules! scenarios {
    ($($module:ident :: $name:ident $(($alone:ident))? $([$need:expr])?),* $(,)?) => {
        &[$(Scenario {
            name: stringify!($name),
            play: $module::$name,
            alone: scenarios!(@ $($alone)?),
            need: scenarios!(# $($need)?),
        }),*]
    };
    (@ alone) => { true };
    (@) => { false };
    (# $need:expr) => { Some($need) };
    (#) => { None };
}

/// The list. What takes long stands first.
const SCENARIOS: &[Scenario] = scenarios![
    landing::eight_tasks_land_under_a_cap_of_three,
    landing::somebody_else_may_push_to_main_at_any_time,
    hand_backs::a_test_that_does_not_end_or_is_not_there_is_red,
    hand_backs::a_red_change_is_mended_with_the_evidence,
    hand_backs::a_conflict_goes_back_with_both_sides_and_lands,
    hand_backs::without_a_test_nothing_lands_and_with_one_it_does,
    agents::failures_are_tried_again_then_said_and_nothing_is_lost,
    agents::a_second_attempt_finds_what_the_first_left,
    agents::every_tip_that_was_pushed_stays_though_the_agent_rewrites_it,
    agents::a_task_reaches_its_agent_byte_for_byte,
    agents::an_agent_finds_what_the_predecessors_agents_found,
    agents::daemons_die_with_their_agent,
    beads::issues_are_counted_and_tell_a_convoys_polecat_what_to_do,
    batches::a_convoy_counts_what_landed_and_takes_no_polecat_along,
    batches::a_bead_has_one_polecat_unless_somebody_says_again,
    deletions::a_polecat_may_be_deleted_whichever_of_its_containers_works,
    deletions::a_rig_deleted_with_work_in_flight_takes_nothing_along,
    deletions::a_nuked_polecat_ends_and_its_branch_stays,
    landing::long_names_land_and_names_that_are_none_are_refused,
    lost::a_lost_pod_costs_nothing_that_was_written,
    lost::an_agent_that_is_killed_goes_on_in_its_workspace,
    refusals::a_repository_or_branch_that_is_not_there_is_named,
    refusals::words_that_are_off_get_an_exit_code_and_what_to_type_next,
    troubles::what_a_remote_refuses_is_named_and_goes_on_when_it_is_mended,
    troubles::a_branch_that_nobody_may_move_holds_the_queue_and_is_named,
    troubles::a_server_that_is_away_while_work_is_pushed_costs_nothing,
    ssh::ssh_lands_and_a_host_that_is_another_is_named,
    real_agents::claude_code_lands[Need::Agent(Who::Claude)],
    real_agents::opencode_lands[Need::Agent(Who::Opencode)],
    agents::a_pod_runs_whole_as_whom_its_cluster_names[Need::Users],
    lost::an_operator_that_is_killed_goes_on(alone)[Need::Crash],
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let wanted = std::env::var("E2E_BACKEND").unwrap_or_else(|_| "apiserver".to_owned());
    let none: Arc<Option<Stage>> = Arc::new(None);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(&none, |_| true)).exit_code();
    }
    let start = Instant::now();
    let scratch = ending::Scratch::open();
    let backend = match backend::start(&wanted) {
        Ok(backend) => backend,
        Err(backend::Missing(why)) => {
            eprintln!("SKIPPED: no scenario was played on {wanted}: {why}");
            return ExitCode::from(u8::from(is_strict()));
        }
    };
    println!("backend {wanted} is up after {:.1} s", start.elapsed().as_secs_f32());
    let signpost = Signpost::serve(backend.host());
    let forge = forge::Forge::open(&*backend);
    let stage = Arc::new(Some(Stage {
        backend,
        forge,
        signpost,
    }));
    // Scenarios mostly wait: more at once than there are processors.
    arguments.test_threads.get_or_insert(6);
    let together = libtest_mimic::run(&arguments, trials(&stage, |s| !s.alone));
    arguments.test_threads = Some(1);
    let alone = libtest_mimic::run(&arguments, trials(&stage, |s| s.alone));
    println!(
        "backend {wanted}: all scenarios in {:.1} s",
        start.elapsed().as_secs_f32()
    );
    let mut failed = together.has_failed() || alone.has_failed();
    // Of some scenarios only, nothing is to be learned of rights that the others use.
    let whole = arguments.filter.is_none() && arguments.skip.is_empty();
    if whole && let Some(stage) = stage.as_ref() {
        match stage.backend.audit() {
            Ok(()) => println!("backend {wanted}: nothing was called outside the operator's rights"),
            Err(why) => {
                eprintln!("the operator's calls and its rights do not fit:\n{why}");
                failed = true;
            }
        }
    }
    // Takes the backend down.
    drop(stage);
    drop(scratch);
    ExitCode::from(u8::from(failed) * 101)
}

/// Whether what is missing here fails.
fn is_strict() -> bool {
    std::env::var_os("E2E_STRICT").is_some()
}

/// What all scenarios share.
struct Stage {
    backend: Box<dyn backend::Backend>,
    forge: forge::Forge,
    signpost: Signpost,
}

fn trials(stage: &Arc<Option<Stage>>, which: impl Fn(&Scenario) -> bool) -> Vec<Trial> {
    let chosen = SCENARIOS.iter().filter(|s| which(s));
    chosen
        .map(|scenario| {
            let stage = Arc::clone(stage);
            Trial::ignorable_test(scenario.name, move || {
                let start = Instant::now();
                let stage = stage.as_ref().as_ref().unwrap();
                if let Some(why) = scenario.need.and_then(|n| stage.backend.lacks(n)) {
                    println!("SKIPPED: {} on {}: {why}", scenario.name, stage.backend.name());
                    return Ok(Completion::ignored_with(why));
                }
                let scene = Scene::new(stage, scenario.name);
                (scenario.play)(&scene);
                drop(scene);
                println!("{} took {:.1} s", scenario.name, start.elapsed().as_secs_f32());
                Ok(Completion::Completed)
            })
        })
        .collect()
}
