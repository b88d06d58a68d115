//! A matrix as a picture: a cell a number, its colour from a diverging palette, the number in it where there is room.

use super::{
    colour::{BLACK, Colour, GREY, diverging},
    font::width,
    nice_ticks, number,
    scene::{Align, Rect, Scene, Stroke},
    shortened,
};

/// What a heat map shows.
#[derive(Debug, Clone)]
pub struct HeatMap<'a> {
    /// What it is, in a line.
    pub title: &'a str,
    /// How to read it, in a line or two.
    pub note: &'a [&'a str],
    /// What rows are.
    pub rows: &'a str,
    /// What columns are.
    pub columns: &'a str,
    /// The names of rows and columns.
    pub labels: &'a [String],
    /// [rows, columns]; no number where nothing is known.
    pub values: &'a [Vec<Option<f64>>],
    /// The value of the strongest colour, above 0; its negative has the other.
    pub limit: f64,
    /// What the values are, beside the palette.
    pub legend: &'a str,
}

const TITLE: f64 = 18.0;
const NOTE: f64 = 13.0;
const LABEL: f64 = 13.0;
const MARGIN: f64 = 24.0;
/// No label is wider.
const LABEL_MAX: f64 = 150.0;

/// The picture of a matrix.
pub fn heat_map(map: &HeatMap<'_>) -> Scene {
    let count = map.labels.len().max(1);
    let cell = (560.0 / count as f64).clamp(14.0, 64.0);
    let label = LABEL.min(cell - 2.0);
    let labels: Vec<String> = map.labels.iter().map(|name| shortened(name, label, LABEL_MAX)).collect();
    let widest = labels.iter().map(|name| width(name, label)).fold(0.0, f64::max);
    let turned = cell < widest + 8.0;
    let heading = MARGIN + TITLE + map.note.len() as f64 * (NOTE + 6.0) + 16.0;
    let over = LABEL + 14.0 + if turned { widest } else { label } + 8.0;
    let left = MARGIN + LABEL + 14.0 + widest + 8.0;
    let side = cell * count as f64;
    let matrix = Rect { x: left, y: heading + over, width: side, height: side };
    let legend_right = 32.0 + 16.0 + 8.0 + 40.0 + LABEL + 8.0;
    let texts = map.note.iter().map(|line| width(line, NOTE)).chain([width(map.title, TITLE)]).fold(0.0, f64::max);
    let across = (left + side + legend_right).max(MARGIN + texts) + MARGIN;
    let legend_height = side.max(160.0);
    let mut scene = Scene::new(across, matrix.y + legend_height + MARGIN, map.title, describe(map));
    scene.text(map.title, [MARGIN, MARGIN + 0.8 * TITLE], Align::Start, TITLE, BLACK);
    for (line, note) in map.note.iter().enumerate() {
        let down = MARGIN + TITLE + (line + 1) as f64 * (NOTE + 6.0);
        scene.text(*note, [MARGIN, down], Align::Start, NOTE, GREY);
    }
    scene.text(map.columns, [left + side / 2.0, heading + 0.8 * LABEL], Align::Middle, LABEL, GREY);
    let middle = matrix.y + side / 2.0;
    scene.turned_text(map.rows, [MARGIN + 0.8 * LABEL, middle], Align::Middle, LABEL, GREY, 90.0);
    for (at, name) in labels.iter().enumerate() {
        let centre = (at as f64 + 0.5) * cell + 0.35 * label;
        scene.text(name.clone(), [left - 8.0, matrix.y + centre], Align::End, label, BLACK);
        if turned {
            scene.turned_text(name.clone(), [left + centre, matrix.y - 8.0], Align::Start, label, BLACK, 90.0);
        } else {
            let x = left + (at as f64 + 0.5) * cell;
            scene.text(name.clone(), [x, matrix.y - 8.0], Align::Middle, label, BLACK);
        }
    }
    cells(&mut scene, map, matrix, cell);
    palette(&mut scene, map, Rect { x: left + side + 32.0, y: matrix.y, width: 16.0, height: legend_height });
    scene
}

fn cells(scene: &mut Scene, map: &HeatMap<'_>, matrix: Rect, cell: f64) {
    let size = (cell / 3.6).min(13.0);
    for (row, values) in map.values.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            let (x, y) = (matrix.x + column as f64 * cell, matrix.y + row as f64 * cell);
            let colour = value.map_or(Colour(0xdd, 0xdd, 0xdd), |value| diverging(value / map.limit));
            let border = Stroke::solid(Colour(0xff, 0xff, 0xff), 1.0);
            scene.rect(Rect { x, y, width: cell, height: cell }, Some(colour), Some(border));
            let text = value.map_or_else(|| "–".to_owned(), |value| in_cell(value, map.limit));
            if size >= 9.0 && width(&text, size) <= cell - 4.0 {
                let at = [x + cell / 2.0, y + cell / 2.0 + 0.35 * size];
                scene.text(text, at, Align::Middle, size, colour.ink());
            }
        }
    }
}

