//! doctor: whether everything a polecat needs is there, and what mends what is not.

mod cluster;
mod rigs;

use crate::output::{Table, document, printable, write_out};
use crate::session::Session;
use crate::style::Paint;
use crate::{Failure, Output, complete, exit};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde::Serialize;

/// Arguments of doctor.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Only this rig; `.` is that of this checkout.
    #[arg(long, add = ArgValueCompleter::new(complete::rigs))]
    rig: Option<String>,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but look at it; or could not be looked at.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What.
    name: String,
    verdict: Verdict,
    /// What was found.
    message: String,
    /// What to type.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict: Verdict::Ok,
            message: message.into(),
            fix: None,
        }
    }

    fn warn(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            ..Self::ok(name, message)
        }
    }

    fn fail(name: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            fix: Some(fix.into()),
            ..Self::ok(name, message)
        }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

pub(crate) async fn run(args: &DoctorArgs, session: &Session<'_>) -> Result<(), Failure> {
    let mut checks = cluster::checks(session).await?;
    // Without the kinds there are no rigs to look at.
    if checks
        .iter()
        .all(|c| !c.name.starts_with("kinds") || c.verdict != Verdict::Fail)
    {
        checks.extend(rigs::checks(args.rig.as_deref(), session).await?);
    }
    print(&checks, session.output)?;
    let failed = checks.iter().filter(|c| c.verdict == Verdict::Fail).count();
    match failed {
        0 => Ok(()),
        n => Err(Failure::said(exit::FAILED, format!("{n} check(s) failed"))),
    }
}

fn print(checks: &[Check], output: Output) -> Result<(), Failure> {
    let text = match output {
        Output::Json | Output::Yaml => document(output, &checks)?,
        Output::Name => checks
            .iter()
            .filter(|c| c.verdict == Verdict::Fail)
            .map(|c| format!("check/{}\n", c.name.replace(' ', "-")))
            .collect(),
        Output::Table | Output::Wide => {
            let rows = checks
                .iter()
                .map(|c| {
                    let word = match c.verdict {
                        Verdict::Ok => "ok",
                        Verdict::Warn => "warn",
                        Verdict::Fail => "FAIL",
                    };
                    vec![word.to_owned(), c.name.clone(), c.message.clone()]
                })
                .collect();
            let table = Table {
                columns: vec![("", false), ("CHECK", false), ("FOUND", false)],
                rows,
            };
            let mut text = table.text(false, Paint::of_stdout());
            let fixes: Vec<&Check> = checks.iter().filter(|c| c.fix.is_some()).collect();
            if !fixes.is_empty() {
                text.push_str("\nTo mend:\n");
            }
            for check in fixes {
                let fix = check.fix.as_deref().unwrap_or_default();
                text.push_str(&format!("  {}\n    {}\n", check.name, printable(fix)));
            }
            text
        }
    };
    write_out(&text)
}
