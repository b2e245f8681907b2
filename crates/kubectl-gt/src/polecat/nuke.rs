//! polecat nuke: ends it; its branch and record stay.

use super::find;
use crate::globals::DryRun;
use crate::output::{note, print_one};
use crate::session::Session;
use crate::{Failure, exit};
use kube::ResourceExt;
use serde_json::json;
use std::io::{IsTerminal, Write};

pub(super) async fn run(word: &str, force: bool, dry: DryRun, session: &Session<'_>) -> Result<(), Failure> {
    let held = find(word, session).await?;
    let name = held.object.name_any();
    if !force && dry.is_real() && std::io::stdin().is_terminal() && !confirmed(&name)? {
        return Err(Failure::new(exit::REFUSED, "nothing was done"));
    }
    let shelf = session.polecats(false);
    if force {
        shelf.delete(&name, dry).await?;
        let said = format!("polecat/{name} deleted{}; its branch stays", dry.suffix());
        return print_one(session.output, "polecat", &name, &held, &said);
    }
    let patch = json!({"spec": {"desiredState": "Terminated"}});
    let held = shelf.patch(&name, &patch, dry, session.program()).await?;
    let said = format!("polecat/{name} is being terminated{}; its branch stays", dry.suffix());
    print_one(session.output, "polecat", &name, &held, &said)
}

fn confirmed(name: &str) -> Result<bool, Failure> {
    let _ = write!(
        std::io::stderr(),
        "end polecat {name}? its pod is stopped, its branch stays [y/N] "
    );
    let mut answer = String::new();
    if std::io::stdin().read_line(&mut answer)? == 0 {
        note("");
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
