//! How bad the days are.

use super::dice::Dice;

/// Probabilities of what goes wrong. All zero: nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// A write is lost, late, refused or put off.
    pub api: f64,
    /// A watch delivers late.
    pub lag: f64,
    /// A watch is too old and lists again.
    pub relist: f64,
    /// The operator dies after sending a write, or between two turns.
    pub crash: f64,
    /// Something befalls a pod at one of its steps.
    pub pods: f64,
    /// An agent ends otherwise than with its work done.
    pub agents: f64,
    /// A change breaks the tests.
    pub bad: f64,
    /// A change touches what others touch.
    pub conflict: f64,
    /// A change breaks the tests only together with another.
    pub clash: f64,
    /// A good test run is red.
    pub flake: f64,
    /// The remote does not answer, or its answer is lost.
    pub git: f64,
    /// Somebody else pushes to the target branch before a landing.
    pub outsiders: f64,
    /// A user does something, each few minutes.
    pub users: f64,
}

impl Weather {
    /// Nothing goes wrong.
    #[must_use]
    pub fn calm() -> Self {
        Self::default()
    }

    /// A mix of its own for each history: some faults are often, some rare, some never, so that no kind of
    /// trouble hides another.
    #[must_use]
    pub fn stormy(dice: &mut Dice) -> Self {
        let mut upto = |most: f64| match dice.below(4) {
            0 => 0.0,
            1 => most,
            _ => most * (dice.below(1000) as f64) / 1000.0,
        };
        Self {
            api: upto(0.4),
            lag: upto(0.5),
            relist: upto(0.1),
            crash: upto(0.05),
            pods: upto(0.12),
            agents: upto(0.4),
            bad: upto(0.4),
            conflict: upto(0.6),
            clash: upto(0.5),
            flake: upto(0.15),
            git: upto(0.15),
            outsiders: upto(0.3),
            users: upto(0.8),
        }
    }
}
