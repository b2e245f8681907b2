//! A git remote: commits, refs, compare-and-swap pushes. Trees are maps of path to value; what a value means to
//! the tests stands beside it.

use super::dice::mix;
use gastown_harness::record::Record;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A commit's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid(u64);

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:040x}", self.0)
    }
}

impl Oid {
    /// Reads what [`Oid`] prints.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 40).then(|| u64::from_str_radix(text, 16).ok().map(Self))?
    }

    /// For people.
    #[must_use]
    pub fn short(self) -> String {
        format!("{:06x}", self.0 >> 40)
    }
}

/// Path to value.
pub type Tree = BTreeMap<u32, u64>;

/// What a value does to the tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// Red wherever it is.
    pub bad: bool,
    /// Red together with another value of the same group.
    pub clash: Option<u32>,
}

/// A commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// First the one it stands on.
    pub parents: Vec<Oid>,
    /// Content.
    pub tree: Tree,
    /// Content of a record commit.
    pub record: Option<Record>,
    height: u64,
}

/// What a lease demands of a ref.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Nothing.
    Any,
    /// This value, or absence.
    Is(Option<Oid>),
}

/// One ref of a push.
#[derive(Clone, Debug)]
pub struct Move {
    /// Which.
    pub name: String,
    /// To where; none deletes it.
    pub to: Option<Oid>,
    /// From where.
    pub lease: Lease,
}

/// A remote and every commit anybody ever made for it.
#[derive(Clone, Debug)]
pub struct Remote {
    commits: BTreeMap<Oid, Commit>,
    /// Refs.
    pub refs: BTreeMap<String, Oid>,
    quality: BTreeMap<u64, Quality>,
    fresh: u64,
}

/// The target branch.
pub(super) const MAIN: &str = "refs/heads/main";

impl Default for Remote {
    fn default() -> Self {
        let mut remote = Self {
            commits: BTreeMap::new(),
            refs: BTreeMap::new(),
            quality: BTreeMap::new(),
            fresh: 0,
        };
        let root = remote.commit(&[], Tree::new());
        remote.refs.insert(MAIN.to_owned(), root);
        remote
    }
}

impl Remote {
    /// A commit by a person or agent: never the same twice.
    pub fn commit(&mut self, parents: &[Oid], tree: Tree) -> Oid {
        self.fresh += 1;
        let id = Oid(mix(self.fresh));
        self.put(id, parents, tree, None);
        id
    }

    /// A link of a record's chain.
    pub fn record_commit(&mut self, parents: &[Oid], record: Record) -> Oid {
        self.fresh += 1;
        let id = Oid(mix(self.fresh));
        self.put(id, parents, Tree::new(), Some(record));
        id
    }

    fn put(&mut self, id: Oid, parents: &[Oid], tree: Tree, record: Option<Record>) {
        let height = parents.iter().map(|p| self.height(*p)).max().map_or(0, |h| h + 1);
        self.commits.insert(
            id,
            Commit {
                parents: parents.to_vec(),
                tree,
                record,
                height,
            },
        );
    }

    /// A new value with its quality.
    pub fn value(&mut self, quality: Quality) -> u64 {
        self.fresh += 1;
        self.quality.insert(self.fresh, quality);
        self.fresh
    }

    fn height(&self, id: Oid) -> u64 {
        self.commits.get(&id).map_or(0, |c| c.height)
    }

    /// A commit.
    #[must_use]
    pub fn get(&self, id: Oid) -> Option<&Commit> {
        self.commits.get(&id)
    }

    /// A commit's tree.
    #[must_use]
    pub fn tree(&self, id: Oid) -> Tree {
        self.commits.get(&id).map(|c| c.tree.clone()).unwrap_or_default()
    }

    /// What a record commit says.
    #[must_use]
    pub fn record(&self, id: Oid) -> Option<&Record> {
        self.commits.get(&id)?.record.as_ref()
    }

    /// The value of a ref.
    #[must_use]
    pub fn at(&self, name: &str) -> Option<Oid> {
        self.refs.get(name).copied()
    }

