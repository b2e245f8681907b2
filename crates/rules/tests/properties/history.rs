//! What may happen to a cluster, and how often.

#![allow(unreachable_pub, reason = "a test's own module")]

use proptest::prelude::*;

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// The operator decides and sends: how each write is answered.
    Decide(Vec<Reply>),
    /// Everything the watch holds back arrives, up to some.
    Watch(usize),
    /// Time passes. Seconds.
    Later(u16),
    /// A pod changes on its node.
    Pod(usize, Turn),
    /// Somebody edits a polecat.
    Edit(usize, Wish),
    /// A polecat is deleted; its pods stay until collected.
    Delete(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Done,
    Stale,
    Denied,
    Later,
    /// Lost, though applied.
    LostApplied,
    /// Lost, and not applied.
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub enum Turn {
    Runs,
    Done,
    Failed,
    NoChange,
    Evicted,
    Vanishes,
    NoImage,
    CloneFails,
    Forged,
    CrashLoops,
    Silent,
}

#[derive(Clone, Copy, Debug)]
pub enum Wish {
    Work,
    Idle,
    Terminate,
    Urgent,
    OtherBead,
}

pub fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        8 => Just(Reply::Done),
        1 => Just(Reply::Stale),
        1 => Just(Reply::Denied),
        1 => Just(Reply::Later),
        1 => Just(Reply::LostApplied),
        1 => Just(Reply::Lost),
    ]
}

pub fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        4 => Just(Turn::Runs),
        3 => Just(Turn::Done),
        1 => Just(Turn::Failed),
        1 => Just(Turn::NoChange),
        1 => Just(Turn::Evicted),
        2 => Just(Turn::Vanishes),
        1 => Just(Turn::NoImage),
        1 => Just(Turn::CloneFails),
        1 => Just(Turn::Forged),
        1 => Just(Turn::CrashLoops),
        2 => Just(Turn::Silent),
    ]
}

pub fn event() -> impl Strategy<Value = Event> {
    let wish = prop_oneof![
        3 => Just(Wish::Work),
        1 => Just(Wish::Idle),
        1 => Just(Wish::Terminate),
        1 => Just(Wish::Urgent),
        1 => Just(Wish::OtherBead),
    ];
    prop_oneof![
        6 => proptest::collection::vec(reply(), 3).prop_map(Event::Decide),
        4 => (0_usize..8).prop_map(Event::Watch),
        2 => prop_oneof![0_u16..5, 0_u16..900].prop_map(Event::Later),
        5 => (0_usize..16, turn()).prop_map(|(i, t)| Event::Pod(i, t)),
        1 => (0_usize..6, wish).prop_map(|(i, w)| Event::Edit(i, w)),
        1 => (0_usize..6).prop_map(Event::Delete),
    ]
}
