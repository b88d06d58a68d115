//! Areas of a function on a grid: marching squares, with straight lines between the values at
//! corners.

use std::collections::BTreeMap;

/// A function's values on a grid, row by row.
#[derive(Debug, Clone)]
pub struct Grid {
    columns: usize,
    rows: usize,
    values: Vec<f64>,
}

/// An edge of the grid; even: along a row, odd: along a column.
type Edge = usize;

impl Grid {
    /// The values of a function of (column, row).
    pub fn new(columns: usize, rows: usize, value: impl Fn(usize, usize) -> f64) -> Grid {
        let values = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
        let values = values.map(|(column, row)| value(column, row)).collect();
        Grid { columns, rows, values }
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The closed lines around where the function is at least `level`, in units of columns and
    /// rows. Where that goes on outside of the grid, they run along its side. Inner borders are
    /// lines of their own: the area is what an even-odd rule makes of all of them.
    pub fn rings(&self, level: f64) -> Vec<Vec<[f64; 2]>> {
        let mut next: BTreeMap<Edge, Edge> = BTreeMap::new();
        for row in 0..=self.rows {
            for column in 0..=self.columns {
                for (from, to) in self.segments(column, row, level).into_iter().flatten() {
                    next.insert(from, to);
                }
            }
        }
        let mut rings = Vec::new();
        while let Some((first, mut at)) = next.pop_first() {
            let mut ring = vec![self.crossing(first, level)];
            while at != first {
                ring.push(self.crossing(at, level));
                at = next.remove(&at).expect("lines around an area are closed");
            }
            rings.push(ring);
        }
        rings
    }

    /// The value at a corner of the grid with a border of nothing around it.
    fn at(&self, column: usize, row: usize) -> f64 {
        let inside = (1..=self.columns).contains(&column) && (1..=self.rows).contains(&row);
        if inside { self.values[(row - 1) * self.columns + column - 1] } else { f64::NEG_INFINITY }
    }

    /// The lines through one cell, with the area at their left (rows upwards).
    fn segments(&self, column: usize, row: usize, level: f64) -> [Option<(Edge, Edge)>; 2] {
        let corners = [(0, 0), (1, 0), (1, 1), (0, 1)].map(|(c, r)| self.at(column + c, row + r));
        let width = self.columns + 2;
        let edge = |column: usize, row: usize, along_column: usize| 2 * (row * width + column) + along_column;
        let (low, right) = (edge(column, row, 0), edge(column + 1, row, 1));
        let (high, left) = (edge(column, row + 1, 0), edge(column, row, 1));
        let inside = corners.map(|value| value >= level);
        let middle = || corners.iter().sum::<f64>() / 4.0 >= level;
        match inside {
            [true, true, true, true] | [false, false, false, false] => [None, None],
            [true, false, false, false] => [Some((low, left)), None],
            [false, true, false, false] => [Some((right, low)), None],
            [false, false, true, false] => [Some((high, right)), None],
            [false, false, false, true] => [Some((left, high)), None],
            [true, true, false, false] => [Some((right, left)), None],
            [false, true, true, false] => [Some((high, low)), None],
            [false, false, true, true] => [Some((left, right)), None],
            [true, false, false, true] => [Some((low, high)), None],
            [true, true, true, false] => [Some((high, left)), None],
            [false, true, true, true] => [Some((left, low)), None],
            [true, false, true, true] => [Some((low, right)), None],
            [true, true, false, true] => [Some((right, high)), None],
            [true, false, true, false] if middle() => [Some((low, right)), Some((high, left))],
            [true, false, true, false] => [Some((low, left)), Some((high, right))],
            [false, true, false, true] if middle() => [Some((left, low)), Some((right, high))],
            [false, true, false, true] => [Some((right, low)), Some((left, high))],
        }
    }

    /// Where the function has the level on an edge.
    fn crossing(&self, edge: Edge, level: f64) -> [f64; 2] {
        let (cell, along_column) = (edge / 2, edge % 2);
        let width = self.columns + 2;
        let (column, row) = (cell % width, cell / width);
        let (from, to) = (self.at(column, row), self.at(column + 1 - along_column, row + along_column));
        // Beside the border of nothing the line runs through the grid's own corner.
        let part = if from == f64::NEG_INFINITY {
            1.0
        } else if to == f64::NEG_INFINITY {
            0.0
        } else {
            (level - from) / (to - from)
        };
        let (x, y) = (column as f64 - 1.0, row as f64 - 1.0);
        if along_column == 1 { [x, y + part] } else { [x + part, y] }
    }
}

/// A line with fewer points that is nowhere further than `tolerance` from the one given (Douglas
/// and Peucker, 1973).
pub fn simplified(line: &[[f64; 2]], tolerance: f64) -> Vec<[f64; 2]> {
    if line.len() < 3 {
        return line.to_vec();
    }
    let mut kept = vec![false; line.len()];
    kept[0] = true;
    kept[line.len() - 1] = true;
    let mut open = vec![(0, line.len() - 1)];
    while let Some((first, last)) = open.pop() {
        let far = (first + 1..last).map(|at| (from_segment(line[at], line[first], line[last]), at));
        let far = far.fold((0.0, first), |most, next| if next.0 > most.0 { next } else { most });
        if far.0 > tolerance {
            kept[far.1] = true;
            open.extend([(first, far.1), (far.1, last)]);
        }
    }
    line.iter().zip(kept).filter(|(_, kept)| *kept).map(|(point, _)| *point).collect()
}

fn from_segment(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let offset = [point[0] - from[0], point[1] - from[1]];
    let squared = along[0] * along[0] + along[1] * along[1];
    let part =
        if squared > 0.0 { ((offset[0] * along[0] + offset[1] * along[1]) / squared).clamp(0.0, 1.0) } else { 0.0 };
    libm::hypot(offset[0] - part * along[0], offset[1] - part * along[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The area of rings under the even-odd rule, where none crosses another: inner ones run the
    /// other way.
    fn area(rings: &[Vec<[f64; 2]>]) -> f64 {
        let ring = |ring: &Vec<[f64; 2]>| {
            let turned = ring.iter().skip(1).chain(&ring[..1]);
            ring.iter().zip(turned).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>() / 2.0
        };
        rings.iter().map(ring).sum()
    }

    #[test]
    fn a_cone_has_circles() {
        let grid = Grid::new(81, 81, |column, row| -libm::hypot(column as f64 - 40.0, row as f64 - 40.0));
        let rings = grid.rings(-20.0);
        assert_eq!(rings.len(), 1);
        assert!(rings[0].iter().all(|[x, y]| (libm::hypot(x - 40.0, y - 40.0) - 20.0).abs() < 0.02));
        assert!((area(&rings) - std::f64::consts::PI * 400.0).abs() < 2.0, "{}", area(&rings));
    }

    #[test]
    fn a_hole_is_a_ring_the_other_way_round() {
        let grid = Grid::new(81, 81, |column, row| {
            let radius = libm::hypot(column as f64 - 40.0, row as f64 - 40.0);
            -(radius - 20.0).abs()
        });
        let rings = grid.rings(-5.0);
        assert_eq!(rings.len(), 2);
        assert!((area(&rings) - std::f64::consts::PI * (625.0 - 225.0)).abs() < 6.0, "{}", area(&rings));
    }

    #[test]
    fn what_goes_on_outside_is_closed_along_the_side() {
        let grid = Grid::new(11, 6, |column, _| column as f64);
        let rings = grid.rings(2.5);
        assert_eq!(rings.len(), 1);
        assert!((area(&rings) - 7.5 * 5.0).abs() < 1e-12, "{rings:?}");
        assert_eq!(area(&grid.rings(-1.0)), 50.0);
        assert!(grid.rings(11.0).is_empty());
    }

    #[test]
    fn saddles_are_closed_whichever_way_they_go() {
        for level in [-0.4, 0.4, 0.0] {
            let grid = Grid::new(6, 6, |column, row| if (column + row).is_multiple_of(2) { 1.0 } else { -1.0 });
            assert!(!grid.rings(level).is_empty());
        }
    }

    #[test]
    fn a_simplified_line_keeps_its_shape() {
        let line: Vec<[f64; 2]> =
            (0..100).map(|i| [f64::from(i), if i < 50 { 0.0 } else { f64::from(i) - 50.0 }]).collect();
        assert_eq!(simplified(&line, 0.1), [[0.0, 0.0], [50.0, 0.0], [99.0, 49.0]]);
    }
}
