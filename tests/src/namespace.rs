//! One network namespace, which lives as long as the thread that stands in it.
//!
//! Nothing is named under `/run/netns`: when the thread ends, for whatever reason, the kernel takes the
//! namespace and its interfaces back. The thread also has a mount namespace of its own, so that it can see
//! another `/etc/resolv.conf` than the rest of the host.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, gettid};

use crate::host;

/// A place in the lab with interfaces, routes and firewall of its own.
pub struct Namespace {
    name: String,
    keeper: Pid,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Makes an empty namespace in which `resolv_conf` stands in the place of `/etc/resolv.conf`.
    ///
    /// Fails where the process may not make namespaces.
    pub fn new(name: &str, resolv_conf: &Path) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, answer) = mpsc::channel();
        let resolv_conf = resolv_conf.to_path_buf();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = leave_the_host(&resolv_conf).map(|()| gettid());
            let stays = outcome.is_ok();
            if entered.send(outcome).is_ok() && stays {
                queue.into_iter().for_each(|job| job());
            }
        })?;
        let keeper = answer.recv().context("the namespace's thread ended early")??;
        Ok(Self {
            name: name.to_owned(),
            keeper,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// The name it has in the topology, such as `edge-fra` or `core`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The thread that stands in the namespace: `nsenter --target ID --net --mount` goes there, and
    /// `ip link set LINK netns ID` sends an interface there.
    pub fn keeper(&self) -> Pid {
        self.keeper
    }

    /// Runs `job` inside and returns what it returns; a panic comes back as a panic.
    ///
    /// Threads and processes that the job starts are inside as well. Jobs of one namespace run one after the
    /// other, so a job starts long work and does not do it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, answer) = mpsc::channel();
        let job = move || {
            let outcome = catch_unwind(AssertUnwindSafe(job));
            // The asker waits below; it can only be gone together with this thread.
            let _ = done.send(outcome);
        };
        let jobs = self.jobs.as_ref().expect("taken only by drop");
        jobs.send(Box::new(job)).expect("the thread ends only by drop");
        match answer.recv().expect("every job answers, also when it panics") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Starts `command` inside and waits for its end.
    pub fn output(&self, mut command: Command) -> Result<Output> {
        let text = format!("{command:?}");
        self.run(move || command.output())
            .with_context(|| format!("run {text} in {}", self.name))
    }

    /// Gives `script` to a program that reads its orders from standard input, such as `ip -batch -` or `nft -f -`.
    ///
    /// Fails with what the program printed.
    pub fn feed(&self, program: &str, args: &[&str], script: String) -> Result<()> {
        let mut command = Command::new(program);
        command.args(args).env("PATH", host::path());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = self
            .run(move || {
                let mut child = command.spawn()?;
                let mut stdin = child.stdin.take().expect("piped above");
                stdin.write_all(script.as_bytes())?;
                drop(stdin);
                child.wait_with_output()
            })
            .with_context(|| format!("run {program} in {}", self.name))?;
        if !output.status.success() {
            bail!(
                "{program} in {}: {}",
                self.name,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// Sets a switch below `/proc/sys/net`, such as `ipv4/ip_forward`.
    pub fn set_switches(&self, switches: &'static [(&'static str, &'static str)]) -> Result<()> {
        self.run(move || {
            for (switch, value) in switches {
                let path = Path::new("/proc/sys/net").join(switch);
                std::fs::write(&path, value).with_context(|| format!("write {}", path.display()))?;
            }
            Ok(())
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            // A job's panic was already handed to whoever asked for the job.
            let _ = thread.join();
        }
    }
}

fn leave_the_host(resolv_conf: &Path) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("make a network namespace")?;
    let nothing = None::<&str>;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        nothing,
    )
    .context("keep mounts to the namespace")?;
    ensure!(
        Path::new("/etc/resolv.conf").exists(),
        "this host has no /etc/resolv.conf to stand in for"
    );
    mount(
        Some(resolv_conf),
        "/etc/resolv.conf",
        nothing,
        MsFlags::MS_BIND,
        nothing,
    )
    .context("mount the lab's resolv.conf")
}
