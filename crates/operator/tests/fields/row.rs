//! A row: a field, a manifest that has it, and where it shows.

use crate::town::{Step, Town};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One thing that a field does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Row {
    /// Below `spec`; `[]` is the first of a list.
    field: String,
    /// What is shown, in a few words.
    shows: String,
    /// What work under way makes of a change: begins with `at once` or `next`; that is played.
    #[serde(default)]
    changed: String,
    /// On one machine, not in a cluster.
    #[serde(default)]
    here: bool,
    /// Specs by kind, laid over the town's; null: no such object.
    #[serde(default)]
    given: Map<String, Value>,
    /// Another valid value, for fields without which nothing would run: shows something else too.
    other: Option<Value>,
    /// The value given is what holds without it too, which is shown as well.
    #[serde(default)]
    is_default: bool,
    /// What comes and goes as one where the field alone says nothing.
    whole: Option<String>,
    /// What happens before somebody changes the field, and after.
    before: Option<Vec<Step>>,
    #[serde(default)]
    after: Vec<Step>,
    /// What brings the next attempt, run or look.
    renew: Option<Vec<Step>>,
    /// Pointers into what is seen, and what is there; `has`: among other things.
    #[serde(default)]
    see: Map<String, Value>,
    /// What is typed, where the plugin serves the field, and what that prints; or how the API server refuses the value.
    /// `crates/kubectl-gt/tests/transcripts/fields.rs` plays these.
    typed: Option<String>,
    says: Option<String>,
    refused: Option<String>,
    #[serde(skip)]
    kind: &'static str,
}

/// Where a row's test is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Here,
    Typed,
}

pub(crate) fn read(kind: &'static str, text: &str) -> Vec<Row> {
    let rows: Value = serde_saphyr::from_str(text).unwrap();
    let mut rows: Vec<Row> = serde_json::from_value(rows).unwrap();
    for row in &mut rows {
        row.kind = kind;
    }
    rows
}

impl Row {
    /// The whole proof; on failure what is not so.
    pub(crate) fn play(&self) -> Result<Shown, String> {
        if self.is_typed()? {
            return Ok(Shown::Typed);
        }
        let given = self.manifest();
        self.shows(&given)?;
        self.changes(&given)?;
        Ok(Shown::Here)
    }

    /// With the field it is so; without it, and with another value, it is not.
    fn shows(&self, given: &Map<String, Value>) -> Result<(), String> {
        let town = self.run(given)?;
        if !self.is_seen(&town) {
            return self.wrong("with the field it is not so", &town);
        }
        for without in self.ablations(given) {
            // What the API server would refuse shows nothing.
            if let Ok(town) = self.run(&without)
                && self.is_seen(&town)
            {
                return self.wrong("without the field it is so all the same: nothing is shown", &town);
            }
        }
        if self.is_default {
            let town = self.run(&self.with(given, &self.field, None))?;
            if !self.is_seen(&town) {
                return self.wrong("it is not the default", &town);
            }
        }
        Ok(())
    }

    /// Somebody sets the field while work runs.
    fn changes(&self, given: &Map<String, Value>) -> Result<(), String> {
        let is_next = self.changed.starts_with("next");
        if !is_next && !self.changed.starts_with("at once") {
            return Err(format!("{}.{}: say what a change does", self.kind, self.field));
        }
        let mut town = self.town(&self.before_the_change(given))?;
        town.play(self.before());
        let pods = town.pods_of_polecats();
        town.edit(self.kind, &given[self.kind])?;
        if is_next {
            // Sums are paced by a second: what is to come at once has come by then.
            town.play(&[Step::Later(2)]);
            if self.is_seen(&town) || town.pods_of_polecats() != pods {
                return self.wrong("it was not to act yet, on work under way", &town);
            }
        }
        town.play(&self.after);
        if is_next {
            town.play(self.renew());
        }
        if self.is_seen(&town) {
            return Ok(());
        }
        self.wrong(&format!("a change was to act {}", self.changed), &town)
    }

