//! `ctl runs bundle ID`

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::source::Runs;
use crate::args::BundleArgs;
use crate::config::Config;
use crate::exit::Trouble;
use crate::{bundle, console};

/// What stands for standard output.
const STDOUT: &str = "-";

pub(super) async fn run(args: BundleArgs, config: &Config) -> Result<u8, Trouble> {
    let to_stdout = args.file.as_deref() == Some(Path::new(STDOUT));
    if to_stdout && io::stdout().is_terminal() {
        return Err(
            Trouble::new("an archive is not for a terminal").hint("write it to a FILE, or into a pipe")
        );
    }
    let document = Runs::new(config).get(&args.run, None).await?;
    let archive = bundle::archive(&document)?;
    if to_stdout {
        io::stdout().lock().write_all(&archive)?;
        return Ok(0);
    }
    let usual = || PathBuf::from(format!("./{}.tar.gz", bundle::name(&document)));
    let file = args.file.unwrap_or_else(usual);
    write(&file, &archive).map_err(|error| Trouble::new(format!("write {}: {error}", file.display())))?;
    console::print(&format!("{}\n", file.display()))?;
    Ok(0)
}

/// Whole or not at all: beside it first. What is no file, such as a device or a pipe, is written to and not replaced.
fn write(file: &Path, archive: &[u8]) -> io::Result<()> {
    let kind = std::fs::symlink_metadata(file).map(|found| found.file_type());
    if kind.is_ok_and(|kind| !kind.is_file()) {
        return std::fs::write(file, archive);
    }
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let written = std::fs::write(&beside, archive).and_then(|()| std::fs::rename(&beside, file));
    if written.is_err() {
        // What is left of it, if anything, is of no use.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
