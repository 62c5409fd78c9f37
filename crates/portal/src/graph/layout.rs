//! Lays a directed graph out in layers, from left to right (after Sugiyama, Tagawa and Toda 1981): breaks
//! circles, gives each node a layer, leads long edges through every layer between, orders the layers so that
//! few edges cross, and moves nodes towards their neighbours. The same graph gives the same picture.

use std::collections::{BTreeMap, BTreeSet};

/// Width and height of a node.
pub(crate) const NODE_W: f64 = 168.0;
pub(crate) const NODE_H: f64 = 38.0;
/// Room between layers, where edges turn.
const GAP_X: f64 = 72.0;
/// Room between nodes of a layer.
const GAP_Y: f64 = 14.0;
/// Height that an edge takes where it passes a layer.
const PASS_H: f64 = 8.0;
/// Sweeps over the layers, to and fro.
const SWEEPS: usize = 10;
/// Most columns of nodes that nothing needs and that need nothing.
const LONE_COLUMNS_MAX: usize = 6;

/// The middle of something.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Point {
    pub x: f64,
    pub y: f64,
}

/// An edge as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub from: usize,
    pub to: usize,
    /// Where it leaves, passes and arrives.
    pub points: Vec<Point>,
    /// It closes a circle, and leads back.
    pub back: bool,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Layout {
    /// The middle of each node, by its number.
    pub nodes: BTreeMap<usize, Point>,
    pub routes: Vec<Route>,
    pub width: f64,
    pub height: f64,
}

/// Something that has a place in a layer: a node, or an edge that passes.
type Id = usize;

/// A graph of nodes `0..count` in layers.
pub(crate) fn layout(count: usize, edges: &[(usize, usize)]) -> Layout {
    let edges: BTreeSet<(Id, Id)> = edges.iter().copied().filter(|(a, b)| a != b && *a < count && *b < count).collect();
    let tied: BTreeSet<Id> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let back = closing(&tied, &edges);
    let forward: BTreeSet<(Id, Id)> =
        edges.iter().map(|edge| if back.contains(edge) { (edge.1, edge.0) } else { *edge }).collect();
    let layer = layers(&tied, &forward);
    let mut ranks = Ranks::new(count, &layer, &forward);
    ranks.order();
    let y = ranks.heights();
    let mut out = Layout::default();
    for (id, at) in &layer {
        out.nodes.insert(*id, Point { x: column(*at), y: y.get(id).copied().unwrap_or_default() });
    }
    out.width = layer.values().max().map_or(0.0, |last| column(*last) + NODE_W / 2.0);
    out.height = y.values().fold(0.0, |most: f64, y| most.max(y + NODE_H / 2.0));
    for edge in &edges {
        let is_back = back.contains(edge);
        let forward = if is_back { (edge.1, edge.0) } else { *edge };
        let mut points = ranks.points(forward, &layer, &y);
        if is_back {
            points.reverse();
        }
        out.routes.push(Route { from: edge.0, to: edge.1, points, back: is_back });
    }
    lone(count, &tied, &mut out);
    out
}

/// The middle of a column.
#[expect(clippy::cast_precision_loss, reason = "a picture has few columns")]
fn column(layer: usize) -> f64 {
    layer as f64 * (NODE_W + GAP_X) + NODE_W / 2.0
}

/// The edges without which there is no circle: those that lead back on a walk through the graph in depth.
fn closing(nodes: &BTreeSet<Id>, edges: &BTreeSet<(Id, Id)>) -> BTreeSet<(Id, Id)> {
    let mut back = BTreeSet::new();
    let (mut done, mut open): (BTreeSet<Id>, BTreeSet<Id>) = Default::default();
    let next = |id: Id| edges.range((id, 0)..=(id, Id::MAX)).map(|(_, to)| *to).collect::<Vec<_>>();
    for start in nodes {
        let mut way: Vec<(Id, std::vec::IntoIter<Id>)> = Vec::new();
        if !done.contains(start) {
            open.insert(*start);
            way.push((*start, next(*start).into_iter()));
        }
        while let Some((at, rest)) = way.last_mut() {
            let at = *at;
            match rest.next() {
                Some(to) if open.contains(&to) => {
                    back.insert((at, to));
                }
                Some(to) if !done.contains(&to) => {
                    open.insert(to);
                    way.push((to, next(to).into_iter()));
                }
                Some(_) => {}
                None => {
                    open.remove(&at);
                    done.insert(at);
                    way.pop();
                }
            }
        }
    }
    back
}

