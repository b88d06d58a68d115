//! The picture of a toy problem: contours of f1 + f2, the Pareto set, and the path from each start.

use aggregation::{
    Weighting,
    toy::{Pareto, Problem, Trajectory},
};

use crate::picture::{
    Align, Axes, BLACK, Colour, GREY, LINES, Path, Point, Rect, Scene, Stroke, WHITE,
    contour::{Grid, simplified},
    nice_ticks, number, sequential, shortened, width,
};

/// The least range of both axes, as in the papers' figures.
const RANGE: [f64; 2] = [-11.0, 11.0];
/// Cells of the grid in each direction.
const CELLS: usize = 220;
const AREA: Rect = Rect { x: 78.0, y: 76.0, width: 540.0, height: 540.0 };
const WIDTH: f64 = 850.0;
const HEIGHT: f64 = 684.0;
/// The left side of the column at the right, pixels.
const COLUMN: f64 = AREA.x + AREA.width + 28.0;
const TEXT: f64 = 13.0;

/// Draws the picture.
pub fn draw(problem: Problem, weighting: &Weighting, steps: u64, trajectories: &[Trajectory]) -> Scene {
    let reached = trajectories.iter().filter(|trajectory| trajectory.reaches()).count();
    let title = format!("{weighting} on the toy problem, setting {}", problem.name());
    let subtitle = format!(
        "{reached} of {} starts reach the Pareto set in {} steps of Adam (learning rate 0.001)",
        trajectories.len(),
        grouped(steps)
    );
    let mut scene = Scene::new(WIDTH, HEIGHT, title.clone(), format!("{subtitle}. {}", describe(trajectories)));
    let title = shortened(&title, 19.0, WIDTH - AREA.x - 20.0);
    scene.text(title, [AREA.x, 34.0], Align::Start, 19.0, BLACK);
    scene.text(subtitle, [AREA.x, 58.0], Align::Start, TEXT, GREY);
    let range = range(trajectories);
    let axes = Axes { area: AREA, x: range, y: range };
    let levels = contours(&mut scene, &axes, problem);
    let clip = Some(AREA);
    let chain = Pareto::new().points().iter().step_by(50).map(|point| axes.place(*point)).collect();
    let set = Stroke::solid(PARETO, 7.0);
    scene.path(Path { lines: vec![chain], stroke: Some(set), clip, ..Path::default() });
    let colours: Vec<Colour> = (0..trajectories.len()).map(|at| LINES[at % LINES.len()]).collect();
    for (trajectory, colour) in trajectories.iter().zip(&colours) {
        let points: Vec<Point> = trajectory.points.iter().map(|point| axes.place(*point)).collect();
        let line = simplified(&points, 0.15);
        let halo = Stroke { colour: WHITE, width: 4.5, opacity: 0.7 };
        scene.path(Path { lines: vec![line.clone()], stroke: Some(halo), clip, ..Path::default() });
        scene.path(Path { lines: vec![line], stroke: Some(Stroke::solid(*colour, 2.4)), clip, ..Path::default() });
    }
    for (trajectory, colour) in trajectories.iter().zip(&colours) {
        start_mark(&mut scene, axes.place(trajectory.start), *colour);
        end_mark(&mut scene, axes.place(trajectory.end()), *colour);
    }
    axes.draw(&mut scene, "x", "y");
    let below = legend(&mut scene, trajectories, &colours);
    palette(&mut scene, &levels, below);
    scene
}

const PARETO: Colour = Colour(0x55, 0x55, 0x55);

fn start_mark(scene: &mut Scene, at: Point, colour: Colour) {
    scene.disc(at, 6.0, colour, Stroke::solid(WHITE, 1.5));
}

fn end_mark(scene: &mut Scene, at: Point, colour: Colour) {
    scene.star(at, 10.0, 5, 0.42, colour, Stroke::solid(WHITE, 1.2));
}

