use super::*;
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;

fn store() -> (TempDir, NodeLogs, PodName) {
    let dir = tempfile::tempdir().unwrap();
    let logs = NodeLogs::new(dir.path().to_owned());
    let pod = PodName {
        namespace: "ns".into(),
        name: "p".into(),
        uid: "u1".into(),
    };
    logs.prepare(&pod, vec!["a".into(), "b".into()], Some("a".into()))
        .unwrap();
    (dir, logs, pod)
}

fn query() -> LogQuery {
    LogQuery {
        namespace: "ns".into(),
        pod: "p".into(),
        ..LogQuery::default()
    }
}

async fn read(logs: &NodeLogs, query: LogQuery) -> String {
    let chunks: Vec<_> = logs.open(query).await.unwrap().try_collect().await.unwrap();
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn what_was_written_is_read_back_in_parts() {
    let (_dir, logs, pod) = store();
    let mut writer = logs.writer(&pod, "a", 0).unwrap();
    writer.write(Output::Stdout, b"one\ntw").unwrap();
    writer.write(Output::Stderr, b"err\n").unwrap();
    writer.write(Output::Stdout, b"o\nthree\nrest").unwrap();
    writer.finish().unwrap();
    let all = "one\nerr\ntwo\nthree\nrest";
    assert_eq!(read(&logs, query()).await, all);
    for (lines, want) in [(0, ""), (1, "rest"), (2, "three\nrest"), (9, all)] {
        let tail = LogQuery {
            tail_lines: Some(lines),
            ..query()
        };
        assert_eq!(read(&logs, tail).await, want, "{lines} lines");
    }
    let limit = LogQuery {
        limit_bytes: Some(6),
        ..query()
    };
    assert_eq!(read(&logs, limit).await, "one\ner");
    let timed = LogQuery {
        timestamps: true,
        tail_lines: Some(2),
        ..query()
    };
    let timed = read(&logs, timed).await;
    let (time, text) = timed.split_once(' ').unwrap();
    let time: jiff::Timestamp = time.parse().unwrap();
    assert!(text.starts_with("three\n"));
    let none = LogQuery {
        since_time: Some(time + jiff::SignedDuration::from_secs(1)),
        ..query()
    };
    assert_eq!(read(&logs, none).await, "");
}

#[tokio::test]
async fn a_follower_reads_until_the_container_ends() {
    let (_dir, logs, pod) = store();
    let mut writer = logs.writer(&pod, "a", 0).unwrap();
    writer.write(Output::Stdout, b"one\n").unwrap();
    let follow = LogQuery {
        follow: true,
        ..query()
    };
    let mut stream = std::pin::pin!(logs.open(follow).await.unwrap());
    assert_eq!(stream.next().await.unwrap().unwrap().as_ref(), b"one\n");
    {
        let next = stream.next();
        tokio::pin!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        writer.write(Output::Stdout, b"two\n").unwrap();
        assert_eq!(next.await.unwrap().unwrap().as_ref(), b"two\n");
    }
    writer.write(Output::Stdout, b"end").unwrap();
    writer.finish().unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().as_ref(), b"end");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn the_right_file_is_found_or_the_reason_said() {
    let (_dir, logs, pod) = store();
    let fails = async |query: LogQuery| match logs.open(query).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    };
    let of = |container: &str| LogQuery {
        container: Some(container.into()),
        ..query()
    };
    assert!(fails(of("a")).await.contains("waiting to start"));
    assert!(fails(of("zz")).await.contains("is not valid for pod p"));
    assert!(fails(of("../b")).await.contains("is not valid"));
    let stranger = LogQuery {
        pod: "q".into(),
        ..query()
    };
    assert!(fails(stranger).await.contains("no logs of pod ns/q"));
    for (restart, text) in [(0, "first\n"), (1, "second\n")] {
        let mut writer = logs.writer(&pod, "b", restart).unwrap();
        writer.write(Output::Stdout, text.as_bytes()).unwrap();
    }
    assert_eq!(read(&logs, of("b")).await, "second\n");
    let previous = LogQuery {
        previous: true,
        ..of("b")
    };
    assert_eq!(read(&logs, previous).await, "first\n");
}

#[test]
fn the_last_output_is_short_and_whole_characters() {
    let (dir, logs, pod) = store();
    let mut writer = logs.writer(&pod, "a", 0).unwrap();
    for i in 0..200 {
        writer
            .write(Output::Stdout, format!("line {i} é\n").as_bytes())
            .unwrap();
    }
    let last = last_output(writer.path());
    assert_eq!(last.lines().count(), 80);
    assert!(last.ends_with("line 199 é\n"));
    writer.write(Output::Stdout, "é".repeat(3000).as_bytes()).unwrap();
    writer.write(Output::Stdout, b"\n").unwrap();
    assert!((2040..=2048).contains(&last_output(writer.path()).len()));
    drop(dir);
}
