//! One run of a container, from its environment to its termination message.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use nix::sys::stat::Mode;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio_util::sync::CancellationToken;

use crate::env::{self, Environment};
use crate::host::RootRequest;
use crate::launch::LaunchSpec;
use crate::logs::{self, LogWriter, Output, PodName};
use crate::namespaces;
use crate::node::Shared;
use crate::options::Isolation;
use crate::processes::ProcessRecord;
use crate::rewrite::Rewriter;
use crate::slot::Ended;
use crate::sources::{SourceError, Sources};
use crate::volumes::{self, Mount, Volumes};

/// A run to be made.
pub(crate) struct RunRequest {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pod: Arc<Pod>,
    pub(crate) name: PodName,
    pub(crate) container: Container,
    pub(crate) restart: i32,
    pub(crate) volumes: Arc<Volumes>,
    /// `pods/<uid>`
    pub(crate) dir: PathBuf,
    /// Ends a run that has not started.
    pub(crate) cancel: CancellationToken,
}

/// How to run another program where a container is.
#[derive(Debug, Clone)]
pub(crate) struct Inside {
    pub(crate) record: ProcessRecord,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) workdir: PathBuf,
    pub(crate) rewriter: Rewriter,
}

/// What becomes of a run, in this order.
pub(crate) enum RunEvent {
    /// It waits for something that does not exist yet.
    Refused(SourceError),
    /// It was cancelled before it started.
    Cancelled,
    Started(Box<Inside>, Timestamp),
    Ended(Ended),
}

/// Processes that outlive an unconfined container's main process may hold its output open.
const OUTPUT_GRACE: Duration = Duration::from_secs(2);

/// A termination message is cut here, as the kubelet does.
const MESSAGE_MOST: u64 = 4096;

impl RunRequest {
    /// Runs the container to its end.
    pub(crate) async fn run(self, mut tell: impl FnMut(RunEvent)) {
        let Some(prepared) = self.cancel.run_until_cancelled(self.prepare()).await else {
            return tell(RunEvent::Cancelled);
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return tell(RunEvent::Refused(error)),
        };
        let Some(permit) = self.cancel.run_until_cancelled(self.shared.starts.acquire()).await else {
            return tell(RunEvent::Cancelled);
        };
        let started = self.start(&prepared).await;
        drop(permit);
        let (launched, output, log, inside) = match started {
            Ok(started) => started,
            Err(why) => return tell(RunEvent::Ended(Ended::start_error(why))),
        };
        let since = Timestamp::now();
        tell(RunEvent::Started(Box::new(inside), since));
        let path = log.path().to_owned();
        let pump = tokio::spawn(output.pump(log));
        let stop = pump.abort_handle();
        let mut exit = launched.exit().await;
        if tokio::time::timeout(OUTPUT_GRACE, pump).await.is_err() {
            stop.abort();
        }
        let last = logs::last_output(&path);
        if self.shared.isolated() && exit.failure.is_none() {
            exit.failure = namespaces::start_failure(&exit, &last);
        }
        let message = self.message(&prepared, exit.code, last);
        let mut ended = Ended::of(&exit, since, message);
        if exit.failure.is_some() {
            ended.code = 128;
        }
        self.tidy(&prepared);
        tell(RunEvent::Ended(ended));
    }

    /// Everything that may be missing for now.
    async fn prepare(&self) -> Result<Prepared, SourceError> {
        let sources = Sources::new(self.shared.client.clone(), &self.name.namespace);
        let node = &self.shared.options.name;
        let env = env::resolve(&self.container, &self.pod, node, &sources).await?;
        let mut mounts = volumes::mounts(&self.container, &self.volumes)?;
        let dir = self.dir.join("containers").join(&self.container.name);
        let disk = |source| SourceError::Disk {
            volume: "of the container itself".to_owned(),
            source,
        };
        fs::create_dir_all(&dir).map_err(disk)?;
        let message = dir.join("termination-log");
        fs::write(&message, "").map_err(disk)?;
        let path = self.container.termination_message_path.as_deref();
        mounts.push(Mount {
            source: message.clone(),
            target: path.unwrap_or("/dev/termination-log").into(),
            read_only: false,
        });
        let root = dir.join(format!("root-{}", self.restart));
        Ok(Prepared {
            env,
            mounts,
            dir,
            root,
            message,
        })
    }

    /// Starts the process. Errors are what the status will say.
    async fn start(&self, prepared: &Prepared) -> Result<Started, String> {
        let (mut spec, rewriter) = if self.shared.isolated() {
            (self.isolated(prepared)?, Rewriter::default())
        } else {
            self.unconfined(prepared)?
        };
        let output = OutputPipes::make(&prepared.dir).map_err(|e| format!("a log pipe: {e}"))?;
        spec.stdout.clone_from(&output.paths[0]);
        spec.stderr.clone_from(&output.paths[1]);
        let log = self
            .shared
            .logs
            .writer(&self.name, &self.container.name, self.restart)
            .map_err(|e| format!("the log: {e}"))?;
        let env = spec.env.clone();
        let workdir = spec.workdir.clone();
        let launched = self.shared.launcher.launch(spec).await?;
        let record = launched.record.clone();
        if let Err(error) = record.write(&prepared.dir.join(RECORD)) {
            tracing::warn!(%error, pod = self.name.name, "the record of a process");
        }
        let inside = Inside {
            record,
            env,
            workdir,
            rewriter,
        };
        Ok((launched, output, log, inside))
    }