/// The layer of each node: behind everything that leads to it. There is no circle any more.
fn layers(nodes: &BTreeSet<Id>, edges: &BTreeSet<(Id, Id)>) -> BTreeMap<Id, usize> {
    let mut waits: BTreeMap<Id, usize> = nodes.iter().map(|id| (*id, 0)).collect();
    for (_, to) in edges {
        waits.entry(*to).and_modify(|n| *n = n.saturating_add(1));
    }
    let mut layer: BTreeMap<Id, usize> = BTreeMap::new();
    let mut ready: Vec<Id> = waits.iter().filter(|(_, n)| **n == 0).map(|(id, _)| *id).collect();
    for id in &ready {
        layer.insert(*id, 0);
    }
    while let Some(id) = ready.pop() {
        let here = layer.get(&id).copied().unwrap_or_default();
        for (_, to) in edges.range((id, 0)..=(id, Id::MAX)) {
            let at = layer.entry(*to).or_default();
            *at = (*at).max(here.saturating_add(1));
            if let Some(left) = waits.get_mut(to) {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.push(*to);
                }
            }
        }
    }
    layer
}

/// The layers with their order, and who is beside whom in the next one.
struct Ranks {
    rows: Vec<Vec<Id>>,
    left: BTreeMap<Id, Vec<Id>>,
    right: BTreeMap<Id, Vec<Id>>,
    /// What stands for a long edge in the layers between its ends.
    passes: BTreeMap<(Id, Id), Vec<Id>>,
    /// Numbers below this are nodes.
    count: usize,
}

impl Ranks {
    fn new(count: usize, layer: &BTreeMap<Id, usize>, edges: &BTreeSet<(Id, Id)>) -> Self {
        let depth = layer.values().max().map_or(0, |last| last.saturating_add(1));
        let mut ranks = Self {
            rows: vec![Vec::new(); depth],
            left: BTreeMap::new(),
            right: BTreeMap::new(),
            passes: BTreeMap::new(),
            count,
        };
        for (id, at) in layer {
            ranks.put(*id, *at);
        }
        let mut fresh = count;
        for (from, to) in edges {
            let (begin, end) =
                (layer.get(from).copied().unwrap_or_default(), layer.get(to).copied().unwrap_or_default());
            let mut before = *from;
            for at in begin.saturating_add(1)..end {
                ranks.put(fresh, at);
                ranks.tie(before, fresh);
                ranks.passes.entry((*from, *to)).or_default().push(fresh);
                before = fresh;
                fresh = fresh.saturating_add(1);
            }
            ranks.tie(before, *to);
        }
        ranks
    }

    fn put(&mut self, id: Id, layer: usize) {
        if let Some(row) = self.rows.get_mut(layer) {
            row.push(id);
        }
    }

    fn tie(&mut self, from: Id, to: Id) {
        self.right.entry(from).or_default().push(to);
        self.left.entry(to).or_default().push(from);
    }

    /// Sorts each layer by the mean place of its neighbours, forth and back.
    fn order(&mut self) {
        for sweep in 0..SWEEPS {
            let forth = sweep % 2 == 0;
            let mut place: BTreeMap<Id, f64> = BTreeMap::new();
            for row in &self.rows {
                note(row, &mut place);
            }
            let beside = if forth { &self.left } else { &self.right };
            let mut sort = |row: &mut Vec<Id>| {
                let key = |id: &Id| mean(beside.get(id), &place).or_else(|| place.get(id).copied()).unwrap_or_default();
                row.sort_by(|a, b| key(a).total_cmp(&key(b)));
                note(row, &mut place);
            };
            if forth {
                self.rows.iter_mut().for_each(&mut sort)
            } else {
                self.rows.iter_mut().rev().for_each(&mut sort)
            }
        }
    }

