//! A polecat under its own name, or under the first free one of the theme.

use super::SlingArgs;
use crate::held::Held;
use crate::session::Session;
use crate::{Failure, exit};
use gastown_api::themes::{self, Theme};
use gastown_api::{Polecat, PolecatSpec, Rig};
use kube::ResourceExt;
use std::collections::BTreeSet;

/// So many names are tried before somebody has to think of one.
const MOST: usize = 1000;

/// Refuses a theme nobody has.
pub(super) fn known_theme(theme: Option<&str>) -> Result<(), Failure> {
    match theme {
        Some(name) if themes::theme(name).is_none() => {
            Err(Failure::new(exit::USAGE, format!("there is no theme {name}")).hint("mad-max, minerals or wasteland"))
        }
        _ => Ok(()),
    }
}

/// The theme asked for, else the rig's. A rig's that nobody has is no reason to sling nothing.
fn theme_of(args: &SlingArgs, rig: &Rig) -> &'static Theme {
    let rigs = rig.spec.settings.as_ref().and_then(|s| s.namepool_theme.as_deref());
    let wanted = args.theme.as_deref().or(rigs).and_then(themes::theme);
    wanted.unwrap_or(&themes::THEMES[0])
}

pub(super) async fn create(
    args: &SlingArgs,
    session: &Session<'_>,
    held: &[Held<Polecat>],
    rig: &Rig,
    spec: PolecatSpec,
) -> Result<Held<Polecat>, Failure> {
    let (shelf, dry) = (session.polecats(false), args.rehearsal.dry_run);
    let taken: BTreeSet<String> = held.iter().map(|p| p.object.name_any()).collect();
    if let Some(name) = &args.name {
        let made = match taken.contains(name) {
            true => None,
            false => shelf.create(named(name, spec, args.again), dry).await?,
        };
        return made.ok_or_else(|| {
            Failure::new(exit::REFUSED, format!("there is a polecat {name} already"))
                .hint("leave --name out, or choose another")
        });
    }
    let theme = theme_of(args, rig);
    let rounds = (1..).flat_map(|n| {
        theme.names.iter().map(move |name| {
            if n == 1 {
                (*name).to_owned()
            } else {
                format!("{name}-{n}")
            }
        })
    });
    for name in rounds.filter(|n| !taken.contains(n)).take(MOST) {
        // Somebody else took the name meanwhile: the next one.
        if let Some(made) = shelf.create(named(&name, spec.clone(), args.again), dry).await? {
            return Ok(made);
        }
    }
    Err(Failure::new(exit::REFUSED, "a thousand names are taken").hint("give one with --name"))
}

/// A bead that is slung again has a branch already, which is somebody else's: this one gets its own.
fn named(name: &str, mut spec: PolecatSpec, again: bool) -> Polecat {
    if again && spec.bead_id.is_some() {
        let kubernetes = spec.kubernetes.get_or_insert_default();
        kubernetes.work_branch.get_or_insert_with(|| format!("polecat/{name}"));
    }
    Polecat::new(name, spec)
}
