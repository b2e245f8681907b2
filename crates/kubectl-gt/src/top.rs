//! top: who is doing what, and what it has cost so far.

use crate::globals::Scope;
use crate::held::Held;
use crate::output::{note, one_line, or_dash, print_list, since, write_out};
use crate::polecat::{spent_now, task_line};
use crate::session::Session;
use crate::{Failure, Table, complete};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::StreamExt as _;
use gastown_api::conditions::{self, MERGED};
use gastown_api::{Polecat, PolecatPhase};
use gastown_wire::Tokens;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;
use std::io::IsTerminal;
use std::time::Duration;

/// Arguments of top.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// Only of this rig; `.` is that of this checkout.
    #[arg(long, add = ArgValueCompleter::new(complete::rigs))]
    rig: Option<String>,
    /// Those whose work has landed or that were ended, too.
    #[arg(long)]
    all: bool,
    /// Again and again, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
    /// How often with --watch: 2s, 1m.
    #[arg(long, value_parser = crate::wait::duration, default_value = "2s")]
    interval: Duration,
    #[command(flatten)]
    scope: Scope,
}

/// Logs that are read at the same time.
const LOGS_AT_ONCE: usize = 16;

/// What `-o json` says of one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    namespace: String,
    polecat: String,
    rig: String,
    bead: Option<String>,
    phase: PolecatPhase,
    /// Whether the agent runs now.
    active: bool,
    agent: Option<String>,
    model: Option<String>,
    round: i64,
    attempt: i64,
    /// Since its state last changed.
    since: Option<Timestamp>,
    /// Of attempts that are over, and of the one under way where its log can be read.
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    #[serde(rename = "costUSD")]
    cost_usd: Option<String>,
    /// The first line of its task.
    task: Option<String>,
    message: Option<String>,
}

impl Row {
    fn of(held: &Held<Polecat>) -> Self {
        let polecat = &held.object;
        let s = polecat.status.clone().unwrap_or_default();
        Self {
            namespace: polecat.namespace().unwrap_or_default(),
            polecat: polecat.name_any(),
            rig: polecat.spec.rig.clone(),
            bead: polecat.spec.bead_id.clone(),
            phase: s.phase,
            active: s.pod_active == Some(true),
            agent: s.agent,
            model: s.agent_model,
            round: s.round.unwrap_or(1),
            attempt: s.attempt.unwrap_or(0),
            since: s.last_activity.map(|t| t.0),
            input_tokens: s.tokens.map(|t| t.input),
            output_tokens: s.tokens.map(|t| t.output),
            cost_usd: s.cost_usd,
            task: task_line(polecat),
            message: s.message,
        }
    }

    /// With what the agent that runs has spent since its status was written.
    fn and_now(mut self, (tokens, micros): (Tokens, Option<u64>)) -> Self {
        let plus = |held: Option<i64>, more: u64| {
            Some(
                held.unwrap_or(0)
                    .saturating_add(i64::try_from(more).unwrap_or(i64::MAX)),
            )
        };
        self.input_tokens = plus(self.input_tokens, tokens.input);
        self.output_tokens = plus(self.output_tokens, tokens.output);
        if let Some(micros) = micros {
            let held = self.cost_usd.as_deref().and_then(gastown_api::micros);
            self.cost_usd = plus(held, micros).map(gastown_api::dollars);
        }
        self
    }

    /// What it works at; else why it does not.
    fn doing(&self) -> Option<&String> {
        match self.active {
            true => self.task.as_ref().or(self.message.as_ref()),
            false => self.message.as_ref(),
        }
    }

    /// At work first, then those that need somebody, then those that wait.
    fn rank(&self) -> u8 {
        match self.phase {
            PolecatPhase::Working => 0,
            PolecatPhase::Stuck => 1,
            PolecatPhase::Idle => 2,
            PolecatPhase::Done => 3,
            PolecatPhase::Terminated => 4,
        }
    }
}