    const fn height(&self, id: Id) -> f64 {
        if id < self.count { NODE_H } else { PASS_H }
    }

    /// The height of each: near its neighbours, never over another one of its layer.
    fn heights(&self) -> BTreeMap<Id, f64> {
        let mut y: BTreeMap<Id, f64> = BTreeMap::new();
        for row in &self.rows {
            self.stack(row, &|_| 0.0, &mut y);
        }
        for sweep in 0..SWEEPS {
            let forth = sweep % 2 == 0;
            let beside = if forth { &self.left } else { &self.right };
            let rows: Vec<&Vec<Id>> = if forth { self.rows.iter().collect() } else { self.rows.iter().rev().collect() };
            for row in rows {
                let known = y.clone();
                let wish =
                    |id: Id| mean(beside.get(&id), &known).or_else(|| known.get(&id).copied()).unwrap_or_default();
                self.stack(row, &wish, &mut y);
            }
        }
        let top = y.iter().map(|(id, y)| y - self.height(*id) / 2.0).fold(f64::INFINITY, f64::min);
        y.values_mut().for_each(|y| *y -= if top.is_finite() { top } else { 0.0 });
        y
    }

    /// Puts a layer's own beneath one another, each as near to its wish as the others leave room.
    fn stack(&self, row: &[Id], wish: &dyn Fn(Id) -> f64, y: &mut BTreeMap<Id, f64>) {
        let mut placed: Vec<(Id, f64)> = Vec::new();
        let mut drift = 0.0;
        for id in row {
            let least = placed.last().map(|(above, at)| at + (self.height(*above) + self.height(*id)) / 2.0 + GAP_Y);
            let wished = wish(*id);
            let at = least.map_or(wished, |least| wished.max(least));
            drift += at - wished;
            placed.push((*id, at));
        }
        // All were pushed down by those above; half of it is given back to all alike.
        #[expect(clippy::cast_precision_loss, reason = "a layer has few nodes")]
        let up = drift / (row.len().max(1) as f64);
        y.extend(placed.into_iter().map(|(id, at)| (id, at - up)));
    }

    /// The way of an edge from the right side of a node to the left side of another.
    fn points(&self, edge: (Id, Id), layer: &BTreeMap<Id, usize>, y: &BTreeMap<Id, f64>) -> Vec<Point> {
        let at = |id: Id| y.get(&id).copied().unwrap_or_default();
        let layer_of = |id: Id| layer.get(&id).copied().unwrap_or_default();
        let (from, to) = edge;
        let mut points = vec![Point { x: column(layer_of(from)) + NODE_W / 2.0, y: at(from) }];
        for (pass, behind) in self.passes.get(&edge).into_iter().flatten().zip(layer_of(from).saturating_add(1)..) {
            let (x, y) = (column(behind), at(*pass));
            points.extend([Point { x: x - NODE_W / 2.0, y }, Point { x: x + NODE_W / 2.0, y }]);
        }
        points.push(Point { x: column(layer_of(to)) - NODE_W / 2.0, y: at(to) });
        points
    }
}

fn note(row: &[Id], place: &mut BTreeMap<Id, f64>) {
    #[expect(clippy::cast_precision_loss, reason = "a layer has few nodes")]
    place.extend(row.iter().enumerate().map(|(at, id)| (*id, at as f64)));
}

fn mean(of: Option<&Vec<Id>>, place: &BTreeMap<Id, f64>) -> Option<f64> {
    let known: Vec<f64> = of?.iter().filter_map(|id| place.get(id).copied()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a node has few neighbours")]
    let count = known.len() as f64;
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / count)
}

