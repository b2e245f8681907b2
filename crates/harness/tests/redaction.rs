//! What of a model's and a pod's words no log shows: control characters, and secrets wherever they were given.

use gastown_harness::transcript::line::{self, Secrets};

#[test]
fn no_control_character_and_no_secret_reaches_a_log() {
    let hostile = "\u{1b}[2Ja\u{1b}]0;title\u{7}b\u{1b}]8;;http://x\u{1b}\\c\u{8}\u{7f}\u{9b}1m\td\u{202e}e\r";
    assert_eq!(line::clean(hostile), "abc1m\tde");
    let login = r#"{"claudeAiOauth":{"accessToken":"at-12345678","refreshToken":"rt-\"quoted\"-1","scopes":["user:inference"]}}"#;
    let env = [
        ("ANTHROPIC_API_KEY", "sk-key-12345678"),
        ("PATH", "/usr/local/bin"),
        ("OPENAI_API_KEY", "none"),
    ];
    let secrets = Secrets::of(env.into_iter(), &[], [login].into_iter());
    let said = r#"{"t":"sk-key-12345678 at-12345678 rt-\"quoted\"-1 user:inference none /usr/local/bin"}"#;
    assert_eq!(
        secrets.hide(said),
        r#"{"t":"[redacted] [redacted] [redacted] user:inference none /usr/local/bin"}"#
    );
    assert!(secrets.are_in(b"\x00\x01sk-key-12345678\xff") && !secrets.are_in(b"sk-key-1234567"));
    assert!(!Secrets::default().are_in(b"anything"));
}

#[test]
fn a_secret_is_known_by_the_secret_it_comes_from_and_by_what_settings_call_it() {
    let env = [("PART", "parts-are-secret"), ("PLACE", "places-are-not")];
    let files = [
        "export OPENAI_API_KEY='sk-of-a-dot-env'\nAIDER_MODEL=openai/team-fast\n",
        "openai-api-key: sk-of-aiders-yaml\nmodel: openai/team-slow\napi-key:\n  - anthropic=sk-ant-of-a-list\n",
        r#"{"openai": {"type": "oauth", "refresh": "refresh-of-opencode", "access": "access-of-opencode"}}"#,
        r#"{"env": {"ANTHROPIC_AUTH_TOKEN": "token-of-settings"}, "model": "claude-sonnet"}"#,
        r#"{"mcpServers": {"x": {"headers": {"Authorization": "Bearer header-of-mcp"}}}}"#,
    ];
    let secrets = Secrets::of(env.into_iter(), &["PART".to_owned()], files.into_iter());
    for secret in [
        "parts-are-secret",
        "sk-of-a-dot-env",
        "sk-of-aiders-yaml",
        "sk-ant-of-a-list",
        "refresh-of-opencode",
        "access-of-opencode",
        "token-of-settings",
        "Bearer header-of-mcp",
    ] {
        assert_eq!(
            secrets.hide(&format!("it is {secret}.")),
            "it is [redacted].",
            "{secret}"
        );
    }
    for word in [
        "places-are-not",
        "openai/team-fast",
        "openai/team-slow",
        "claude-sonnet",
    ] {
        assert_eq!(secrets.hide(word), word);
    }
}
