//! The rows that show what every field of a spec does, as `crates/operator/tests/fields` plays them.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const FOLDER: &str = "crates/operator/tests/fields";
const FILES: [(&str, &str); 6] = [
    ("Rig", "rig"),
    ("Polecat", "polecat"),
    ("Convoy", "convoy"),
    ("Witness", "witness"),
    ("Refinery", "refinery"),
    ("BeadStore", "bead_store"),
];

/// What the page says of a row; the test reads the rest.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    field: String,
    shows: String,
    changed: String,
    typed: Option<String>,
}

/// All rows, by kind and field.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    by_field: BTreeMap<(String, String), Vec<Row>>,
}

impl Rows {
    /// Those of the repository.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut rows = Self::default();
        for (kind, file) in FILES {
            let path = format!("{FOLDER}/{file}.yaml");
            let text = fs::read_to_string(root.join(&path)).with_context(|| format!("reading {path}"))?;
            let read: Vec<Row> = serde_saphyr::from_str(&text).with_context(|| format!("{path} as rows"))?;
            for row in read {
                rows.by_field
                    .entry((kind.to_owned(), row.field.clone()))
                    .or_default()
                    .push(row);
            }
        }
        Ok(rows)
    }

    /// Two cells of a field's line: what a change does to work under way, and what shows the field.
    pub(crate) fn cells(&self, kind: &str, field: &str) -> Result<(String, String)> {
        let key = (kind.to_owned(), field.to_owned());
        let rows = self.by_field.get(&key).with_context(|| {
            format!("spec field {field} of {kind} has no row in {FOLDER}: nothing shows what it does")
        })?;
        let shown: Vec<String> = rows.iter().map(Row::shown).collect();
        // In the order of the rows; where there are several, each with what it is about.
        let mut changes: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in rows {
            match changes.iter_mut().find(|(changed, _)| *changed == row.changed) {
                Some((_, about)) => about.push(&row.shows),
                None => changes.push((&row.changed, vec![&row.shows])),
            }
        }
        let said = changes.iter().map(|(changed, about)| match changes.len() {
            1 => (*changed).to_owned(),
            _ => format!("{changed} ({})", about.join("; ")),
        });
        Ok((said.collect::<Vec<_>>().join("; "), shown.join("; ")))
    }

    /// Fails where a row is of no field.
    pub(crate) fn are_all_of(&self, fields: &BTreeSet<(String, String)>) -> Result<()> {
        match self.by_field.keys().find(|key| !fields.contains(key)) {
            None => Ok(()),
            Some((kind, field)) => bail!("a row in {FOLDER} is of {field}, which the spec of {kind} has not"),
        }
    }

    /// Where a kind's rows are, for people.
    pub(crate) fn place(kind: &str) -> String {
        let file = FILES.iter().find(|(k, _)| *k == kind).map_or("", |(_, file)| file);
        format!("Shown by test `{file}` of [`{FOLDER}`](../{FOLDER}/{file}.yaml), row by row.")
    }
}

impl Row {
    fn shown(&self) -> String {
        match &self.typed {
            None => self.shows.clone(),
            Some(command) => format!("{} (`{command}`)", self.shows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    /// The repository's rows, and the definitions.
    fn rows() -> Rows {
        Rows::read(&crate::root().unwrap()).unwrap()
    }

    #[test]
    fn every_field_has_a_row_and_every_row_a_field() {
        let crds = gastown_api::crds();
        reference::page(&crds, &rows()).unwrap();
        let mut without = rows();
        let key = ("Rig".to_owned(), "podTemplate.cacheVolumes[].claimName".to_owned());
        let row = without.by_field.remove(&key).unwrap();
        let said = format!("{:#}", reference::page(&crds, &without).err().unwrap());
        assert!(said.contains("cacheVolumes[].claimName of Rig has no row"), "{said}");
        let mut more = rows();
        more.by_field.insert(("Rig".into(), "colour".into()), row);
        let said = format!("{:#}", reference::page(&crds, &more).err().unwrap());
        assert!(said.contains("colour, which the spec of Rig has not"), "{said}");
    }
}
