//! Tables for people, documents for machines.

use crate::{Failure, exit};
use clap::ValueEnum;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use std::io::{self, Write};

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON; lists are arrays.
    Json,
    /// YAML; lists are sequences.
    Yaml,
    /// kind/name, a line each.
    Name,
}

/// Columns and rows; a column marked wide shows only with `-o wide`.
pub struct Table {
    /// Header and whether it is wide.
    pub columns: Vec<(&'static str, bool)>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// Ends quietly where nobody reads any more.
fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::from),
    }
}

impl Table {
    fn text(&self, wide: bool) -> String {
        let shown: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, (_, w))| wide || !w)
            .map(|(i, _)| i)
            .collect();
        let header: Vec<String> = self.columns.iter().map(|(h, _)| (*h).to_owned()).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&header).chain(self.rows.iter()).collect();
        let cell = |line: &Vec<String>, i: usize| line.get(i).map(|c| one_line(c)).unwrap_or_default();
        let width = |i: usize| {
            lines
                .iter()
                .map(|l| cell(l, i).chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = shown.iter().map(|i| width(*i)).collect();
        let mut text = String::new();
        for line in lines {
            let mut row = String::new();
            for (i, width) in shown.iter().zip(&widths) {
                row.push_str(&format!("{:width$}   ", cell(line, *i)));
            }
            text.push_str(row.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Control characters, which untrusted text may hold, never reach a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Like [`one_line`], but lines stay lines.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn document<T: Serialize>(output: Output, value: &T) -> Result<String, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new(exit::FAILED, format!("the result cannot be written: {e}"));
    match output {
        Output::Yaml => serde_saphyr::to_string(value).map_err(|e| wrong(&e)),
        _ => serde_json::to_string_pretty(value)
            .map(|t| t + "\n")
            .map_err(|e| wrong(&e)),
    }
}

/// Prints a list.
pub(crate) fn print_list<T: Serialize>(
    output: Output,
    kind: &str,
    items: &[T],
    name: impl Fn(&T) -> String,
    table: Table,
    none: &str,
) -> Result<(), Failure> {
    let text = match output {
        Output::Table | Output::Wide if items.is_empty() => {
            eprintln!("{none}");
            return Ok(());
        }
        Output::Table | Output::Wide => table.text(output == Output::Wide),
        Output::Json | Output::Yaml => document(output, &items)?,
        Output::Name => items.iter().map(|i| format!("{kind}/{}\n", name(i))).collect(),
    };
    written(io::stdout().write_all(text.as_bytes()))
}

/// Prints one object: a block of text for people, the object for machines.
///
/// # Errors
/// When it cannot be written.
pub fn print_one<T: Serialize>(output: Output, kind: &str, name: &str, item: &T, block: &str) -> Result<(), Failure> {
    let text = match output {
        Output::Table | Output::Wide => format!("{}\n", printable(block.trim_end())),
        Output::Json | Output::Yaml => document(output, item)?,
        Output::Name => format!("{kind}/{name}\n"),
    };
    written(io::stdout().write_all(text.as_bytes()))
}

/// Age as kubectl prints it.
pub(crate) fn age(created: Option<&Time>, now: Timestamp) -> String {
    let Some(created) = created else {
        return "-".to_owned();
    };
    let seconds = now.duration_since(created.0).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A value, or a dash.
pub(crate) fn or_dash(value: Option<&String>) -> String {
    value
        .filter(|v| !v.is_empty())
        .cloned()
        .unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_hide_wide_columns_and_control_characters() {
        let table = Table {
            columns: vec![("NAME", false), ("POD", true), ("MESSAGE", false)],
            rows: vec![
                vec!["furiosa".into(), "polecat-furiosa".into(), "red\u{1b}[31m\nline".into()],
                vec!["nux".into(), "-".into(), "ok".into()],
            ],
        };
        insta::assert_snapshot!(table.text(false), @r"
        NAME      MESSAGE
        furiosa   red [31m line
        nux       ok
        ");
        assert!(table.text(true).contains("polecat-furiosa"));
    }

    #[test]
    fn ages_read_like_kubectls() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1_000_000);
        let at = |s: i64| Time(now - jiff::SignedDuration::from_secs(s));
        for (s, text) in [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d")] {
            assert_eq!(age(Some(&at(s)), now), text);
        }
    }
}
