//! Files that need each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::resolve::Arrows;

/// A set of files, each of which leads to all the others.
pub struct Circle {
    pub files: BTreeSet<usize>,
    /// One of the shortest ways round, from a file back to itself.
    pub way: Vec<usize>,
}

/// All circles, the largest first.
pub fn of(arrows: &Arrows) -> Vec<Circle> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in arrows.keys() {
        next.entry(*from).or_default().push(*to);
    }
    let ways: BTreeMap<usize, Ways> = next.keys().map(|at| (*at, ways(&next, *at))).collect();
    let leads = |from: usize, to: usize| ways.get(&from).is_some_and(|it| it.contains_key(&to));

    let mut circles: Vec<Circle> = Vec::new();
    for at in ways.keys().copied().filter(|at| leads(*at, *at)) {
        if circles.iter().any(|it| it.files.contains(&at)) {
            continue;
        }
        let files: BTreeSet<usize> = ways[&at]
            .keys()
            .copied()
            .filter(|it| leads(*it, at))
            .collect();
        let rounds = files.iter().map(|it| round(&ways[it], *it));
        let way = rounds.min_by_key(Vec::len).unwrap_or_default();
        circles.push(Circle { files, way });
    }
    circles.sort_by_key(|it| usize::MAX - it.files.len());
    circles
}

/// For each reachable file, the file before it on a shortest way.
type Ways = BTreeMap<usize, usize>;

fn ways(next: &BTreeMap<usize, Vec<usize>>, start: usize) -> Ways {
    let mut before = Ways::new();
    let mut open = VecDeque::from([start]);
    while let Some(at) = open.pop_front() {
        for to in next.get(&at).into_iter().flatten() {
            if !before.contains_key(to) {
                before.insert(*to, at);
                open.push_back(*to);
            }
        }
    }
    before
}

fn round(before: &Ways, start: usize) -> Vec<usize> {
    let mut way = vec![start];
    let mut at = start;
    while let Some(previous) = before.get(&at) {
        way.push(*previous);
        at = *previous;
        if at == start {
            break;
        }
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_with_its_shortest_way() {
        let pairs = [(0, 1), (1, 2), (2, 0), (2, 1), (2, 3), (4, 5), (5, 4)];
        let arrows = pairs.map(|pair| (pair, BTreeSet::new())).into();
        let found: Vec<_> = of(&arrows)
            .into_iter()
            .map(|it| (it.files.into_iter().collect::<Vec<_>>(), it.way))
            .collect();
        assert_eq!(
            found,
            [(vec![0, 1, 2], vec![1, 2, 1]), (vec![4, 5], vec![4, 5, 4]),]
        );
    }
}
