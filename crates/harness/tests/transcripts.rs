//! Recorded lines of the real agents, and what is read from them: what they do, what they spend, how they end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use gastown_harness::transcript::{Event, Reader, Spent, Word, line};
use gastown_wire::{CredentialProblem, Tokens, Transcript};

const NOW: i64 = 1_795_400_000;

struct Read {
    events: Vec<Event>,
    reader: Reader,
}

fn read(format: Transcript, lines: &[&str]) -> Read {
    let mut reader = Reader::of(format);
    let events = lines.iter().flat_map(|line| reader.line(line, NOW)).collect();
    Read { events, reader }
}

impl Read {
    fn spent(&self) -> Spent {
        let spent = self.events.iter().rev().find_map(|e| match e {
            Event::Spent(spent) => Some(*spent),
            _ => None,
        });
        spent.unwrap_or_default()
    }

    fn page(&self) -> String {
        self.events
            .iter()
            .flat_map(|e| line::lines(e, false))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn spent(input: u64, output: u64, micros: Option<u64>) -> Spent {
    Spent {
        tokens: Tokens { input, output },
        micros,
    }
}

const INIT: &str = r#"{"type":"system","subtype":"init","cwd":"/w","session_id":"11111111-2222-3333-4444-555555555555","tools":["Bash"],"mcp_servers":[{"name":"x","status":"failed"}],"model":"claude-sonnet-5","claude_code_version":"2.1.197"}"#;
const BASH: &str = r#"{"type":"assistant","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"tool_use","id":"toolu_1","name":"Bash","input":{"command":"echo hi > a && git commit -qam a","description":"do"}}],"stop_reason":null,"usage":{"input_tokens":100,"cache_creation_input_tokens":6,"cache_read_input_tokens":14,"output_tokens":20}},"session_id":"11111111-2222-3333-4444-555555555555"}"#;
const SAME_MESSAGE: &str = r#"{"type":"assistant","message":{"id":"msg_1","content":[{"type":"text","text":"Second block\u001b[31m of one request"}],"usage":{"input_tokens":100,"cache_creation_input_tokens":6,"cache_read_input_tokens":14,"output_tokens":20}}}"#;
const TOOL_FAILED: &str = r#"{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result","content":"Exit code 1\nno such file","is_error":true}]}}"#;
const SAYS: &str = r#"{"type":"assistant","message":{"id":"msg_2","content":[{"type":"text","text":"Done."}],"usage":{"input_tokens":100,"output_tokens":20}}}"#;
const RESULT: &str = r#"{"type":"result","subtype":"success","is_error":false,"api_error_status":null,"num_turns":2,"result":"Done.","session_id":"s","total_cost_usd":0.0012000000000000001,"usage":{"input_tokens":200,"cache_creation_input_tokens":6,"cache_read_input_tokens":14,"output_tokens":40}}"#;

fn claude_error(status: &str, text: &str) -> String {
    format!(
        r#"{{"type":"result","subtype":"success","is_error":true,"api_error_status":{status},"result":"{text}","total_cost_usd":0,"usage":{{"input_tokens":0,"output_tokens":0}}}}"#
    )
}

#[test]
fn claude_is_read_as_people_and_accountants_want_it() {
    let read = read(
        Transcript::Claude,
        &[INIT, BASH, SAME_MESSAGE, TOOL_FAILED, SAYS, RESULT],
    );
    assert_eq!(read.spent(), spent(220, 40, Some(1200)), "one request is counted once");
    let page = read.page();
    for part in [
        "note  Claude Code 2.1.197, model claude-sonnet-5",
        "note  MCP server x does not start",
        "runs  $ echo hi > a && git commit -qam a",
        "says  Second block of one request",
        "  ->  failed: Exit code 1",
        "spent 120 tokens read, 20 written",
        "spent 220 tokens read, 40 written, 0.0012 USD",
    ] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
    assert!(read.events.contains(&Event::TurnOver));
    assert_eq!(read.reader.word(0, NOW), Word::Success);
}

#[test]
fn claude_ends_in_many_ways() {
    let limit =
        |info: &str| format!(r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected"{info}}}}}"#);
    let session_limit = claude_error("429", "You've hit your session limit · resets 4:05am (UTC)");
    let refused = |words: &str| Word::Credential(CredentialProblem::Refused, words.into());
    let failed = |words: &str| Word::Failure(words.into());
    let resets = limit(r#","resetsAt":1795406734,"rateLimitType":"five_hour""#);
    let no_reset = limit("");
    let key = claude_error("401", "Invalid API key · Fix external API key");
    let forbidden = claude_error("403", "Failed to authenticate. API Error: 403 no");
    let login = claude_error("401", "Not logged in · Please run /login");
    let no_login = claude_error("null", "Not logged in · Please run /login");
    let credit = claude_error("400", "Credit balance is too low");
    let limited = claude_error("429", "API Error: Request rejected (429)");
    let overloaded = claude_error("529", "API Error: 529 Overloaded");
    let aborted =
        r#"{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"aborted_tools"}"#;
    let dear = r#"{"type":"result","subtype":"error_max_budget_usd","is_error":true,"total_cost_usd":1.5}"#;
    let turns = r#"{"type":"result","subtype":"error_max_turns","is_error":true}"#;
    type Case<'a> = (&'a str, Vec<&'a str>, i32, Word);
    let cases: Vec<Case<'_>> = vec![
        ("done", vec![INIT, SAYS, RESULT], 0, Word::Success),
        (
            "a result need not come last",
            vec![INIT, RESULT, r#"{"type":"system","subtype":"task_updated"}"#],
            0,
            Word::Success,
        ),
        (
            "exit 0 without a result",
            vec![INIT, SAYS],
            0,
            failed("it ended without a result"),
        ),
        ("killed", vec![INIT, BASH], 137, failed("it ended without a result")),
        ("a success that exits 1", vec![INIT, RESULT], 1, failed("Done.")),
        (
            "a key refused",
            vec![INIT, &key],
            1,
            refused("Invalid API key · Fix external API key"),
        ),
        (
            "forbidden",
            vec![INIT, &forbidden],
            1,
            refused("Failed to authenticate. API Error: 403 no"),
        ),
        (
            "a login refused",
            vec![INIT, &login],
            1,
            refused("Not logged in · Please run /login"),
        ),
        (
            "no login",
            vec![INIT, &no_login],
            1,
            Word::Credential(CredentialProblem::Missing, "Not logged in · Please run /login".into()),
        ),
        ("no money", vec![INIT, &credit], 1, refused("Credit balance is too low")),
        (
            "a limit with its end",
            vec![INIT, &resets, &session_limit],
            1,
            Word::Limit(1_795_406_734),
        ),
        (
            "a limit that is not ours",
            vec![INIT, &no_reset, &limited],
            1,
            Word::Limit(NOW + 300),
        ),
        ("a key's limit", vec![INIT, &limited], 1, Word::Limit(NOW + 300)),
        (
            "overloaded",
            vec![INIT, &overloaded],
            1,
            failed("API Error: 529 Overloaded"),
        ),
        (
            "interrupted, exit 0",
            vec![INIT, BASH, aborted],
            0,
            failed("error_during_execution"),
        ),
        ("its own budget", vec![INIT, dear], 1, Word::Budget),
        ("turns", vec![INIT, turns], 1, failed("error_max_turns")),
        (
            "a limit that was waited out",
            vec![INIT, &resets, SAYS, RESULT],
            0,
            Word::Success,
        ),
    ];
    for (name, lines, exit, expected) in cases {
        assert_eq!(
            read(Transcript::Claude, &lines).reader.word(exit, NOW),
            expected,
            "{name}"
        );
    }
}

const STEP: &str = r#"{"type":"step_start","timestamp":1,"sessionID":"ses_1","part":{"type":"step-start"}}"#;
const TOOL: &str = r#"{"type":"tool_use","timestamp":2,"sessionID":"ses_1","part":{"type":"tool","tool":"bash","callID":"c","state":{"status":"completed","input":{"command":"sh test.sh","description":"do"},"output":"not ok\n","metadata":{"output":"not ok\n","exit":1,"truncated":false}}}}"#;
const EDIT: &str = r#"{"type":"tool_use","sessionID":"ses_1","part":{"tool":"edit","state":{"status":"completed","input":{"filePath":"/w/a.rs"},"output":""}}}"#;
const TEXT: &str = r#"{"type":"text","sessionID":"ses_1","part":{"type":"text","text":"Done."}}"#;

fn finish(reason: &str) -> String {
    format!(
        r#"{{"type":"step_finish","sessionID":"ses_1","part":{{"reason":"{reason}","type":"step-finish","tokens":{{"total":120,"input":93,"output":20,"reasoning":0,"cache":{{"write":0,"read":7}}}},"cost":0.000133}}}}"#
    )
}

fn opencode_error(status: u64, headers: &str) -> String {
    format!(
        r#"{{"type":"error","sessionID":"ses_1","error":{{"name":"APIError","data":{{"message":"scripted","statusCode":{status},"isRetryable":false,"responseHeaders":{{{headers}}}}}}}}}"#
    )
}

#[test]
fn opencode_is_read_though_it_has_no_last_line() {
    let read = read(
        Transcript::Opencode,
        &[STEP, TOOL, EDIT, &finish("tool-calls"), STEP, TEXT, &finish("stop")],
    );
    assert_eq!(read.spent(), spent(200, 40, Some(266)));
    assert_eq!(read.events[0], Event::Session("ses_1".into()));
    let page = read.page();
    for part in [
        "runs  $ sh test.sh",
        "  ->  exit code 1: not ok",
        "edits /w/a.rs",
        "says  Done.",
    ] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
    assert_eq!(read.reader.word(0, NOW), Word::Success);
}

#[test]
fn opencode_ends_in_many_ways() {
    let stop = finish("stop");
    let middle = finish("tool-calls");
    let unauthorised = opencode_error(401, "");
    let limited = opencode_error(429, r#""retry-after":"3600""#);
    let bare = opencode_error(429, "");
    let said = opencode_error(429, "").replace("scripted", "Please try again in 7m12.5s.");
    let broken = opencode_error(500, "");
    let failed = |words: &str| Word::Failure(words.into());
    type Case<'a> = (&'a str, Vec<&'a str>, i32, Word);
    let cases: Vec<Case<'_>> = vec![
        ("done", vec![STEP, &stop], 0, Word::Success),
        (
            "stopped in the middle, exit 0",
            vec![STEP, &middle],
            0,
            failed("it ended in the middle of its work (tool-calls)"),
        ),
        (
            "nothing at all",
            vec![],
            0,
            failed("it ended without having finished a step"),
        ),
        (
            "refused",
            vec![&unauthorised],
            1,
            Word::Credential(CredentialProblem::Refused, "APIError: scripted".into()),
        ),
        ("limited", vec![&limited], 1, Word::Limit(NOW + 3600)),
        ("limited, for no time", vec![&bare], 1, Word::Limit(NOW + 300)),
        ("limited, in words", vec![&said], 1, Word::Limit(NOW + 433)),
        ("broken", vec![&broken], 1, failed("APIError: scripted")),
        ("an error it got over", vec![&broken, STEP, &stop], 0, Word::Success),
    ];
    for (name, lines, exit, expected) in cases {
        assert_eq!(
            read(Transcript::Opencode, &lines).reader.word(exit, NOW),
            expected,
            "{name}"
        );
    }
    let mut reader = read(Transcript::Opencode, &[STEP, &stop]).reader;
    reader.error_line(
        "! permission requested: external_directory (/etc/*); auto-rejecting",
        NOW,
    );
    assert!(
        matches!(reader.word(0, NOW), Word::Failure(_)),
        "exit 0 although a tool was refused"
    );
}

/// What the plugin tells of a wait, as opencode 1.18.33 has it.
fn opencode_waits(seconds: i64, words: &str) -> String {
    let next = (NOW + seconds) * 1000 - 359;
    format!(
        r#"{{"id":"evt_222743a7d0011ivTXbUk8rKjdJ","type":"session.status","properties":{{"sessionID":"ses_1","status":{{"type":"retry","attempt":1,"message":"{words}","next":{next}}}}}}}"#
    )
}

#[test]
fn opencode_is_ended_where_it_would_wait_for_long() {
    let stop = finish("stop");
    let refused = |words: &str| Word::Credential(CredentialProblem::Refused, words.into());
    let none = "it ended without having finished a step";
    for (name, wait, words, ended, killed) in [
        ("seconds", 2, "scripted 429", false, Word::Failure(none.into())),
        ("a minute", 60, "scripted 429", false, Word::Failure(none.into())),
        ("more", 61, "scripted 429", true, Word::Limit(NOW + 61)),
        ("an hour", 3600, "scripted 429", true, Word::Limit(NOW + 3600)),
        (
            "for ever",
            i64::from(i32::MAX),
            "scripted 429",
            true,
            Word::Limit(NOW + 7 * 86_400),
        ),
        ("money", 3600, "insufficient_quota", true, refused("insufficient_quota")),
    ] {
        let mut reader = Reader::of(Transcript::Opencode);
        let events = reader.error_line(&opencode_waits(wait, words), NOW);
        let expected = [
            Event::Session("ses_1".into()),
            Event::Retries(format!("{wait} s, then it tries again: {words}")),
            Event::Over,
        ];
        let count = if ended { 3 } else { 2 };
        assert_eq!(events, expected[..count], "{name}");
        assert_eq!(reader.word(143, NOW), killed, "{name}");
        // The provider let it through before it was ended.
        for line in [STEP, &stop] {
            reader.line(line, NOW);
        }
        assert_eq!(reader.word(0, NOW), Word::Success, "{name}");
    }
    // A conversation that comes out of this one does not take its name.
    let mut reader = read(Transcript::Opencode, &[STEP]).reader;
    let other = opencode_waits(2, "x").replace("ses_1", "ses_2");
    assert_eq!(reader.error_line(&other, NOW).len(), 1);
    assert_eq!(reader.error_line(r#"{"type":"session.status"}"#, NOW), []);
}

#[test]
fn aider_is_read_by_its_words() {
    let lines = [
        "Aider v0.86.2",
        "I will add it.",
        "Tokens: 1.2k sent, 345 received. Cost: $0.0021 message, $0.0043 session.",
        "Applied edit to AGENT.md",
        "Commit 1b2c3d4 agent: add AGENT.md",
    ];
    let read = read(Transcript::Aider, &lines);
    assert_eq!(read.spent(), spent(1200, 345, Some(2100)));
    let page = read.page();
    for part in ["says  I will add it.", "edits AGENT.md", "note  commit 1b2c3d4"] {
        assert!(page.contains(part), "{part:?} is missing in\n{page}");
    }
    assert_eq!(read.reader.word(0, NOW), Word::Success);
}

#[test]
fn aider_exits_0_whatever_happened() {
    const OK: &str = "Tokens: 100 sent, 20 received.";
    let auth = "litellm.AuthenticationError: AuthenticationError: OpenAIException - scripted 401";
    let server = "litellm.InternalServerError: InternalServerError: OpenAIException - scripted 500";
    let limit = "litellm.RateLimitError: RateLimitError: OpenAIException - scripted 429";
    let time = "litellm.Timeout: APITimeoutError - Request timed out.";
    let given_up = "Only 3 reflections allowed, stopping.";
    let failed = |words: &str| Word::Failure(words.into());
    type Case<'a> = (&'a str, Vec<&'a str>, Word);
    let cases: Vec<Case<'_>> = vec![
        ("done", vec![OK], Word::Success),
        (
            "no answer",
            vec!["Aider v0.86.2"],
            failed("it ended without an answer of the model"),
        ),
        (
            "refused",
            vec![
                auth,
                "The API provider is not able to authenticate you. Check your API key.",
            ],
            Word::Credential(CredentialProblem::Refused, auth.into()),
        ),
        (
            "broken",
            vec![server, "Retrying in 4.0 seconds...", server],
            failed(server),
        ),
        ("limited", vec![limit], Word::Limit(NOW + 300)),
        ("timed out", vec![time], failed(time)),
        (
            "got over it",
            vec![server, "Retrying in 0.2 seconds...", OK],
            Word::Success,
        ),
        ("bad edits", vec![OK, OK, OK, given_up], failed(given_up)),
    ];
    for (name, lines, expected) in cases {
        assert_eq!(read(Transcript::Aider, &lines).reader.word(0, NOW), expected, "{name}");
    }
}

/// What aider 0.86.2 prints of one limit: a line for each part of its words, which it breaks at 80 characters.
fn aider_limited(words: &[&str]) -> Vec<String> {
    let (first, more) = words.split_first().unwrap();
    let mut lines = vec![format!(
        "litellm.RateLimitError: RateLimitError: OpenAIException - {first} "
    )];
    lines.extend(more.iter().map(|part| (*part).to_owned()));
    lines.push("The API provider has rate limited you. Try again later or check your quotas.".into());
    lines.push("Retrying in 0.5 seconds...".into());
    lines
}

#[test]
fn aider_is_ended_where_it_would_wait_for_long() {
    let bare = vec!["scripted 429"];
    let hour = vec!["Limit 30000 a day.", "Please try again in 1h0m1s.", "Visit us."];
    let broken = vec!["Limit 9. Please try", "again in", "1h0m1s."];
    let short = vec!["Please try again in 20s."];
    let quota = vec!["Nothing left. Please try again in 1h.", "(insufficient_quota)"];
    // When each limit came, in seconds after the first.
    type Case<'a> = (&'a str, &'a Vec<&'a str>, Vec<i64>, Option<i64>);
    let cases: Vec<Case<'_>> = vec![
        ("its own patience", &bare, vec![0, 2, 3, 5, 8, 13, 22, 39, 72], None),
        ("an hour", &hour, vec![0], Some(3601)),
        ("an hour, broken", &broken, vec![0], Some(3601)),
        ("short", &short, vec![0, 40, 80], None),
        ("short, but for long", &short, vec![0, 60, 119, 120], Some(120 + 300)),
        ("for long", &bare, vec![0, 120], Some(120 + 300)),
        ("money", &quota, vec![0, 300], None),
    ];
    for (name, words, times, until) in cases {
        let mut reader = Reader::of(Transcript::Aider);
        let mut over = Vec::new();
        for at in &times {
            for line in aider_limited(words) {
                over.extend(reader.line(&line, NOW + at).into_iter().filter(|e| *e == Event::Over));
            }
        }
        assert_eq!(!over.is_empty(), until.is_some(), "{name}");
        let word = reader.word(143, NOW + 999);
        match until {
            Some(until) => assert_eq!(word, Word::Limit(NOW + until), "{name}"),
            None if name == "money" => assert!(matches!(word, Word::Credential(..)), "{name}: {word:?}"),
            None => assert!(matches!(word, Word::Limit(_)), "{name}: {word:?}"),
        }
    }
}

#[test]
fn aider_may_quote_a_limit_and_may_give_up_at_one() {
    let limited = aider_limited(&["Please try again in 1h0m1s."]);
    let [error, added, retrying] = limited.as_slice() else {
        panic!("{limited:?}");
    };
    // An answer makes an end of all before it, and may quote whatever it likes.
    let answered = "Tokens: 100 sent, 20 received.".to_owned();
    let mut reader = Reader::of(Transcript::Aider);
    for line in [error, &"said in an answer".to_owned(), &answered, retrying] {
        assert!(!reader.line(line, NOW).contains(&Event::Over), "{line}");
    }
    assert_eq!(reader.word(0, NOW), Word::Success);
    // It gave up: nothing is tried after the last.
    let mut reader = Reader::of(Transcript::Aider);
    for line in [error, added, &String::new()] {
        assert!(!reader.line(line, NOW).contains(&Event::Over), "{line}");
    }
    assert_eq!(reader.word(0, NOW), Word::Limit(NOW + 3601));
}

#[test]
fn a_key_that_claude_is_refused_twice_is_not_asked_with_again() {
    let retry = |attempt: u8, status: u16| {
        format!(
            r#"{{"type":"system","subtype":"api_retry","attempt":{attempt},"max_retries":7,"retry_delay_ms":600,"error_status":{status},"error":"authentication_failed"}}"#
        )
    };
    let mut reader = Reader::of(Transcript::Claude);
    assert!(
        !reader.line(&retry(1, 401), NOW).contains(&Event::Over),
        "once may be a slip"
    );
    assert!(!reader.line(&retry(2, 500), NOW).contains(&Event::Over));
    assert!(reader.line(&retry(2, 401), NOW).contains(&Event::Over));
    let refused = Word::Credential(CredentialProblem::Refused, "authentication_failed (401)".into());
    assert_eq!(reader.word(143, NOW), refused);
    reader.line(RESULT, NOW);
    assert_eq!(reader.word(0, NOW), Word::Success, "what was done is done");
}
