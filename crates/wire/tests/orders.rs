//! Orders survive the way into a container.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use gastown_wire::{INLINE_TEXT_LIMIT, Orders, PolecatOrders, Text, travels_inline};

fn orders(task: &str) -> Orders {
    let mut orders = PolecatOrders {
        task: Text::Inline(task.to_owned()),
        ..PolecatOrders::default()
    };
    orders.paths.workspace = "/tmp/x".into();
    Orders::Polecat(Box::new(orders))
}

#[test]
fn nothing_in_a_task_can_be_expanded_or_taken_for_a_path() {
    for task in [
        "$(HOME) $$(X) $$ \\$ ${a}",
        "/tmp/x",
        "\"inline\":\"/tmp/x\"",
        "\\u0024 \\/tmp",
        "a/b\n/workspace/repo",
    ] {
        let orders = orders(task);
        let text = orders.to_env().unwrap();
        assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders, "{text}");
        assert!(!text.contains('$'), "{text}");
        assert_eq!(
            text.matches("/tmp").count(),
            1,
            "only the path of the workspace is one: {text}"
        );
    }
}

#[test]
fn a_text_is_short_when_it_is_short_as_it_travels() {
    assert!(travels_inline(&"x".repeat(INLINE_TEXT_LIMIT)));
    assert!(!travels_inline(&"x".repeat(INLINE_TEXT_LIMIT + 1)));
    for worst in ["\u{1}", "/", "$"] {
        let text = worst.repeat(INLINE_TEXT_LIMIT);
        assert!(!travels_inline(&text), "{worst:?}");
        let fits = worst.repeat(INLINE_TEXT_LIMIT / 3);
        assert!(travels_inline(&fits));
        assert!(orders(&fits).to_env().unwrap().len() < 100 * 1024);
    }
}
