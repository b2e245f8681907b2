//! Tables for people, documents for machines. Data goes to stdout and nothing else does.

use crate::style::Paint;
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

impl Output {
    /// Whether a person reads it.
    #[must_use]
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Columns and rows; a column marked wide shows only with `-o wide`.
pub struct Table {
    /// Header and whether it is wide.
    pub columns: Vec<(&'static str, bool)>,
    /// Cells.
    pub rows: Vec<Vec<String>>,
}

/// Says something to a person, beside the data. Nobody may be listening.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes data. Ends quietly where nobody reads any more.
pub(crate) fn write_out(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(Failure::from),
    }
}

impl Table {
    /// The table as text.
    pub(crate) fn text(&self, wide: bool, paint: Paint) -> String {
        let shown: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, (_, w))| wide || !w)
            .map(|(i, _)| i)
            .collect();
        let header: Vec<String> = self.columns.iter().map(|(h, _)| (*h).to_owned()).collect();
        let lines: Vec<Vec<String>> = std::iter::once(&header)
            .chain(self.rows.iter())
            .map(|line| {
                shown
                    .iter()
                    .map(|i| line.get(*i).map(|c| one_line(c)).unwrap_or_default())
                    .collect()
            })
            .collect();
        let widths: Vec<usize> = (0..shown.len())
            .map(|i| {
                let widest = lines.iter().filter_map(|l| l.get(i)).map(|c| c.chars().count()).max();
                widest.unwrap_or_default()
            })
            .collect();
        let mut text = String::new();
        for line in lines {
            let last = line.len().saturating_sub(1);
            for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let space = width.saturating_sub(cell.chars().count()) + 3;
                text.push_str(&paint.word(cell));
                if i != last {
                    text.extend(std::iter::repeat_n(' ', space));
                }
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

/// Control characters, which untrusted text may hold, never reach a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect()
}

/// Like [`one_line`], but lines stay lines.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if unprintable(c) && c != '\n' && c != '\t' {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// Control characters, and those that turn the order of what is read around.
fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

pub(crate) fn document<T: Serialize>(output: Output, value: &T) -> Result<String, Failure> {
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
    items: &[T],
    name: impl Fn(&T) -> String,
    table: &Table,
    none: &str,
) -> Result<(), Failure> {
    let text = match output {
        Output::Table | Output::Wide if items.is_empty() => {
            note(none);
            return Ok(());
        }
        Output::Table | Output::Wide => table.text(output == Output::Wide, Paint::of_stdout()),
        Output::Json | Output::Yaml => document(output, &items)?,
        Output::Name => items.iter().map(|i| format!("{}\n", name(i))).collect(),
    };
    write_out(&text)
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
    write_out(&text)
}

/// Age as kubectl prints it.
pub(crate) fn age(created: Option<&Time>, now: Timestamp) -> String {
    created.map_or_else(|| "-".to_owned(), |at| since(at.0, now))
}

/// How long ago, as kubectl prints it.
pub(crate) fn since(at: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(at).as_secs().max(0))
}

/// So many seconds, as kubectl prints them.
pub(crate) fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds}s"),
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

/// `key: value` lines, aligned.
#[derive(Default)]
pub(crate) struct Block(String);

impl Block {
    pub(crate) fn line(&mut self, key: &str, value: impl AsRef<str>) {
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("{key}:")
        };
        let line = format!("{key:<12} {}", value.as_ref());
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// A line where there is something to say.
    pub(crate) fn some(&mut self, key: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value.filter(|v| !v.as_ref().is_empty()) {
            self.line(key, value);
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
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
        insta::assert_snapshot!(table.text(false, Paint::plain()), @r"
        NAME      MESSAGE
        furiosa   red [31m line
        nux       ok
        ");
        assert!(table.text(true, Paint::plain()).contains("polecat-furiosa"));
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
