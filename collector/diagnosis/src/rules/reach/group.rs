//! Attempts that nothing answers, sorted by where paths tell that they are lost.

use parallax_model::finding::Segment;

use super::column::View;
use crate::matrix::CellId;
use crate::overlay::{self, Place};

/// Attempts that are lost at one place.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) place: Place,
    pub(super) cells: Vec<CellId>,
}

/// Attempts sorted by where they are lost, and those of which that is not known.
pub(super) fn groups(view: &View) -> (Vec<Group>, Vec<CellId>) {
    let mut groups: Vec<Group> = Vec::new();
    let mut unplaced = Vec::new();
    for &id in &view.silent {
        let Some(place) = overlay::silence(view.matrix, id) else {
            unplaced.push(id);
            continue;
        };
        match groups.iter_mut().find(|group| group.place.may_be(&place)) {
            Some(group) => {
                group.place.lines.extend(place.lines);
                group.cells.push(id);
            }
            None => groups.push(Group {
                place,
                cells: vec![id],
            }),
        }
    }
    let nobody_passes = view.witnesses.is_empty() && view.reset.is_empty();
    if nobody_passes && groups.iter().all(|group| at_an_edge(view, group)) {
        groups = groups.into_iter().reduce(joined).into_iter().collect();
    }
    let (mut at_the_host, elsewhere): (Vec<Group>, Vec<Group>) = groups
        .into_iter()
        .partition(|group| group.place.at_the_target(view.address));
    let somebody_inside = |group: &Group| {
        let mut cells = group.cells.iter();
        cells.any(|&id| overlay::inside(view.matrix, id))
    };
    if at_the_host.iter().any(somebody_inside) {
        // Where the way ends for who stands beside the host says the most of those for whom it ends before it.
        at_the_host.sort_by_key(|group| std::cmp::Reverse(group.place.ttl));
        at_the_host = at_the_host.into_iter().reduce(at_one_host).into_iter().collect();
    }
    if let Some(group) = at_the_host.first_mut() {
        let (inside, others): (Vec<CellId>, Vec<CellId>) = unplaced
            .into_iter()
            .partition(|&id| overlay::inside(view.matrix, id));
        group.cells.extend(inside);
        unplaced = others;
    }
    let mut groups: Vec<Group> = at_the_host.into_iter().chain(elsewhere).collect();
    if let [only] = groups.as_mut_slice()
        && only.cells.len() > unplaced.len()
    {
        only.cells.append(&mut unplaced);
    }
    (groups, unplaced)
}

fn at_one_host(mut one: Group, other: Group) -> Group {
    one.place.lines.extend(other.place.lines);
    one.cells.extend(other.cells);
    one
}

/// Whether it looks like a fault of one vantage point's own first hop, or of a router of which several faces are seen.
fn at_an_edge(view: &View, group: &Group) -> bool {
    !group.place.at_home && group.place.ttl > 0 && !group.place.at_the_target(view.address)
}

/// Everybody's packets are lost, each behind a hop of his own: one cause behind them all is likelier than many.
fn joined(mut one: Group, other: Group) -> Group {
    one.place.segment = Segment::Transit;
    if one.place.before != other.place.before {
        one.place.before = None;
    }
    one.place.lines.extend(other.place.lines);
    one.cells.extend(other.cells);
    one
}