    fn wrong(&self, what: &str, town: &Town) -> Result<(), String> {
        let seen: Vec<String> = self.see.keys().map(|p| format!("{p}: {}", town.at(p))).collect();
        let (kind, field, shows) = (self.kind, &self.field, &self.shows);
        let seen = seen.join("\n  ");
        Err(format!("{kind}.{field} ({shows}): {what}\n  {seen}\n  {}", town.said()))
    }

    /// Whether somebody types it, and whole.
    fn is_typed(&self) -> Result<bool, String> {
        match (&self.typed, &self.says, &self.refused) {
            (None, None, None) => Ok(false),
            (Some(_), Some(_), None) | (None, None, Some(_)) if self.see.is_empty() => Ok(true),
            _ => Err(format!(
                "{}.{}: `typed` with `says`, or `refused`, or `see`",
                self.kind, self.field
            )),
        }
    }

    fn run(&self, given: &Map<String, Value>) -> Result<Town, String> {
        let mut town = self.town(given)?;
        town.play(self.before());
        town.play(&self.after);
        Ok(town)
    }

    fn town(&self, given: &Map<String, Value>) -> Result<Town, String> {
        Town::of(self.here, given)
    }

    fn manifest(&self) -> Map<String, Value> {
        let mut all = crate::town::base(self.kind);
        merge(&mut all, &self.given);
        all
    }

    fn ablations(&self, given: &Map<String, Value>) -> Vec<Map<String, Value>> {
        let stripped = self.with(given, self.whole.as_ref().unwrap_or(&self.field), None);
        let alone = self.with(given, &self.field, None);
        let other = self.other.as_ref().map(|o| self.with(given, &self.field, Some(o)));
        let without = [stripped, alone].into_iter().filter(|_| !self.is_default);
        without.chain(other).collect()
    }

    fn before_the_change(&self, given: &Map<String, Value>) -> Map<String, Value> {
        match &self.other {
            Some(_) => self.with(given, &self.field, self.other.as_ref()),
            None => self.with(given, self.whole.as_ref().unwrap_or(&self.field), None),
        }
    }

    /// The manifest with another value of the field, or without it and whatever it leaves empty.
    fn with(&self, given: &Map<String, Value>, field: &str, value: Option<&Value>) -> Map<String, Value> {
        let mut all = given.clone();
        let path: Vec<&str> = field.split('.').collect();
        put(&mut all[self.kind], &path, value);
        all
    }

    fn before(&self) -> &[Step] {
        const WORK: &[Step] = &[Step::Work];
        let usual = match self.kind {
            "polecat" | "rig" => WORK,
            _ => &[],
        };
        self.before.as_deref().unwrap_or(usual)
    }

    fn renew(&self) -> &[Step] {
        const LOSE: &[Step] = &[Step::Lose];
        self.renew.as_deref().unwrap_or(LOSE)
    }

    fn is_seen(&self, town: &Town) -> bool {
        self.see
            .iter()
            .all(|(pointer, wanted)| matches(&town.at(pointer), wanted))
    }
}

fn matches(seen: &Value, wanted: &Value) -> bool {
    match (wanted.get("has").and_then(Value::as_str), seen) {
        (Some(part), Value::String(text)) => text.contains(part),
        (Some(part), Value::Array(list)) => list.iter().any(|item| item == part),
        (Some(_), _) => false,
        (None, _) => seen == wanted,
    }
}

/// As a merge patch, but a null stays: it says that there is no such object.
pub(crate) fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(held)), Value::Object(more)) => merge(held, more),
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

fn put(at: &mut Value, path: &[&str], value: Option<&Value>) {
    let [first, rest @ ..] = path else { return };
    let (name, is_list) = first.strip_suffix("[]").map_or((*first, false), |name| (name, true));
    let Some(map) = at.as_object_mut() else { return };
    if rest.is_empty() {
        match value {
            Some(value) => drop(map.insert(name.to_owned(), value.clone())),
            None => drop(map.remove(name)),
        }
        return;
    }
    let Some(below) = map.get_mut(name) else { return };
    put(if is_list { &mut below[0] } else { below }, rest, value);
    if below.as_object().is_some_and(Map::is_empty) {
        map.remove(name);
    }
}
