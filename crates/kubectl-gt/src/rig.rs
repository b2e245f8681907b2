//! rig: repositories.

use crate::output::{age, or_dash, print_list, print_one};
use crate::{Access, Cluster, Failure, Output, Table, exit};
use clap::{Args, Subcommand};
use gastown_api::{Refinery, Rig, RigSettings, RigSpec, SecretReference};
use jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use std::fmt::Write;

/// Verbs of rig.
#[derive(Subcommand, Debug)]
pub enum RigVerb {
    /// All rigs.
    #[command(alias = "ls")]
    List,
    /// One rig, and its merge queue.
    Status {
        /// Its name; `.` is that of this checkout.
        name: String,
    },
    /// A new rig: one repository.
    Create(CreateArgs),
}

/// Arguments of rig create.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// Its name.
    name: String,
    /// URL of the repository.
    #[arg(long)]
    git_url: String,
    /// Prefix of its bead IDs: 2 to 10 small letters.
    #[arg(long)]
    prefix: String,
    /// Checkout on one machine (v0.1.2).
    #[arg(long)]
    local_path: Option<String>,
    /// Shell text that judges a candidate: exit code 0 is green.
    #[arg(long, alias = "test-command")]
    test: Option<String>,
    /// Branch that work starts from and lands on.
    #[arg(long)]
    target_branch: Option<String>,
    /// Most polecats at once.
    #[arg(long)]
    max_polecats: Option<i32>,
    /// Secret with the git credential.
    #[arg(long)]
    git_secret: Option<String>,
    /// Theme of its polecats' names.
    #[arg(long)]
    theme: Option<String>,
}

pub(crate) async fn run(verb: RigVerb, cluster: &Cluster, access: &Access, output: Output) -> Result<(), Failure> {
    let api: Api<Rig> = Api::all(cluster.client.clone());
    match verb {
        RigVerb::List => list(&api, output, access).await,
        RigVerb::Status { name } => status(&api, cluster, &access.rig(&name)?, output, access).await,
        RigVerb::Create(args) => create(&api, args, output, access).await,
    }
}

async fn list(api: &Api<Rig>, output: Output, access: &Access) -> Result<(), Failure> {
    let rigs = api.list(&ListParams::default()).await?.items;
    let now = Timestamp::now();
    let columns = vec![
        ("NAME", false),
        ("PREFIX", false),
        ("GIT-URL", false),
        ("PHASE", false),
        ("POLECATS", false),
        ("WORKING", true),
        ("MERGED", true),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    let rows = rigs
        .iter()
        .map(|r| {
            let s = r.status.clone().unwrap_or_default();
            vec![
                r.name_any(),
                r.spec.beads_prefix.clone(),
                r.spec.git_url.clone(),
                format!("{:?}", s.phase),
                s.polecat_count.to_string(),
                s.working.to_string(),
                s.merged.to_string(),
                or_dash(s.message.as_ref()),
                age(r.metadata.creation_timestamp.as_ref(), now),
            ]
        })
        .collect();
    let none = format!(
        "no rigs; make one: {} rig create NAME --git-url URL --prefix ab",
        access.program
    );
    print_list(
        output,
        "rig",
        &rigs,
        ResourceExt::name_any,
        Table { columns, rows },
        &none,
    )
}

async fn status(api: &Api<Rig>, cluster: &Cluster, name: &str, output: Output, access: &Access) -> Result<(), Failure> {
    let rig = api.get_opt(name).await?.ok_or_else(|| {
        Failure::new(exit::NOT_FOUND, format!("there is no rig {name}")).hint(format!("{} rig list", access.program))
    })?;
    let s = rig.status.clone().unwrap_or_default();
    let namespace = s.child_namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    let refineries: Api<Refinery> = Api::namespaced(cluster.client.clone(), &namespace);
    let queue = refineries
        .get_opt(&gastown_api::names::refinery_name(name))
        .await?
        .and_then(|r| r.status)
        .unwrap_or_default();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<12} {value}", format!("{key}:"));
    };
    line("Name", name);
    line("Repository", &rig.spec.git_url);
    line("Branch", rig.spec.target_branch.as_deref().unwrap_or("main"));
    line(
        "Test",
        rig.spec
            .test_command
            .as_deref()
            .unwrap_or("none: nothing lands; set spec.testCommand"),
    );
    line("Phase", &format!("{:?}", s.phase));
    line("Message", s.message.as_deref().unwrap_or("-"));
    line(
        "Polecats",
        &format!(
            "{} ({} working, {} queued, {} done, {} merged, {} stuck)",
            s.polecat_count, s.working, s.queued, s.done, s.merged, s.stuck
        ),
    );
    line(
        "Queue",
        &format!(
            "{} waiting; {}",
            queue.queue_length,
            queue.current_merge.as_deref().unwrap_or("nothing is tested now")
        ),
    );
    line(
        "Landed",
        &format!("{} times, {} test runs", queue.landings, queue.test_runs),
    );
    if let Some(red) = &queue.last_red {
        line("Last red", red);
    }
    for c in &s.conditions {
        line(&c.type_, &format!("{} {} {}", c.status, c.reason, c.message));
    }
    print_one(output, "rig", name, &rig, &text)
}

async fn create(api: &Api<Rig>, args: CreateArgs, output: Output, access: &Access) -> Result<(), Failure> {
    let settings = RigSettings {
        namepool_theme: args.theme,
        max_polecats: args.max_polecats,
    };
    let spec = RigSpec {
        git_url: args.git_url,
        beads_prefix: args.prefix,
        local_path: args.local_path,
        test_command: args.test,
        target_branch: args.target_branch,
        git_secret_ref: args.git_secret.map(|name| SecretReference { name }),
        settings: (settings != RigSettings::default()).then_some(settings),
        ..RigSpec::default()
    };
    let rig = match api.create(&PostParams::default(), &Rig::new(&args.name, spec)).await {
        Err(kube::Error::Api(s)) if s.code == 409 => {
            return Err(
                Failure::new(exit::REFUSED, format!("there is a rig {} already", args.name))
                    .hint(format!("{} rig status {}", access.program, args.name)),
            );
        }
        made => made?,
    };
    let block = format!(
        "rig/{0} created\nsling a task: {1} sling {0} -m \"what to do\"",
        args.name, access.program
    );
    print_one(output, "rig", &args.name, &rig, &block)
}
