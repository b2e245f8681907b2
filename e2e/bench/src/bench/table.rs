//! Budgets, figures, floors: for people, for machines, for the documents.

use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// Which side of a budget is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Sense {
    AtMost,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) budget: Option<(Sense, f64)>,
    pub(crate) figure: f64,
    pub(crate) floor: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) over_budget: bool,
    pub(crate) note: String,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, figure: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            budget: None,
            figure,
            floor: None,
            ratio: None,
            over_budget: false,
            note: String::new(),
        }
    }

    pub(crate) fn at_most(mut self, most: f64) -> Self {
        self.budget = Some((Sense::AtMost, most));
        self.over_budget = self.figure.is_nan() || self.figure > most;
        self
    }

    pub(crate) fn floor(mut self, floor: f64) -> Self {
        self.floor = Some(floor);
        self.ratio = Some(self.figure / floor);
        self
    }

    /// The budget is on the ratio to the floor.
    pub(crate) fn ratio_at_least(mut self, least: f64) -> Self {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        self.over_budget = ratio.is_nan() || ratio < least;
        self.note = format!("budget: {} of the floor", short(least));
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// All lines.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// The operator's calls while it led polecats from created to deleted: verb and resource, how often.
    pub(crate) calls: Vec<(String, usize)>,
}

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        let verdict = if row.over_budget { "  over budget" } else { "" };
        eprintln!("  {}: {} {}{verdict}", row.what, short(row.figure), row.unit);
        self.rows.push(row);
    }

    fn lines(&self) -> Vec<[String; 6]> {
        let head = ["what", "budget", "figure", "floor", "ratio", ""].map(str::to_owned);
        let rows = self.rows.iter().map(|r| {
            let with = |v: f64| format!("{} {}", short(v), r.unit).trim().to_owned();
            let verdict = match (r.over_budget, r.note.as_str()) {
                (true, "") => "over budget".to_owned(),
                (true, note) => format!("over budget; {note}"),
                (false, note) => note.to_owned(),
            };
            [
                r.what.clone(),
                r.budget.map(|(_, v)| format!("≤ {}", with(v))).unwrap_or_default(),
                with(r.figure),
                r.floor.map(with).unwrap_or_default(),
                r.ratio.map(short).unwrap_or_default(),
                verdict,
            ]
        });
        [head].into_iter().chain(rows).collect()
    }

    pub(crate) fn print(&self) {
        let lines = self.lines();
        let mut widths = [0; 6];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for line in &lines {
            let mut text = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                let _ = write!(text, "{cell:width$}  ");
            }
            println!("{}", text.trim_end());
        }
        println!("\nthe operator's calls for these lives:");
        for (call, times) in &self.calls {
            println!("{times:>6}  {call}");
        }
    }

    pub(crate) fn write_json(&self, path: &Path, machine: &str) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let all = serde_json::json!({"machine": machine, "at": jiff::Timestamp::now(), "rows": self.rows, "calls": self.calls});
        Ok(std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?)
    }

    /// The page anew, but what a person wrote at its end.
    pub(crate) fn write_page(&self, path: &Path, machine: &str) -> anyhow::Result<()> {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let kept = before.find(KEPT).and_then(|at| before.get(at..)).unwrap_or(KEPT);
        let mut page = String::from(PREAMBLE);
        for (n, line) in self.lines().iter().enumerate() {
            let _ = writeln!(page, "| {} |", line.join(" | "));
            if n == 0 {
                page.push_str("|---|---|---|---|---|---|\n");
            }
        }
        let _ = writeln!(
            page,
            "\nMeasured {} on {machine}.",
            jiff::Timestamp::now().strftime("%Y-%m-%d")
        );
        page.push_str("\nThe operator's calls for the first lives, by verb and resource:\n\n| calls | |\n|---|---|\n");
        for (call, times) in &self.calls {
            let _ = writeln!(page, "| {times} | {call} |");
        }
        let _ = write!(page, "\n{}\n", kept.trim_end());
        Ok(std::fs::write(path, page)?)
    }
}

/// What stands from here on is a person's.
const KEPT: &str = "<!-- From here on by hand: kept when the page is made anew. -->";

const PREAMBLE: &str = "# Benchmarks

`make bench` makes this page and `target/bench.json`: a real control plane (etcd, kube-apiserver, controller manager) on
loopback, a kubelet that runs nothing, the operator as it is shipped (release profile, thin LTO), and by turns in the
same run a floor: a naive loop with the same watches that creates the same pods, patches one status each, and does
nothing else. Control plane, kubelet, observer and operator share the machine's cores. Calls are counted in the API
server's audit log; times are when two watches saw things, the same two for floor and operator. `BENCH=quick make bench`
is a smoke test of two minutes.

";

/// Three digits that mean something.
pub(crate) fn short(v: f64) -> String {
    match v {
        v if v.is_nan() => "none".into(),
        v if v == v.trunc() && v.abs() < 1e6 => format!("{v:.0}"),
        v if v.abs() >= 100.0 => format!("{v:.0}"),
        v if v.abs() >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