/// What has no edges stands below, in rows.
fn lone(count: usize, tied: &BTreeSet<Id>, out: &mut Layout) {
    let alone: Vec<Id> = (0..count).filter(|id| !tied.contains(id)).collect();
    if alone.is_empty() {
        return;
    }
    let mut columns = 1_usize;
    while columns < LONE_COLUMNS_MAX && column(columns) + NODE_W / 2.0 <= out.width.max(760.0) {
        columns = columns.saturating_add(1);
    }
    let top = if out.height > 0.0 { out.height + GAP_Y * 2.0 } else { 0.0 };
    for (row, ids) in alone.chunks(columns).enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a picture has few rows")]
        let y = top + row as f64 * (NODE_H + GAP_Y) + NODE_H / 2.0;
        for (at, id) in ids.iter().enumerate() {
            out.nodes.insert(*id, Point { x: column(at), y });
            out.width = out.width.max(column(at) + NODE_W / 2.0);
        }
        out.height = out.height.max(y + NODE_H / 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of nodes that lie over one another, and nodes that lie outside.
    fn faults(layout: &Layout) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (a, p) in &layout.nodes {
            let inside = p.x - NODE_W / 2.0 >= -0.01
                && p.y - NODE_H / 2.0 >= -0.01
                && p.x + NODE_W / 2.0 <= layout.width + 0.01
                && p.y + NODE_H / 2.0 <= layout.height + 0.01;
            if !inside {
                found.push((*a, *a));
            }
            for (b, q) in layout.nodes.range(a + 1..) {
                if (p.x - q.x).abs() < NODE_W && (p.y - q.y).abs() < NODE_H {
                    found.push((*a, *b));
                }
            }
        }
        found
    }

    /// Nodes that an edge passes beneath, by sampling straight pieces within columns.
    fn crossed(layout: &Layout) -> usize {
        let mut found = 0;
        for route in &layout.routes {
            for pair in route.points.windows(2).filter(|pair| (pair[0].y - pair[1].y).abs() < 0.01) {
                let middle = (pair[0].x + pair[1].x) / 2.0;
                let is_over = |(id, p): &(&usize, &Point)| {
                    **id != route.from
                        && **id != route.to
                        && (p.x - middle).abs() < NODE_W / 2.0
                        && (p.y - pair[0].y).abs() < NODE_H / 2.0
                };
                found += layout.nodes.iter().filter(is_over).count();
            }
        }
        found
    }

    struct Chance(u64);

    impl Chance {
        fn below(&mut self, n: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % n
        }
    }

    #[test]
    fn a_hundred_nodes_lie_beside_one_another_whatever_needs_what() {
        for seed in 0..60 {
            let mut chance = Chance(seed);
            let edges: Vec<(usize, usize)> =
                (0..chance.below(220)).map(|_| (chance.below(100), chance.below(100))).collect();
            let layout = layout(100, &edges);
            assert_eq!(layout.nodes.len(), 100, "seed {seed}");
            assert_eq!(faults(&layout), [], "seed {seed}");
            assert_eq!(crossed(&layout), 0, "seed {seed}: an edge passes beneath a node");
            assert_eq!(layout, super::layout(100, &edges), "seed {seed}: not the same twice");
        }
    }

    #[test]
    fn the_check_finds_what_lies_over_another() {
        let mut planted = layout(2, &[(0, 1)]);
        planted.nodes.insert(1, planted.nodes[&0]);
        assert_eq!(faults(&planted), [(0, 1)]);
    }

    #[test]
    fn who_needs_stands_left_of_what_is_needed_and_circles_lead_back() {
        let chain = layout(4, &[(0, 1), (1, 2), (0, 2), (2, 3)]);
        let x: Vec<f64> = chain.nodes.values().map(|p| p.x).collect();
        assert!(x.windows(2).all(|pair| pair[0] < pair[1]), "{x:?}");
        assert!(chain.routes.iter().all(|route| !route.back));
        let long = chain.routes.iter().find(|route| (route.from, route.to) == (0, 2)).unwrap();
        assert_eq!(long.points.len(), 4, "it passes one layer");
        let circle = layout(3, &[(0, 1), (1, 2), (2, 0), (1, 1)]);
        assert_eq!(circle.routes.iter().filter(|route| route.back).count(), 1);
        assert_eq!(circle.routes.len(), 3);
    }

    #[test]
    fn an_empty_graph_and_a_lone_node_have_a_picture() {
        assert_eq!(layout(0, &[]), Layout::default());
        let one = layout(1, &[(0, 7)]);
        assert_eq!((one.nodes.len(), one.routes.len()), (1, 0));
        assert!(one.width >= NODE_W && one.height >= NODE_H);
    }
}
