//! The programs under test: found, and built once where they are not given.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};

/// The variable that names a directory with programs that are already built.
const GIVEN: &str = "PARALLAX_PROGRAMS";
const PACKAGES: [&str; 3] = ["parallax-collector", "parallax-agent", "parallax-ctl"];
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where the three programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The programs in the directory that `PARALLAX_PROGRAMS` names, or else those beside this executable, built
    /// from the workspace it belongs to: once per process, and a quick look by cargo when they are fresh.
    pub fn ready() -> Result<Self> {
        static READY: OnceLock<Result<Programs, String>> = OnceLock::new();
        let ready = READY.get_or_init(|| find().map_err(|error| format!("{error:#}")));
        ready.clone().map_err(|error| anyhow!(error))
    }

    /// `parallax-collector`, ready for its arguments.
    pub fn collector(&self) -> Command {
        self.command("parallax-collector")
    }

    /// `parallax-agent`, ready for its arguments.
    pub fn agent(&self) -> Command {
        self.command("parallax-agent")
    }

    /// `ctl`, ready for its arguments.
    pub fn ctl(&self) -> Command {
        self.command("ctl")
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.directory.join(program))
    }
}

fn find() -> Result<Programs> {
    if let Some(directory) = std::env::var_os(GIVEN) {
        return Ok(Programs {
            directory: directory.into(),
        });
    }
    let executable = std::env::current_exe().context("find this executable")?;
    let directory = beside(&executable).context("find the directory of this executable")?;
    build(&directory)?;
    Ok(Programs { directory })
}

/// Test executables are in `deps`, one below the programs.
fn beside(executable: &Path) -> Option<PathBuf> {
    let directory = executable.parent()?;
    let in_deps = directory.file_name() == Some(OsStr::new("deps"));
    Some(if in_deps { directory.parent()? } else { directory }.to_owned())
}

fn build(directory: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(ROOT).args(["build", "--quiet", "--locked"]);
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    let target = directory.parent().context("find the target directory")?;
    command.arg("--target-dir").arg(target);
    if directory.file_name() == Some(OsStr::new("release")) {
        command.arg("--release");
    }
    let status = command.status().context("run cargo")?;
    ensure!(status.success(), "cargo could not build the programs ({status})");
    Ok(())
}
