//! `desiredState` in every order.

use crate::town::{Step, Town, base};
use serde_json::json;

const STATES: [&str; 3] = ["Idle", "Working", "Terminated"];

/// Idle stops and keeps the work, Terminated ends, Working resumes: from each other, whatever came before.
#[test]
fn desired_state_in_every_order() {
    for first in STATES {
        for second in STATES {
            for third in STATES {
                let order = [first, second, third];
                let mut town = Town::of(false, &base("polecat")).unwrap();
                let mut attempts = 0;
                let mut before = "";
                for state in order {
                    town.edit(
                        "polecat",
                        &json!({"rig": "parts", "desiredState": state, "beadID": "mp-1"}),
                    )
                    .unwrap();
                    town.play(&[Step::Work]);
                    attempts += i64::from(state == "Working" && before != "Working");
                    before = state;
                    let live = i64::from(state == "Working");
                    assert_eq!(town.at("/live"), json!(live), "{order:?} at {state}");
                    assert_eq!(town.at("/polecat/phase"), json!(state), "{order:?}");
                    // Attempts only grow: a later one takes up the record of the one before.
                    assert_eq!(
                        town.at("/polecat/attempt").as_i64().unwrap_or(0),
                        attempts,
                        "{order:?} at {state}"
                    );
                }
            }
        }
    }
}