    fn argv(&self, env: &Environment) -> Result<Vec<String>, String> {
        let command = self.container.command.iter().flatten();
        let args = self.container.args.iter().flatten();
        if self.container.command.as_ref().is_none_or(Vec::is_empty) {
            return Err("no command: this node pulls no image, so it knows no entry point".to_owned());
        }
        Ok(command.chain(args).map(|a| env.expand(a)).collect())
    }

    fn isolated(&self, prepared: &Prepared) -> Result<LaunchSpec, String> {
        let mut env = prepared.env.clone();
        let argv = self.argv(&env)?;
        let view = &self.shared.host;
        env.set("PATH", view.path(prepared.env.get("PATH")));
        env.default_to("HOME", "/");
        env.default_to("HOSTNAME", &self.name.name);
        let workdir = PathBuf::from(self.container.working_dir.as_deref().unwrap_or("/"));
        let (uid, gid) = user(&self.pod, &self.container);
        let security = self.container.security_context.as_ref();
        let rootfs = view.rootfs(&RootRequest {
            root: &prepared.root,
            hostname: self.name.name.get(..63).unwrap_or(&self.name.name),
            read_only: security.and_then(|s| s.read_only_root_filesystem) == Some(true),
            uid,
            gid,
            home: env.get("HOME").unwrap_or("/"),
            workdir: &workdir,
            mounts: &prepared.mounts,
        })?;
        if let Some(dir) = view.locate(&workdir, &prepared.root, &[])
            && !dir.is_dir()
        {
            return Err(format!("workingDir {} is no folder", workdir.display()));
        }
        make_workdir(&workdir, &prepared.mounts)?;
        let locate = |path: &Path| view.locate(path, &prepared.root, &prepared.mounts);
        let program = find(argv.first(), env.get("PATH"), &workdir, locate)?;
        Ok(LaunchSpec {
            program,
            args: argv.into_iter().skip(1).collect(),
            env: env.into_vec(),
            workdir,
            stdout: PathBuf::new(),
            stderr: PathBuf::new(),
            mark: self.mark(),
            rootfs: Some(rootfs),
        })
    }

    fn unconfined(&self, prepared: &Prepared) -> Result<(LaunchSpec, Rewriter), String> {
        let mut env = Environment::default();
        let pairs = prepared.mounts.iter();
        let rewriter = Rewriter::new(pairs.map(|m| (m.target.clone(), m.source.clone())));
        let argv = self.argv(&prepared.env)?;
        let argv: Vec<String> = argv.iter().map(|a| rewriter.rewrite(a)).collect();
        for (name, value) in prepared.env.clone().into_vec() {
            env.set(&name, rewriter.rewrite(&value));
        }
        let host = std::env::var("PATH").unwrap_or_default();
        let own = env.get("PATH").unwrap_or(&host).to_owned();
        env.set("PATH", self.shared.host.path(Some(&own)));
        let home = self.dir.join("home");
        namespaces::make_dir(&home)?;
        env.default_to("HOME", &home.to_string_lossy());
        env.default_to("HOSTNAME", &self.name.name);
        let workdir = match &self.container.working_dir {
            Some(dir) => PathBuf::from(rewriter.rewrite(dir)),
            None => home,
        };
        if workdir.starts_with(&self.dir) {
            namespaces::make_dir(&workdir)?;
        }
        let locate = |path: &Path| path.exists().then(|| path.to_owned());
        let program = find(argv.first(), env.get("PATH"), &workdir, locate)?;
        let spec = LaunchSpec {
            program,
            args: argv.into_iter().skip(1).collect(),
            env: env.into_vec(),
            workdir,
            stdout: PathBuf::new(),
            stderr: PathBuf::new(),
            mark: self.mark(),
            rootfs: None,
        };
        Ok((spec, rewriter))
    }

    fn mark(&self) -> String {
        format!("{}/{}/{}", self.name.uid, self.container.name, self.restart)
    }

    /// The termination message: what the container wrote there, or what it printed last.
    fn message(&self, prepared: &Prepared, code: i32, last: String) -> Option<String> {
        let mut text = Vec::new();
        if let Ok(file) = fs::File::open(&prepared.message) {
            // Not a file of ours that cannot be read is an empty message.
            let _ = io::Read::read_to_end(&mut io::Read::take(file, MESSAGE_MOST), &mut text);
        }
        if !text.is_empty() {
            return Some(String::from_utf8_lossy(&text).into_owned());
        }
        let policy = self.container.termination_message_policy.as_deref();
        (policy == Some("FallbackToLogsOnError") && code != 0 && !last.is_empty()).then_some(last)
    }

