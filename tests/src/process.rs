//! A program that runs inside a namespace, its output in a log file.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::host;
use crate::namespace::Namespace;
use crate::wait;

const LINES_OF_LOG: usize = 30;
const TO_DIE: Duration = Duration::from_secs(5);

/// A running program; killed and waited for when dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` inside `namespace`. What it prints is appended to `NAME.log` in `directory`.
    ///
    /// The program is killed by the kernel if this process dies without having stopped it.
    pub fn start(namespace: &Namespace, name: &str, directory: &Path, command: &Command) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = die_with_us(command);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        let child = namespace
            .run(move || command.spawn())
            .with_context(|| format!("start {name} in {}", namespace.name()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number in this host's table of processes.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the program printed, the last lines of it, with a heading.
    pub fn tail(&self) -> String {
        tail(&self.name, &self.log)
    }

    /// Everything the program printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How the program ended, or nothing while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the end of a program that is expected to end by itself.
    pub fn wait(&mut self, budget: Duration) -> Result<ExitStatus> {
        let what = format!("end of {}", self.name);
        wait::until(&what, budget, || self.ended())
    }

    /// Sends `signal`, such as SIGSTOP and SIGCONT.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("send {signal} to {}", self.name))
    }

    /// Ends the program, and whatever it started, without giving it a chance to say goodbye.
    pub fn kill(mut self) {
        self.end();
    }

    /// Returns when nothing is left of the program and its children, so that their ports are free.
    fn end(&mut self) {
        let Ok(group) = i32::try_from(self.child.id()).map(Pid::from_raw) else {
            return;
        };
        // Both fail only when nothing is left.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
        if wait::until("end of what it started", TO_DIE, || {
            Ok((!is_alive(group)).then_some(()))
        })
        .is_err()
        {
            eprintln!("{} left processes behind", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        self.end();
    }
}

/// Whether a process group has members other than zombies, which somebody else has to collect.
fn is_alive(group: Pid) -> bool {
    if killpg(group, None).is_err() {
        return false;
    }
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok())
        .any(|stat| {
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            let mut fields = after_name.split_whitespace();
            let (state, _parent, leader) = (fields.next(), fields.next(), fields.next());
            leader == Some(group.to_string().as_str()) && state != Some("Z")
        })
}

/// The last lines of a log file under a heading, for the output of a failure.
pub fn tail(name: &str, log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| error.to_string());
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_OF_LOG)..];
    format!("--- {name}: last lines of its log\n{}", last.join("\n"))
}

/// The same command, started so that the kernel kills it when the thread that started it ends.
pub fn die_with_us(command: &Command) -> Command {
    let mut guarded = Command::new("setpriv");
    guarded
        .args(["--pdeathsig", "KILL", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    guarded.env_clear().env("PATH", host::path());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(name, value),
            None => guarded.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        guarded.current_dir(directory);
    }
    guarded
}
