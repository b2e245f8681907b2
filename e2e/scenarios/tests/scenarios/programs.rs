//! The real programs, and how they are run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Its output, when it succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Its errors, when it failed with that code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

/// Runs it to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The checkout this was built from.
pub(crate) fn top() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    top.canonicalize().unwrap()
}

/// The folder of programs that this test was built into: `make e2e` and `cargo test --workspace` build them all.
pub(crate) fn bin() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_process-node"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// One of our programs.
pub(crate) fn ours(name: &str) -> PathBuf {
    let program = bin().join(name);
    assert!(
        program.is_file(),
        "{} is not built: use `make e2e`, or run cargo build --workspace --bins first",
        program.display()
    );
    program
}

/// git, whatever the person who runs this has configured.
pub(crate) fn git(dir: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new("git");
    command.current_dir(dir).args(args);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    for (name, value) in [("NAME", "Test"), ("EMAIL", "test@example.com")] {
        command.env(format!("GIT_AUTHOR_{name}"), value);
        command.env(format!("GIT_COMMITTER_{name}"), value);
    }
    for name in ["GIT_DIR", "GIT_WORK_TREE"] {
        command.env_remove(name);
    }
    run(&mut command)
}

/// Looks until there is something, or fails and says what was waited for.
#[track_caller]
pub(crate) fn until<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < patience, "in vain waited for: {what}");
        std::thread::sleep(LOOK);
    }
}

/// The last lines of a file.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
    last.join("\n")
}

/// How many processes of this machine have that word in their command line.
pub(crate) fn processes(word: &str) -> usize {
    let folders = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    folders
        .filter_map(|f| std::fs::read(f.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).replace(char::from(0), " ").contains(word))
        .count()
}

/// Asks a child to end and waits for that, from wherever; one that is no child of ours any more has ended.
pub(crate) fn end_child(pid: u32) {
    let parent = format!("PPid:\t{}\n", std::process::id());
    let lives = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains(&parent) && !status.contains("State:\tZ")
    };
    let start = Instant::now();
    while lives() {
        let signal = match start.elapsed() < Duration::from_secs(20) {
            true => nix::sys::signal::Signal::SIGTERM,
            false => nix::sys::signal::Signal::SIGKILL,
        };
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), signal);
        std::thread::sleep(LOOK);
    }
}

/// A process that is ended with this value.
pub(crate) struct Running(pub(crate) std::process::Child);

impl Running {
    /// Starts it with both outputs into a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let running = child.spawn();
        let running = running.unwrap_or_else(|e| panic!("{:?}: {e}", child.get_program()));
        let pid = running.id();
        crate::ending::when_killed(move || end_child(pid));
        Self(running)
    }

    /// Its exit code, when it has ended by itself.
    pub(crate) fn wait(&mut self) -> i32 {
        self.0.wait().unwrap().code().unwrap_or(-1)
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Asks it to end, and waits; kills it where it does not listen.
    pub(crate) fn end(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        self.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