/// The range of both axes. It contains all points.
fn range(trajectories: &[Trajectory]) -> [f64; 2] {
    let coordinates = || trajectories.iter().flat_map(|trajectory| trajectory.points.iter().flatten());
    let least = coordinates().fold(RANGE[0], |least, value| least.min(value - 1.0));
    let most = coordinates().fold(RANGE[1], |most, value| most.max(value + 1.0));
    [least.floor(), most.ceil()]
}

/// Paints the areas of f1 + f2, darker for lower values. Gives the levels with their colours.
fn contours(scene: &mut Scene, axes: &Axes, problem: Problem) -> Vec<(f64, Colour)> {
    let cell = (axes.x[1] - axes.x[0]) / CELLS as f64;
    // One cell more on each side, so that the side of an area that goes on is outside the picture.
    let at = |column: f64, row: f64| [axes.x[0] + (column - 1.0) * cell, axes.y[0] + (row - 1.0) * cell];
    let grid = Grid::new(CELLS + 3, CELLS + 3, |column, row| {
        let [f1, f2] = problem.losses(at(column as f64, row as f64));
        f1 + f2
    });
    let least = grid.values().iter().copied().fold(f64::INFINITY, f64::min);
    let most = grid.values().iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let steps = nice_ticks([least, most], 12);
    let step = steps.get(1).map_or(1.0, |second| second - steps[0]);
    let levels: Vec<f64> = std::iter::once(steps[0] - step).chain(steps).collect();
    let last = levels.len().saturating_sub(1).max(1) as f64;
    let mut painted = Vec::new();
    for (number, level) in levels.into_iter().enumerate() {
        let colour = sequential(1.0 - number as f64 / last);
        let rings = grid.rings(level).into_iter().map(|ring| {
            let places: Vec<Point> = ring.into_iter().map(|[column, row]| axes.place(at(column, row))).collect();
            simplified(&places, 0.2)
        });
        let lines: Vec<Vec<Point>> = rings.filter(|ring| ring.len() > 2).collect();
        let stroke = Stroke { colour: CONTOUR, width: 0.8, opacity: 0.55 };
        scene.path(Path { lines, closed: true, fill: Some(colour), stroke: Some(stroke), clip: Some(axes.area) });
        painted.push((level, colour));
    }
    painted
}

const CONTOUR: Colour = Colour(0x5d, 0x7f, 0x9e);

/// Explains lines and marks. Gives the lower end of the explanation, pixels.
fn legend(scene: &mut Scene, trajectories: &[Trajectory], colours: &[Colour]) -> f64 {
    let mut y = AREA.y + TEXT;
    let texts = COLUMN + 34.0;
    for (trajectory, colour) in trajectories.iter().zip(colours) {
        let [x0, y0] = trajectory.start;
        let line = vec![[COLUMN, y - 0.35 * TEXT], [COLUMN + 24.0, y - 0.35 * TEXT]];
        scene.line(line, Stroke::solid(*colour, 2.4));
        let name = format!("from ({}, {})", number(x0), number(y0));
        scene.text(name, [texts, y], Align::Start, TEXT, BLACK);
        let outcome = if trajectory.reaches() {
            "reaches the Pareto set".to_owned()
        } else {
            format!("ends {} from the Pareto set", number((trajectory.distance * 100.0).round() / 100.0))
        };
        scene.text(outcome, [texts, y + TEXT + 3.0], Align::Start, TEXT - 1.0, GREY);
        y += 2.0 * TEXT + 16.0;
    }
    y += 6.0;
    let middle = COLUMN + 12.0;
    let mut entry = |scene: &mut Scene, text: &str, mark: &dyn Fn(&mut Scene, Point)| {
        mark(scene, [middle, y - 0.35 * TEXT]);
        scene.text(text, [texts, y], Align::Start, TEXT, BLACK);
        y += TEXT + 11.0;
    };
    entry(scene, "start", &|scene, at| start_mark(scene, at, GREY));
    entry(scene, "end", &|scene, at| end_mark(scene, at, GREY));
    entry(scene, "Pareto set", &|scene, [x, y]| {
        scene.line(vec![[x - 10.0, y], [x + 10.0, y]], Stroke::solid(PARETO, 7.0));
    });
    y
}

