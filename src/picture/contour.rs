//! Areas of a function on a grid, by marching squares (the crate `contour`), and lines with fewer
//! points.

use contour::ContourBuilder;

/// A function's values on a grid, row by row.
#[derive(Debug, Clone)]
pub struct Grid {
    columns: usize,
    rows: usize,
    values: Vec<f64>,
}

impl Grid {
    /// The values of a function of (column, row). There is at least one column and one row.
    pub fn new(columns: usize, rows: usize, value: impl Fn(usize, usize) -> f64) -> Grid {
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
        let values = places.map(|(column, row)| value(column, row)).collect();
        Grid { columns, rows, values }
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The closed lines around the area in which the function is at least `level`, in units of
    /// columns and rows. An area that reaches the grid's side is closed half a cell beyond it. A
    /// hole is a line of its own: the area is what an even-odd rule makes of all lines.
    pub fn rings(&self, level: f64) -> Vec<Vec<[f64; 2]>> {
        // The crate puts the first value in the middle of the cell that begins at the origin.
        let builder = ContourBuilder::new(self.columns, self.rows, true).x_origin(-0.5).y_origin(-0.5);
        let lines = builder.lines(&self.values, &[level]).expect("there is a value for each place of the grid");
        let rings = lines.iter().flat_map(|line| &line.geometry().0);
        // The last point is the first one again.
        rings.map(|ring| ring.0.iter().skip(1).map(|point| [point.x, point.y]).collect()).collect()
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
        rings.iter().map(ring).sum::<f64>().abs()
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
    fn an_area_that_goes_on_outside_is_closed_beyond_the_side() {
        let grid = Grid::new(11, 6, |column, _| column as f64);
        let rings = grid.rings(2.5);
        assert_eq!(rings.len(), 1);
        assert!((7.5 * 5.0..8.0 * 6.0).contains(&area(&rings)), "{rings:?}");
        assert!((50.0..66.0).contains(&area(&grid.rings(-1.0))));
        assert!(grid.rings(11.0).is_empty());
    }

    #[test]
    fn saddles_are_closed_for_every_level() {
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
