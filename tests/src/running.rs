//! A command on its way to an answer.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::answer::Answer;
use crate::namespace::Namespace;
use crate::process::die_with_us;
use crate::wait;

/// Longer than any command may take: what takes longer hangs.
const TO_ANSWER: Duration = Duration::from_secs(60);

/// A command that has been started; killed when dropped before its end.
pub struct Running {
    command: String,
    child: Child,
    started: Instant,
    files: PathBuf,
}

impl Running {
    /// Starts `command` inside `namespace` with `stdin` on its standard input. What it prints is kept in `directory`.
    pub fn start(namespace: &Namespace, directory: &Path, command: &Command, stdin: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let files = directory.join(format!("command-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(files.with_extension("in"), stdin)?;
        let mut guarded = die_with_us(command);
        guarded.stdin(File::open(files.with_extension("in"))?);
        guarded.stdout(File::create(files.with_extension("out"))?);
        guarded.stderr(File::create(files.with_extension("err"))?);
        let started = Instant::now();
        let child = namespace
            .run(move || guarded.spawn())
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self {
            command: format!("{command:?}"),
            child,
            started,
            files,
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("send {signal} to {}", self.command))
    }

    /// What it has printed on standard error so far.
    pub fn complaints(&self) -> Result<String> {
        let bytes = std::fs::read(self.files.with_extension("err"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits for the end. A command that does not end within a minute is killed, and that is an error.
    pub fn answer(mut self) -> Result<Answer> {
        let ended = wait::until("end of the command", TO_ANSWER, || Ok(self.child.try_wait()?));
        let took = self.started.elapsed();
        let printed = |extension: &str| {
            let bytes = std::fs::read(self.files.with_extension(extension))?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (stdout, stderr) = (printed("out")?, printed("err")?);
        let status = ended.as_ref().ok().and_then(|status| status.code());
        let answer = Answer {
            command: self.command.clone(),
            status,
            stdout,
            stderr,
            took,
        };
        match ended {
            Ok(_) => Ok(answer),
            Err(error) => bail!("{error}\n{answer}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the command has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
