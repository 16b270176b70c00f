//! Writes `proto/src/generated` from `proto/parallax/v1/*.proto`; with `--check`, only says whether it is fresh.
//!
//! The `.proto` files are compiled in Rust, so nobody needs `protoc`, and the result is committed, so building
//! Parallax needs neither.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

const GENERATED: &str = "parallax.v1.rs";

/// Messages that hold a join token: how they print is written by hand, without it.
const SECRET: [&str; 2] = ["parallax.v1.JoinRequest", "parallax.v1.CreateTokenResponse"];

fn main() -> anyhow::Result<()> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument {other:?}: the only one is --check"),
    };
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let fresh = generate(&proto)?;
    let committed = proto.join("src/generated").join(GENERATED);
    if check {
        let present = fs::read_to_string(&committed).unwrap_or_default();
        if present != fresh {
            bail!("{GENERATED} is stale: run `cargo run -p parallax-proto-generate` and commit the result");
        }
        return Ok(());
    }
    fs::write(&committed, fresh).with_context(|| format!("write {}", committed.display()))
}

fn generate(proto: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(proto.join("parallax/v1"))
        .context("list the .proto files")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    let descriptors = protox::compile(&files, [proto]).context("compile the .proto files")?;
    let out = std::env::temp_dir().join(format!("parallax-generate-{}", std::process::id()));
    fs::create_dir_all(&out)?;
    let result = tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(&out)
        .skip_debug(SECRET)
        .compile_fds(descriptors)
        .context("generate the wire code")
        .and_then(|()| fs::read_to_string(out.join(GENERATED)).context("read what was generated"));
    fs::remove_dir_all(&out)?;
    result
}
