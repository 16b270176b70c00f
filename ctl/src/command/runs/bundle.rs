//! `ctl runs bundle ID`

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::source::Runs;
use crate::args::{BundleArgs, RunSource};
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
    let mut runs = Runs::new(config);
    let document = runs.get(&args.run, None).await?;
    // A document that was brought along is of a collector that may be anywhere.
    let is_here = matches!(args.run, RunSource::Id(_) | RunSource::Last);
    let captures = if args.no_captures || !is_here || document.captures.is_empty() {
        Vec::new()
    } else {
        runs.captures(&document).await?
    };
    let archive = bundle::archive(&document, &captures)?;
    if to_stdout {
        io::stdout().lock().write_all(&archive)?;
        return Ok(0);
    }
    let usual = || PathBuf::from(format!("./{}.tar.gz", bundle::name(&document)));
    let file = args.file.unwrap_or_else(usual);
    bundle::write(&file, &archive, &captures)?;
    console::print(&format!("{}\n", file.display()))?;
    Ok(0)
}
