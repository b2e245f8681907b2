//! up, down, status.

use crate::checkout::{self, Prepared};
use crate::detach::{self, READY};
use crate::place::Place;
use crate::town::{Plan, Town};
use clap::Args;
use gastown_api::{Refinery, names};
use gastown_git::Remote;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use kubectl_gt::{DEFAULT_NAMESPACE, Failure, Output, exit, print_one};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of up.
#[derive(Args, Debug)]
pub(crate) struct UpArgs {
    /// Shell text that judges a candidate: exit code 0 is green. Else guessed from the project's files.
    #[arg(long)]
    test: Option<String>,
    /// Go on in the background.
    #[arg(short, long)]
    detach: bool,
    /// Run pods without isolation where the system allows none.
    #[arg(long)]
    unconfined: bool,
    /// Push what landed to this remote of the checkout as well, fast-forward only, with your own git credentials.
    #[arg(long, num_args = 0..=1, default_missing_value = "origin", value_name = "REMOTE")]
    push: Option<String>,
}

pub(crate) async fn up(args: UpArgs) -> Result<(), Failure> {
    let place = Place::here()?;
    let push = match &args.push {
        Some(name) => Some(push_target(&place, name).await?),
        None => None,
    };
    if args.detach {
        return detach::detach(&place).await;
    }
    logs();
    let mut town = Town::start(Plan {
        place: place.clone(),
        unconfined: args.unconfined,
        // The second is there for a rig whose record.gitURL names it.
        repositories: vec![place.bare(), place.data.join("records.git")],
    })
    .await?;
    let occupied = place.occupy()?;
    let result = live(&args, &place, &mut town, push).await;
    eprintln!("stopping; agents go on where they were when the town comes up again");
    town.stop().await;
    drop(occupied);
    result
}

/// Warnings only: what happens is told by the verbs; RUST_LOG shows more.
fn logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    // A second subscriber cannot be set; then the first one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .compact()
        .try_init();
}

async fn live(args: &UpArgs, place: &Place, town: &mut Town, push: Option<Remote>) -> Result<(), Failure> {
    let top = place.checkout.clone().unwrap_or_default();
    let prepared = checkout::prepare(place, &top, &town.client, args.test.clone()).await?;
    greet(place, town, &prepared);
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let pushing = push_landings(place.clone(), town.client.clone(), prepared, push);
    tokio::select! {
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
        failure = town.broken() => Err(failure),
        () = pushing => Ok(()),
    }
}

fn greet(place: &Place, town: &Town, prepared: &Prepared) {
    let Prepared { rig, branch, test } = prepared;
    println!("Kubernetes API   https://{}", town.serving.addr);
    println!("data             {}", place.data.display());
    println!("pods             {}", town.isolation);
    println!("rig              {rig}: lands on {branch} of the git remote 'gastown' after: {test}");
    println!();
    println!("  gastown sling . -m \"what to do\" --agent-command ./agent.sh --wait");
    println!("  gastown polecat list");
    println!("  git fetch gastown && git log gastown/{branch}     then: git merge --ff-only gastown/{branch}");
    println!("  export KUBECONFIG='{}'", place.kubeconfig().display());
    println!();
    println!("{READY}; gastown down (or Ctrl-C here) stops it and keeps everything");
}

/// The remote to push to.
async fn push_target(place: &Place, name: &str) -> Result<Remote, Failure> {
    let top = place.checkout.clone().unwrap_or_default();
    let url = checkout::remote_url(&top, name).await?.ok_or_else(|| {
        Failure::new(exit::USAGE, format!("the checkout has no remote {name}"))
            .hint("git remote -v; gastown up --push REMOTE")
    })?;
    Remote::parse(&url).map_err(|e| Failure::new(exit::USAGE, format!("{name}: {e}")))
}

/// After each landing, where asked to. Never ends by itself.
async fn push_landings(place: Place, client: kube::Client, prepared: Prepared, push: Option<Remote>) {
    use futures::StreamExt;
    let Some(origin) = push else {
        return std::future::pending().await;
    };
    let api: Api<Refinery> = Api::namespaced(client, DEFAULT_NAMESPACE);
    let name = names::refinery_name(&prepared.rig);
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut stream = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
    let mut pushed = 0;
    loop {
        let Some(Ok(refinery)) = stream.next().await else {
            continue;
        };
        let landings = refinery.status.map(|s| s.landings).unwrap_or_default();
        if landings <= pushed {
            continue;
        }
        match checkout::push(&place, &origin, &prepared.branch).await {
            Ok(commit) => println!("pushed {} {commit} to {}", prepared.branch, origin.url()),
            Err(e) => eprintln!("{e}"),
        }
        pushed = landings;
    }
}

pub(crate) async fn down() -> Result<(), Failure> {
    let place = Place::here()?;
    let Some(pid) = place.pid() else {
        eprintln!("the town of this checkout is not up");
        return Ok(());
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|e| Failure::new(exit::FAILED, format!("process {pid}: {e}")))?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while place.pid() == Some(pid) {
        if tokio::time::Instant::now() > deadline {
            return Err(Failure::new(exit::TIMED_OUT, format!("process {pid} does not end"))
                .hint(format!("kill -9 {pid}; nothing is lost")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("down; everything is kept in {}", place.data.display());
    Ok(())
}

pub(crate) async fn status(output: Output) -> Result<(), Failure> {
    let place = Place::here()?;
    let settings = place.settings();
    let pid = place.pid();
    let state = if pid.is_some() { "up" } else { "down" };
    let rig = settings.as_ref().map(|s| s.rig.clone()).unwrap_or_default();
    let port = settings.map(|s| s.port).unwrap_or_default();
    let value = serde_json::json!({
        "state": state, "pid": pid, "rig": rig, "port": port,
        "data": place.data, "kubeconfig": place.kubeconfig(), "log": place.log(),
    });
    let block = match pid {
        Some(pid) => format!(
            "up      process {pid}, https://127.0.0.1:{port}, rig {rig}\ndata    {}\nconfig  {}",
            place.data.display(),
            place.kubeconfig().display()
        ),
        None => format!("down    start it: gastown up\ndata    {}", place.data.display()),
    };
    print_one(output, "town", &rig, &value, &block)?;
    match pid {
        Some(_) => Ok(()),
        None => Err(Failure::new(exit::NOT_FOUND, "the town of this checkout is not up").hint("gastown up")),
    }
}