    /// The target branch.
    #[must_use]
    pub fn main(&self) -> Option<Oid> {
        self.at(MAIN)
    }

    /// Whether `old` is `new` or among its ancestors.
    #[must_use]
    pub fn is_ancestor(&self, old: Oid, new: Oid) -> bool {
        let low = self.height(old);
        let mut seen = BTreeSet::new();
        let mut left = vec![new];
        while let Some(id) = left.pop() {
            if id == old {
                return true;
            }
            let Some(commit) = self.commits.get(&id).filter(|c| c.height > low) else {
                continue;
            };
            left.extend(commit.parents.iter().copied().filter(|p| seen.insert(*p)));
        }
        false
    }

    /// Whether any ref still leads to a commit.
    #[must_use]
    pub fn reachable(&self, id: Oid) -> bool {
        self.refs.values().any(|tip| self.is_ancestor(id, *tip))
    }

    /// The newest commit of a line that another one contains: where it forked.
    #[must_use]
    pub fn fork(&self, line: Oid, other: Oid) -> Option<Oid> {
        let mut at = Some(line);
        while let Some(id) = at {
            if self.is_ancestor(id, other) {
                return Some(id);
            }
            at = self.commits.get(&id)?.parents.first().copied();
        }
        None
    }

    /// Commits of `tip` that `target` does not contain.
    #[must_use]
    pub fn since(&self, target: Oid, tip: Oid) -> u32 {
        let mut seen = BTreeSet::from([tip]);
        let mut left = vec![tip];
        let mut count = 0;
        while let Some(id) = left.pop() {
            if self.is_ancestor(id, target) {
                continue;
            }
            count += 1;
            let parents = self.commits.get(&id).map(|c| c.parents.clone()).unwrap_or_default();
            left.extend(parents.into_iter().filter(|p| seen.insert(*p)));
        }
        count
    }

    /// Moves all refs or none.
    pub fn push(&mut self, moves: &[Move]) -> bool {
        let holds = |m: &Move| match m.lease {
            Lease::Any => true,
            Lease::Is(value) => self.at(&m.name) == value,
        };
        if !moves.iter().all(holds) {
            return false;
        }
        for m in moves {
            match m.to {
                Some(to) => drop(self.refs.insert(m.name.clone(), to)),
                None => drop(self.refs.remove(&m.name)),
            }
        }
        true
    }

    /// Brings a change onto a commit, as `candidate` does. The same change on the same commit is the same result.
    pub fn join(&mut self, onto: Oid, change: Oid) -> Joined {
        if self.is_ancestor(change, onto) {
            return Joined::Empty;
        }
        let Some(fork) = self.fork(onto, change) else {
            return Joined::Conflict(Vec::new());
        };
        let (old, new, mut tree) = (self.tree(fork), self.tree(change), self.tree(onto));
        let touched: BTreeSet<u32> = old.keys().chain(new.keys()).copied().collect();
        let (mut moved, mut conflicts) = (false, Vec::new());
        for path in touched {
            let (was, is, here) = (old.get(&path), new.get(&path), tree.get(&path));
            if was == is || here == is {
                continue;
            }
            if here != was {
                conflicts.push(format!("file-{path}"));
            } else if let Some(value) = is {
                moved = true;
                tree.insert(path, *value);
            }
        }
        if !conflicts.is_empty() {
            return Joined::Conflict(conflicts);
        }
        if !moved {
            return Joined::Empty;
        }
        let id = Oid(mix(onto.0.rotate_left(17) ^ mix(change.0)));
        self.put(id, &[onto], tree, None);
        Joined::As(id)
    }

    /// Whether the tests fail on a tree, flakes aside.
    #[must_use]
    pub fn is_red(&self, tree: &Tree) -> bool {
        let mut groups = BTreeSet::new();
        tree.values()
            .filter_map(|v| self.quality.get(v))
            .any(|q| q.bad || q.clash.is_some_and(|group| !groups.insert(group)))
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is in.
    As(Oid),
    /// It is there already.
    Empty,
    /// It does not apply; where.
    Conflict(Vec<String>),
}
