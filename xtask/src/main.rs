//! Generators of what is made from code, and the gate that what is committed is what they make.

mod crds;
mod differences;
mod fields;
mod generated;
mod install;
mod rbac;
mod reference;
mod release;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};

/// Tasks of the repository that need its code.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the definitions, their reference page, and the chart's rules.
    Generate,
    /// Fail where a generated file is not what `generate` writes, or a version is not that of `release.env`.
    Check,
}

fn main() -> Result<()> {
    let root = root()?;
    let release = release::Release::read(&root)?;
    let crds = gastown_api::crds();
    let mut files = crds::files(&crds)?;
    files.push(install::manifest(&root, &files)?);
    files.push(reference::page(&crds, &fields::Rows::read(&root)?)?);
    files.push(rbac::rules());
    files.push(differences::page(&root)?);
    match Arguments::parse().task {
        Task::Generate => generated::write(&root, &files)?
            .iter()
            .for_each(|path| println!("wrote {path}")),
        Task::Check => {
            release.agrees_with(env!("CARGO_PKG_VERSION"))?;
            release.agrees_with_chart(&root)?;
            let drifted = generated::drifted(&root, &files)?;
            if !drifted.is_empty() {
                let names: Vec<&str> = drifted.iter().map(|file| file.path.as_str()).collect();
                bail!("not what the code generates: {}\nrun make generate", names.join(", "));
            }
            println!(
                "{} for {}/{}: in step",
                release.version, release.registry, release.owner
            );
        }
    }
    Ok(())
}

/// The repository it was built in: the folder above this package.
fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .context("the package has no parent folder")
}