/// A value with two decimals, or more where the limit is small.
fn in_cell(value: f64, limit: f64) -> String {
    if !(0.01..1e4).contains(&limit) {
        return if value == 0.0 { "0".to_owned() } else { format!("{value:.1e}").replace('-', "\u{2212}") };
    }
    let text = if limit < 0.1 { format!("{value:.3}") } else { format!("{value:.2}") };
    let zero = text.trim_start_matches('-').bytes().all(|byte| byte == b'0' || byte == b'.');
    if zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "\u{2212}") }
}

fn palette(scene: &mut Scene, map: &HeatMap<'_>, bar: Rect) {
    const STEPS: usize = 64;
    let step = bar.height / STEPS as f64;
    for at in 0..STEPS {
        let value = 1.0 - 2.0 * (at as f64 + 0.5) / STEPS as f64;
        let y = bar.y + at as f64 * step;
        // Neighbours overlap, so that no gap shows between them.
        let height = if at + 1 < STEPS { step + 0.5 } else { step };
        scene.rect(Rect { x: bar.x, y, width: bar.width, height }, Some(diverging(value)), None);
    }
    scene.rect(bar, None, Some(Stroke::solid(GREY, 1.0)));
    let mut widest = 0.0f64;
    for tick in nice_ticks([-map.limit, map.limit], 5) {
        let y = bar.y + bar.height * (0.5 - tick / map.limit / 2.0);
        let text = if map.limit < 0.01 { in_cell(tick, map.limit) } else { number(tick) };
        scene.line(vec![[bar.x + bar.width, y], [bar.x + bar.width + 4.0, y]], Stroke::solid(GREY, 1.0));
        widest = widest.max(width(&text, 12.0));
        scene.text(text, [bar.x + bar.width + 8.0, y + 4.2], Align::Start, 12.0, BLACK);
    }
    let at = [bar.x + bar.width + 8.0 + widest + 8.0 + 0.8 * LABEL, bar.y + bar.height / 2.0];
    scene.turned_text(map.legend, at, Align::Middle, LABEL, GREY, 90.0);
}

fn describe(map: &HeatMap<'_>) -> String {
    let cells = map.values.iter().zip(map.labels).map(|(values, row)| {
        let values = values.iter().zip(map.labels).map(|(value, column)| {
            let value = value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.3}"));
            format!("{column} {value}")
        });
        format!("{row}: {}", values.collect::<Vec<_>>().join(", "))
    });
    format!(
        "A matrix of {}, rows {}, columns {}. {}.",
        map.legend,
        map.rows,
        map.columns,
        cells.collect::<Vec<_>>().join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(labels: &[String], values: &[Vec<Option<f64>>]) -> Scene {
        heat_map(&HeatMap {
            title: "Task affinity",
            note: &["Mean cosine of the tasks' gradients."],
            rows: "task",
            columns: "with task",
            labels,
            values,
            limit: 1.0,
            legend: "mean cosine",
        })
    }

    fn drawn(count: usize) -> Scene {
        let labels: Vec<String> = (0..count).map(|i| format!("task number {i}")).collect();
        let value = |i: usize, j: usize| if i == j { None } else { Some((i as f64 - j as f64) / count as f64) };
        let values: Vec<Vec<_>> = (0..count).map(|i| (0..count).map(|j| value(i, j)).collect()).collect();
        map(&labels, &values)
    }

    #[test]
    fn no_text_is_cut_off_or_written_over_another() {
        for count in [1, 2, 3, 7, 12, 40] {
            let scene = drawn(count);
            let boxes = scene.text_boxes();
            for (at, (text, one)) in boxes.iter().enumerate() {
                let inside = one.x >= 0.0
                    && one.y >= 0.0
                    && one.x + one.width <= scene.width
                    && one.y + one.height <= scene.height;
                assert!(
                    inside,
                    "`{text}` is cut off in a map of {count}: {one:?} of {} x {}",
                    scene.width, scene.height
                );
                for (other_text, other) in &boxes[at + 1..] {
                    let apart = one.x + one.width <= other.x
                        || other.x + other.width <= one.x
                        || one.y + one.height <= other.y
                        || other.y + other.height <= one.y;
                    assert!(apart, "`{text}` and `{other_text}` overlap in a map of {count}");
                }
            }
        }
    }

    #[test]
    fn every_value_is_a_cell_of_its_colour_with_its_number() {
        let svg = drawn(3).svg();
        for value in [-2.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0] {
            let Colour(r, g, b) = diverging(value);
            assert!(svg.contains(&format!("fill=\"#{r:02x}{g:02x}{b:02x}\" stroke=\"#ffffff\"")), "{value}");
            assert!(svg.contains(&format!(">{}</text>", in_cell(value, 1.0))), "{value}");
        }
        assert_eq!(svg.matches(">–</text>").count(), 3);
    }
}
