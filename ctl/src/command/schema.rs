//! `ctl schema run`

use parallax_model::run::RunDocument;

use crate::args::SchemaCommand;
use crate::exit::Trouble;
use crate::{console, render};

pub(super) fn run(which: &SchemaCommand) -> Result<u8, Trouble> {
    let schema = match which {
        SchemaCommand::Run => schemars::schema_for!(RunDocument),
    };
    console::print(&render::json(&schema)?)?;
    Ok(0)
}
