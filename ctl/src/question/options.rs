//! What a probe does beyond its depth, and whether that can be done.

use parallax_model::spec::{CaptureChoice, Depth, Examination, PathChoice, ProbeOptions};
use parallax_model::target::{Host, Security, Target};

use crate::args::{Examine, ProbeArgs};
use crate::exit::Trouble;

/// The options, each of which makes sense at this target and depth.
pub(super) fn read(args: &ProbeArgs, target: &Target, depth: Depth) -> Result<ProbeOptions, Trouble> {
    check_resolver(args, target)?;
    if args.hold.is_some() && depth < Depth::Greeting {
        return Err(Trouble::new(format!(
            "--hold needs a session, and --depth {depth} ends before there is one"
        ))
        .hint("use --depth greeting or deeper"));
    }
    if args.sync_with.is_some() && depth != Depth::Sync {
        return Err(
            Trouble::new("--sync-with needs --depth sync: nothing is written otherwise")
                .hint("add --depth sync, or leave --sync-with out"),
        );
    }
    Ok(ProbeOptions {
        resolver: args.resolver,
        examine: examinations(&args.examine, target, depth)?,
        hold: args.hold,
        sync_with: args.sync_with.clone(),
        path: path(args),
        capture: args.capture.unwrap_or(CaptureChoice::Auto),
    })
}

/// Whoever wants no second question wants no trace of a failing one either, unless it is asked for.
fn path(args: &ProbeArgs) -> PathChoice {
    match args.path {
        None | Some(PathChoice::Auto) if args.no_follow_up => PathChoice::Never,
        Some(choice) => choice,
        None => PathChoice::Auto,
    }
}

fn check_resolver(args: &ProbeArgs, target: &Target) -> Result<(), Trouble> {
    let given = matches!(target.host, Host::Address(_)) || !args.address.is_empty();
    if args.resolver.is_some() && given {
        return Err(
            Trouble::new("--resolver has nothing to ask: the address is given already")
                .hint("probe a host name, without --address, or leave --resolver out"),
        );
    }
    Ok(())
}

/// Each once, in the model's order. `all` is what there is at this target; what is named must be there.
fn examinations(asked: &[Examine], target: &Target, depth: Depth) -> Result<Vec<Examination>, Trouble> {
    let mut wanted = Vec::new();
    for &what in Examination::ALL {
        let obstacle = obstacle(what, target, depth);
        if asked.contains(&Examine::One(what)) {
            if let Some((why, hint)) = obstacle {
                let name = Examine::flag(what);
                return Err(Trouble::new(format!("--examine {name}: {why}")).hint(hint));
            }
            wanted.push(what);
        } else if asked.contains(&Examine::All) && obstacle.is_none() {
            wanted.push(what);
        }
    }
    Ok(wanted)
}

/// Why something can't be examined, and what to do about it.
fn obstacle(what: Examination, target: &Target, depth: Depth) -> Option<(&'static str, &'static str)> {
    const NAME: (&str, &str) = ("an address has no such records", "probe a host name");
    const TLS: (&str, &str) = (
        "there is no TLS at this endpoint",
        "use --security tls or starttls",
    );
    const DEEPER: (&str, &str) = ("the probe ends before TLS", "use --depth tls or deeper");
    const STARTTLS: (&str, &str) = (
        "there is no STARTTLS at this endpoint",
        "probe imap://HOST, or use --security starttls",
    );
    const GREETING: (&str, &str) = ("the probe ends before STARTTLS", "use --depth greeting or deeper");
    let has = |security| {
        target
            .endpoints
            .iter()
            .any(|endpoint| endpoint.security == security)
    };
    let is_name = matches!(target.host, Host::Name(_));
    let behind_tls = || match (has(Security::Tls) || has(Security::Starttls), depth >= Depth::Tls) {
        (false, _) => Some(TLS),
        (true, false) => Some(DEEPER),
        (true, true) => None,
    };
    match what {
        Examination::Srv => (!is_name).then_some(NAME),
        Examination::Tlsa if !is_name => Some(NAME),
        Examination::Tlsa | Examination::Resumption | Examination::LegacyTls => behind_tls(),
        Examination::StarttlsInjection if !has(Security::Starttls) => Some(STARTTLS),
        Examination::StarttlsInjection => (depth < Depth::Greeting).then_some(GREETING),
    }
}