/// Explains the contours' colours, below `below` pixels.
fn palette(scene: &mut Scene, levels: &[(f64, Colour)], below: f64) {
    let top = below + 26.0;
    scene.text("f₁ + f₂", [COLUMN, top - 12.0], Align::Start, TEXT, BLACK);
    let height = (AREA.y + AREA.height - top) / levels.len() as f64;
    let height = height.min(17.0);
    let border = Stroke { colour: CONTOUR, width: 0.8, opacity: 0.55 };
    for (number_below, (level, colour)) in levels.iter().rev().enumerate() {
        let y = top + number_below as f64 * height;
        scene.rect(Rect { x: COLUMN, y, width: 24.0, height }, Some(*colour), Some(border));
        let is_lowest = number_below + 1 == levels.len();
        if !is_lowest {
            let text = number(*level);
            let right = COLUMN + 34.0 + width("\u{2212}00", 12.0);
            scene.text(text, [right, y + height + 4.2], Align::End, 12.0, BLACK);
        }
    }
}

fn describe(trajectories: &[Trajectory]) -> String {
    let ways = trajectories.iter().map(|trajectory| {
        let (from, to) = (trajectory.start, trajectory.end());
        let distance = trajectory.distance;
        format!("From ({}, {}) to ({:.2}, {:.2}), {distance:.3} from the Pareto set.", from[0], from[1], to[0], to[1])
    });
    let ways: Vec<String> = ways.collect();
    format!(
        "Contours of f1 + f2 over x and y, the Pareto set near y = \u{2212}8.4, and trajectories. {}",
        ways.join(" ")
    )
}

/// A count with commas between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use aggregation::toy::trajectories;

    use super::*;

    fn drawn(problem: Problem, steps: u64) -> Scene {
        let weighting = Weighting::default();
        let method = weighting.build(&["f1", "f2"]).expect("fits two tasks");
        let trajectories = trajectories(problem, method.as_ref(), steps, 0, 100).expect("has answers");
        draw(problem, &weighting, steps, &trajectories)
    }

    #[test]
    fn no_text_is_cut_off_or_written_over_another() {
        for problem in Problem::ALL {
            let scene = drawn(problem, 100);
            let boxes = scene.text_boxes();
            for (at, (text, one)) in boxes.iter().enumerate() {
                let (right, bottom) = (one.x + one.width, one.y + one.height);
                assert!(one.x >= 0.0 && one.y >= 0.0 && right <= WIDTH && bottom <= HEIGHT, "`{text}` is cut off");
                for (other_text, other) in &boxes[at + 1..] {
                    let apart = right <= other.x
                        || other.x + other.width <= one.x
                        || bottom <= other.y
                        || other.y + other.height <= one.y;
                    assert!(apart, "`{text}` and `{other_text}` overlap");
                }
            }
        }
    }

    #[test]
    fn both_forms_show_every_start_and_are_the_same_each_time() {
        let scene = drawn(Problem::Nash, 1000);
        let svg = scene.svg();
        for start in ["(−8.5, 7.5)", "(0, 0)", "(9, 9)", "(−7.5, −0.5)", "(9, −1)"] {
            assert!(svg.contains(&format!(">from {start}</text>")), "{start}");
        }
        assert_eq!(svg, drawn(Problem::Nash, 1000).svg());
        let png = scene.png().expect("is drawn");
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(u32::from_be_bytes(png[16..20].try_into().expect("four bytes")), 2 * WIDTH as u32);
        assert_eq!(png, drawn(Problem::Nash, 1000).png().expect("is drawn"));
    }
}
