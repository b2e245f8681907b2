//! Every decision. No I/O, no clock, no client.
//!
//! ```text
//! watch events, answers to our own writes ──learn──▶ World ──decide(dirty, now)──▶ Plan { actions, wakes }
//! ```
//!
//! The whole world is the specification, dirty rigs are the execution: `decide(w, all)` restricted to a rig equals
//! `decide(w, {that rig})`. A settled world gives an empty plan.

mod admission;
mod agents;
mod bead_store;
mod blueprint;
mod census;
mod convoy;
mod decide;
mod draft;
mod duration;
mod fact;
mod key;
mod names;
mod notify;
mod passwd;
mod plan;
mod pods;
mod polecat;
mod reach;
mod reason;
mod refinery;
mod remote;
mod rig;
mod row;
mod settings;
mod witness;
mod world;

pub use blueprint::{
    BeadsPod, Blueprint, Credentials, LandPod, NotifyPod, PodCommon, PolecatForBead, PolecatPod, TestPod, TextMap,
};
pub use decide::decide;
pub use fact::{Answer, Fact, Outcome, Seen};
pub use key::{Key, Kind, Rev, RigKey, Uid};
pub use plan::{Action, Notice, Plan, Status};
pub use reason::Reason;
pub use row::{
    BeadStoreRow, ContainerRow, ContainerState, ConvoyRow, Ended, Meta, PodPhase, PodRole, PodRow, PolecatRow,
    RefineryRow, RigRow, Row, WitnessRow,
};
pub use world::{Blocked, Refusal, Town, World, convoy_home, counts, limit};