pub(crate) async fn run(args: TopArgs, session: &Session<'_>) -> Result<(), Failure> {
    let rig = args.rig.as_ref().map(|r| session.access.rig(r)).transpose()?;
    loop {
        let all = session.polecats(args.scope.all_namespaces).list(None).await?;
        let asked = all
            .iter()
            .filter(|p| rig.as_ref().is_none_or(|r| *r == p.object.spec.rig))
            .filter(|p| args.all || !is_over(&p.object));
        let mut rows: Vec<Row> = futures::stream::iter(asked)
            .map(|held| async move {
                let row = Row::of(held);
                if !row.active {
                    return row;
                }
                match spent_now(&held.object, session).await {
                    Some(spent) => row.and_now(spent),
                    None => row,
                }
            })
            .buffered(LOGS_AT_ONCE)
            .collect()
            .await;
        rows.sort_by(|a, b| (a.rank(), &a.namespace, &a.polecat).cmp(&(b.rank(), &b.namespace, &b.polecat)));
        if args.watch && session.output.is_for_people() && std::io::stdout().is_terminal() {
            write_out("\u{1b}[H\u{1b}[2J")?;
        }
        print(&rows, &args, session)?;
        if !args.watch {
            return Ok(());
        }
        tokio::time::sleep(args.interval.max(Duration::from_millis(200))).await;
    }
}

fn is_over(polecat: &Polecat) -> bool {
    let status = polecat.status.clone().unwrap_or_default();
    conditions::is_true(&status.conditions, MERGED) || status.phase == PolecatPhase::Terminated
}

fn print(rows: &[Row], args: &TopArgs, session: &Session<'_>) -> Result<(), Failure> {
    let now = Timestamp::now();
    let mut columns = vec![
        ("NAME", false),
        ("RIG", false),
        ("BEAD", false),
        ("PHASE", false),
        ("FOR", false),
        ("AGENT", false),
        ("MODEL", true),
        ("ROUND", true),
        ("ATTEMPT", true),
        ("IN", false),
        ("OUT", false),
        ("USD", false),
        ("DOING", false),
    ];
    if args.scope.all_namespaces {
        columns.insert(0, ("NAMESPACE", false));
    }
    let cells = rows
        .iter()
        .map(|r| {
            let mut cells = vec![
                r.polecat.clone(),
                r.rig.clone(),
                or_dash(r.bead.as_ref()),
                format!("{:?}", r.phase),
                r.since.map_or_else(|| "-".to_owned(), |t| since(t, now)),
                or_dash(r.agent.as_ref()),
                or_dash(r.model.as_ref()),
                r.round.to_string(),
                r.attempt.to_string(),
                r.input_tokens.map_or_else(|| "-".to_owned(), thousands),
                r.output_tokens.map_or_else(|| "-".to_owned(), thousands),
                or_dash(r.cost_usd.as_ref()),
                or_dash(r.doing().map(|m| one_line(m)).as_ref()),
            ];
            if args.scope.all_namespaces {
                cells.insert(0, r.namespace.clone());
            }
            cells
        })
        .collect();
    let none = format!(
        "nobody is at work; those that are done: {0} top --all; make one: {0} sling BEAD RIG",
        session.program()
    );
    let name = |r: &Row| format!("polecat/{}", r.polecat);
    let table = Table { columns, rows: cells };
    print_list(session.output, rows, name, &table, &none)?;
    if session.output.is_for_people() && !rows.is_empty() {
        note(total(rows));
    }
    Ok(())
}

/// What all of them together are.
fn total(rows: &[Row]) -> String {
    let sum = |f: fn(&Row) -> Option<i64>| rows.iter().filter_map(f).sum::<i64>();
    // The sum of nothing is -0 in floating point.
    let cost = rows
        .iter()
        .filter_map(|r| r.cost_usd.as_ref()?.parse::<f64>().ok())
        .fold(0.0, |sum, cost| sum + cost);
    let working = rows.iter().filter(|r| r.phase == PolecatPhase::Working).count();
    format!(
        "{} polecat(s), {working} at work; {} tokens in, {} out, {cost:.2} USD",
        rows.len(),
        thousands(sum(|r| r.input_tokens)),
        thousands(sum(|r| r.output_tokens))
    )
}

/// 999, 12.3k, 4.5M.
fn thousands(n: i64) -> String {
    match n {
        ..1000 => n.to_string(),
        1000..1_000_000 => format!("{}.{}k", n / 1000, n % 1000 / 100),
        _ => format!("{}.{}M", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn tokens_in_short() {
        for (n, text) in [(0, "0"), (999, "999"), (12_345, "12.3k"), (4_560_000, "4.5M")] {
            assert_eq!(thousands(n), text);
        }
    }
}