    fn tidy(&self, prepared: &Prepared) {
        for name in [RECORD, "stdout", "stderr"] {
            let _ = fs::remove_file(prepared.dir.join(name));
        }
        if self.shared.options.isolation == Isolation::Namespaces
            && let Err(error) = volumes::remove_tree(&prepared.root)
        {
            tracing::warn!(%error, pod = self.name.name, "a root folder stays behind");
        }
    }
}

/// Beside each running container: how to end it.
pub(crate) const RECORD: &str = "process.json";

struct Prepared {
    env: Environment,
    mounts: Vec<Mount>,
    /// `pods/<uid>/containers/<name>`
    dir: PathBuf,
    root: PathBuf,
    message: PathBuf,
}

type Started = (crate::launcher::Launched, OutputPipes, LogWriter, Inside);

/// The user a container asks for; else 65532 where it must not be root; else ours.
fn user(pod: &Pod, container: &Container) -> (u32, u32) {
    let own = container.security_context.as_ref();
    let common = pod.spec.as_ref().and_then(|s| s.security_context.as_ref());
    let id = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
    let uid = id(own.and_then(|s| s.run_as_user).or(common.and_then(|s| s.run_as_user)));
    let gid = id(own
        .and_then(|s| s.run_as_group)
        .or(common.and_then(|s| s.run_as_group.or(s.fs_group))));
    let not_root = own
        .and_then(|s| s.run_as_non_root)
        .or(common.and_then(|s| s.run_as_non_root));
    let mut ours = nix::unistd::getuid().as_raw();
    if ours == 0 && not_root == Some(true) {
        ours = 65532;
    }
    let uid = uid.unwrap_or(ours);
    (uid, gid.unwrap_or(uid))
}

/// A working directory inside a volume is made where it is missing, as container runtimes do.
fn make_workdir(workdir: &Path, mounts: &[Mount]) -> Result<(), String> {
    let mount = mounts
        .iter()
        .filter(|m| workdir.starts_with(&m.target))
        .max_by_key(|m| m.target.components().count());
    let Some(mount) = mount else { return Ok(()) };
    let Ok(rest) = workdir.strip_prefix(&mount.target) else {
        return Ok(());
    };
    let mut at = mount.source.clone();
    for part in rest.components() {
        at.push(part);
        // What a container made stays as it is: it leads where the container sees it lead.
        if at.symlink_metadata().is_err() {
            fs::create_dir(&at).map_err(|e| format!("workingDir {}: {e}", workdir.display()))?;
        } else if at.is_symlink() {
            return Ok(());
        }
    }
    Ok(())
}

/// Finds the program as `execvp` would, in the container's file system.
fn find(
    program: Option<&String>,
    path: Option<&str>,
    workdir: &Path,
    locate: impl Fn(&Path) -> Option<PathBuf>,
) -> Result<String, String> {
    let program = program.map(String::as_str).unwrap_or_default();
    let runs = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        locate(path)
            .and_then(|real| fs::metadata(real).ok())
            .is_some_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        let at = workdir.join(program);
        return if runs(&at) {
            Ok(at.to_string_lossy().into_owned())
        } else {
            Err(format!("exec: {program:?}: no such executable file"))
        };
    }
    path.unwrap_or_default()
        .split(':')
        .filter(|dir| !dir.is_empty() && !program.is_empty())
        .map(|dir| Path::new(dir).join(program))
        .find(|at| runs(at))
        .map(|at| at.to_string_lossy().into_owned())
        .ok_or_else(|| format!("exec: {program:?}: executable file not found in $PATH"))
}

/// The pipes by which a container's output comes.
struct OutputPipes {
    paths: [PathBuf; 2],
    stdout: Receiver,
    stderr: Receiver,
}

impl OutputPipes {
    fn make(dir: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            let path = dir.join(name);
            let _ = fs::remove_file(&path);
            nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
            let receiver = OpenOptions::new().open_receiver(&path)?;
            io::Result::Ok((path, receiver))
        };
        let (out, stdout) = open("stdout")?;
        let (err, stderr) = open("stderr")?;
        Ok(Self {
            paths: [out, err],
            stdout,
            stderr,
        })
    }

    /// Writes the log until nobody holds the pipes any more.
    async fn pump(mut self, mut log: LogWriter) {
        let mut out = vec![0; 32 << 10];
        let mut err = vec![0; 32 << 10];
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let (from, read, chunk) = tokio::select! {
                read = self.stdout.read(&mut out), if out_open => (Output::Stdout, read, &out),
                read = self.stderr.read(&mut err), if err_open => (Output::Stderr, read, &err),
            };
            let size = read.unwrap_or(0);
            match chunk.get(..size) {
                Some(chunk) if size > 0 => {
                    if let Err(error) = log.write(from, chunk) {
                        tracing::warn!(%error, "a container's log");
                    }
                }
                _ if from == Output::Stdout => out_open = false,
                _ => err_open = false,
            }
        }
        if let Err(error) = log.finish() {
            tracing::warn!(%error, "a container's log");
        }
    }
}
