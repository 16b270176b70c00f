//! Who is a witness of his own: vantage points behind the same first routers see the same way, and are one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use parallax_model::observation::Family;

use crate::matrix::Matrix;
use crate::overlay::trace;

/// The vantage points, by the way they share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witnesses {
    of: Vec<usize>,
}

impl Witnesses {
    /// Whoever shares the first two hops with another on the way to any address is one witness with it. One hop is not
    /// enough: the first router of many networks has the same private address.
    pub(crate) fn new(matrix: &Matrix) -> Self {
        let mut first_of: BTreeMap<(IpAddr, IpAddr), usize> = BTreeMap::new();
        let mut of: Vec<usize> = (0..matrix.vantages.len()).collect();
        for vantage in matrix.answered() {
            for way in ways(matrix, vantage) {
                let first = *first_of.entry(way).or_insert(of[vantage]);
                let (keep, drop) = (first.min(of[vantage]), first.max(of[vantage]));
                for witness in &mut of {
                    if *witness == drop {
                        *witness = keep;
                    }
                }
                for known in first_of.values_mut() {
                    if *known == drop {
                        *known = keep;
                    }
                }
            }
        }
        Self { of }
    }

    /// The witness that a vantage point is, or is a part of.
    pub(crate) fn of(&self, vantage: usize) -> usize {
        self.of.get(vantage).copied().unwrap_or(vantage)
    }

    /// How many there are among some vantage points.
    pub(crate) fn among(&self, vantages: impl IntoIterator<Item = usize>) -> usize {
        let set: std::collections::BTreeSet<_> =
            vantages.into_iter().map(|vantage| self.of(vantage)).collect();
        set.len()
    }
}

/// The first two routers on each way from a vantage point, the target itself left out.
fn ways(matrix: &Matrix, vantage: usize) -> Vec<(IpAddr, IpAddr)> {
    let paths = &matrix.vantage(vantage).seen.network.paths;
    let two = paths.iter().filter_map(|path| {
        let first = trace::router_at(path, 1)?;
        let second = trace::router_at(path, 2)?;
        let own = Family::of(first) == Family::of(path.address);
        (own && first != second && second != path.address).then_some((first, second))
    });
    two.collect()
}
