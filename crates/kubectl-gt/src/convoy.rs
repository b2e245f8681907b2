//! convoy: batches of beads.

use crate::output::{age, or_dash, print_list, print_one};
use crate::{Access, Cluster, Failure, Output, Table, exit};
use clap::{Args, Subcommand};
use gastown_api::{Convoy, ConvoySpec};
use jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use std::fmt::Write;

/// Verbs of convoy.
#[derive(Subcommand, Debug)]
pub enum ConvoyVerb {
    /// All convoys.
    #[command(alias = "ls")]
    List,
    /// One convoy: what landed, and who waits for what.
    Status {
        /// Its name.
        id: String,
    },
    /// A new convoy.
    Create(CreateArgs),
}

/// Arguments of convoy create.
#[derive(Args, Debug)]
pub struct CreateArgs {
    /// What the batch is for.
    description: String,
    /// Its beads.
    #[arg(required = true)]
    beads: Vec<String>,
    /// Its name; else cv- and four digits.
    #[arg(long)]
    name: Option<String>,
    /// The rig: the convoy makes polecats for beads that have none. `.` is that of this checkout.
    #[arg(long)]
    rig: Option<String>,
    /// Most of its polecats at once.
    #[arg(long)]
    parallelism: Option<i32>,
}

pub(crate) async fn run(verb: ConvoyVerb, cluster: &Cluster, access: &Access, output: Output) -> Result<(), Failure> {
    let api: Api<Convoy> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    match verb {
        ConvoyVerb::List => list(&api, access, output).await,
        ConvoyVerb::Status { id } => status(&api, &id, access, output).await,
        ConvoyVerb::Create(args) => create(&api, args, access, output).await,
    }
}

async fn list(api: &Api<Convoy>, access: &Access, output: Output) -> Result<(), Failure> {
    let convoys = api.list(&ListParams::default()).await?.items;
    let now = Timestamp::now();
    let columns = vec![
        ("ID", false),
        ("DESCRIPTION", false),
        ("PROGRESS", false),
        ("PHASE", false),
        ("MESSAGE", false),
        ("AGE", false),
    ];
    let rows = convoys
        .iter()
        .map(|c| {
            let s = c.status.clone().unwrap_or_default();
            vec![
                c.name_any(),
                c.spec.description.clone(),
                or_dash(s.progress.as_ref()),
                format!("{:?}", s.phase),
                or_dash(s.message.as_ref()),
                age(c.metadata.creation_timestamp.as_ref(), now),
            ]
        })
        .collect();
    let none = format!(
        "no convoys; make one: {} convoy create \"what for\" BEAD BEAD --rig RIG",
        access.program
    );
    print_list(
        output,
        "convoy",
        &convoys,
        ResourceExt::name_any,
        Table { columns, rows },
        &none,
    )
}

async fn status(api: &Api<Convoy>, id: &str, access: &Access, output: Output) -> Result<(), Failure> {
    let convoy = api.get_opt(id).await?.ok_or_else(|| {
        Failure::new(exit::NOT_FOUND, format!("there is no convoy {id}"))
            .hint(format!("{} convoy list", access.program))
    })?;
    let s = convoy.status.clone().unwrap_or_default();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<12} {value}", format!("{key}:"));
    };
    line("Convoy", id);
    line("For", &convoy.spec.description);
    line("Phase", &format!("{:?}", s.phase));
    line("Progress", s.progress.as_deref().unwrap_or("-"));
    line("Message", s.message.as_deref().unwrap_or("-"));
    for (key, beads) in [
        ("Landed", &s.completed_beads),
        ("Pending", &s.pending_beads),
        ("Failed", &s.failed_beads),
    ] {
        if !beads.is_empty() {
            line(key, &beads.join(" "));
        }
    }
    print_one(output, "convoy", id, &convoy, &text)
}

async fn create(api: &Api<Convoy>, args: CreateArgs, access: &Access, output: Output) -> Result<(), Failure> {
    let name = args.name.unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().simple().to_string();
        format!("cv-{}", id.chars().take(4).collect::<String>())
    });
    let spec = ConvoySpec {
        description: args.description,
        tracked_beads: args.beads,
        parallelism: args.parallelism,
        rig_ref: args.rig.map(|r| access.rig(&r)).transpose()?,
        notify_on_complete: None,
    };
    let convoy = match api.create(&PostParams::default(), &Convoy::new(&name, spec)).await {
        Err(kube::Error::Api(s)) if s.code == 409 => {
            return Err(Failure::new(exit::REFUSED, format!("there is a convoy {name} already"))
                .hint(format!("{} convoy status {name}", access.program)));
        }
        made => made?,
    };
    let block = format!(
        "convoy/{name} created\nfollow it: {} convoy status {name}",
        access.program
    );
    print_one(output, "convoy", &name, &convoy, &block)
}
