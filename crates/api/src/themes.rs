//! Names of polecats.

/// A theme and its names.
pub struct Theme {
    /// What a person types.
    pub name: &'static str,
    /// In order.
    pub names: &'static [&'static str],
}

/// The predecessor's three themes.
pub const THEMES: [Theme; 3] = [
    Theme {
        name: "mad-max",
        names: &[
            "furiosa", "nux", "slit", "rictus", "capable", "toast", "dag", "cheedo", "angharad", "immortan", "keeper",
            "valkyrie", "ace", "morsov", "corpus", "war-boy", "doof", "coma", "organic", "prime", "scrotus", "hope",
            "glory",
        ],
    },
    Theme {
        name: "minerals",
        names: &[
            "obsidian", "quartz", "jasper", "onyx", "opal", "topaz", "amber", "jade", "ruby", "sapphire", "emerald",
            "diamond", "garnet", "pearl", "coral", "crystal", "flint", "granite", "marble", "slate", "basalt",
            "pumice",
        ],
    },
    Theme {
        name: "wasteland",
        names: &[
            "rust", "chrome", "nitro", "guzzle", "witness", "shiny", "fury", "road", "thunder", "dust", "storm",
            "blade", "spike", "chain", "gear", "bolt", "piston", "diesel", "vapor", "scrap", "iron", "steel",
        ],
    },
];

/// The theme of that name.
#[must_use]
pub fn theme(name: &str) -> Option<&'static Theme> {
    THEMES.iter().find(|t| t.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_legal_within_a_theme() {
        for theme in &THEMES {
            let distinct: BTreeSet<_> = theme.names.iter().collect();
            assert_eq!(distinct.len(), theme.names.len(), "{}", theme.name);
            for name in theme.names {
                assert_eq!(*name, crate::names::legalized(name));
            }
        }
        assert_eq!(theme("mad-max").unwrap().names.len(), 23);
        assert!(theme("unknown").is_none());
    }
}
