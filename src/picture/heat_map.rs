//! A matrix as a picture: one cell for each number, coloured by a diverging palette. Either all
//! cells show their numbers, in one size, or none does: a number that is left out would look like
//! one that is unknown.

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
    /// The title, one line.
    pub title: &'a str,
    /// How to read the picture, one to three lines.
    pub note: &'a [&'a str],
    /// The meaning of rows.
    pub rows: &'a str,
    /// The meaning of columns.
    pub columns: &'a str,
    /// The names of rows and columns.
    pub labels: &'a [String],
    /// [rows, columns]; `None` for an unknown number.
    pub values: &'a [Vec<Option<f64>>],
    /// The value of the strongest blue, above 0. Its negative has the strongest orange. Values
    /// beyond have these colours too.
    pub limit: f64,
    /// The meaning of the values, beside the palette.
    pub legend: &'a str,
}

const TITLE: f64 = 18.0;
const NOTE: f64 = 13.0;
const LABEL: f64 = 13.0;
const MARGIN: f64 = 24.0;
/// The widest label, pixels.
const LABEL_MAX: f64 = 150.0;
/// The largest and the smallest size of numbers in cells, pixels.
const NUMBER_MAX: f64 = 13.0;
const NUMBER_MIN: f64 = 8.0;

/// The picture of a matrix. Very small or very large numbers are in units of a power of ten, which
/// the legend names.
pub fn heat_map(map: &HeatMap<'_>) -> Scene {
    let power = if (0.1..1000.0).contains(&map.limit) { 0.0 } else { libm::floor(libm::log10(map.limit)) };
    let unit = libm::pow(10.0, power);
    let scaled = |row: &Vec<Option<f64>>| row.iter().map(|value| value.map(|value| value / unit)).collect();
    let values: Vec<Vec<Option<f64>>> = map.values.iter().map(scaled).collect();
    let in_units = format!("{}, in units of 1e{}", map.legend, number(power));
    let legend = if power == 0.0 { map.legend } else { &in_units };
    draw(&HeatMap { values: &values, limit: map.limit / unit, legend, ..map.clone() })
}

fn draw(map: &HeatMap<'_>) -> Scene {
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
    let legend_height = side.max(160.0).max(width(map.legend, LABEL));
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
    let text = |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), in_cell);
    let widest = map.values.iter().flatten().map(|value| width(&text(value), 1.0)).fold(0.0, f64::max);
    let size = ((cell - 6.0) / widest).min(NUMBER_MAX);
    for (row, values) in map.values.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            let (x, y) = (matrix.x + column as f64 * cell, matrix.y + row as f64 * cell);
            let colour = value.map_or(Colour(0xdd, 0xdd, 0xdd), |value| diverging(value / map.limit));
            let border = Stroke::solid(Colour(0xff, 0xff, 0xff), 1.0);
            scene.rect(Rect { x, y, width: cell, height: cell }, Some(colour), Some(border));
            if size >= NUMBER_MIN {
                let at = [x + cell / 2.0, y + cell / 2.0 + 0.35 * size];
                scene.text(text(value), at, Align::Middle, size, colour.ink());
            }
        }
    }
}

/// A value with two decimals, fewer where it is large.
fn in_cell(value: f64) -> String {
    let text = match value.abs() {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        ..9999.5 => format!("{value:.0}"),
        _ => format!("{value:.0e}"),
    };
    let is_zero = text.bytes().all(|byte| b"-0.".contains(&byte));
    if is_zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "\u{2212}") }
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
        let text = number(tick);
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

    fn map(labels: &[String], values: &[Vec<Option<f64>>], limit: f64) -> Scene {
        heat_map(&HeatMap {
            title: "Task affinity",
            note: &["Mean cosine of the tasks' gradients."],
            rows: "task",
            columns: "with task",
            labels,
            values,
            limit,
            legend: "mean cosine",
        })
    }

    fn drawn(count: usize, limit: f64) -> Scene {
        let labels: Vec<String> = (0..count).map(|i| format!("task number {i}")).collect();
        let value = |i: usize, j: usize| if i == j { None } else { Some(limit * (i as f64 - j as f64) / count as f64) };
        let values: Vec<Vec<_>> = (0..count).map(|i| (0..count).map(|j| value(i, j)).collect()).collect();
        map(&labels, &values, limit)
    }

    #[test]
    fn no_text_is_cut_off_or_written_over_another() {
        let limits = [1.0, 3e-5, 2e4];
        for (count, limit) in [1, 2, 3, 7, 12, 40].into_iter().flat_map(|count| limits.map(|limit| (count, limit))) {
            let scene = drawn(count, limit);
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
        let svg = drawn(3, 1.0).svg();
        for value in [-2.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0, 2.0 / 3.0] {
            let Colour(r, g, b) = diverging(value);
            assert!(svg.contains(&format!("fill=\"#{r:02x}{g:02x}{b:02x}\" stroke=\"#ffffff\"")), "{value}");
            assert!(svg.contains(&format!(">{}</text>", in_cell(value))), "{value}");
        }
        assert_eq!(svg.matches(">–</text>").count(), 3);
    }

    /// The texts that are numbers of cells.
    fn numbers(scene: &Scene, count: usize) -> usize {
        let svg = scene.svg();
        let values = (0..count).flat_map(|i| (0..count).map(move |j| (i as f64 - j as f64) / count as f64));
        let texts: std::collections::BTreeSet<String> = values.map(in_cell).chain(["–".to_owned()]).collect();
        texts.iter().map(|text| svg.matches(&format!(">{text}</text>")).count()).sum()
    }

    #[test]
    fn all_cells_have_their_numbers_or_none_has() {
        for count in 2..30 {
            let scene = drawn(count, 1.0);
            // One of the palette's numbers looks like one of the cells.
            let found = numbers(&scene, count);
            let all = count * count..=count * count + 5;
            assert!(
                if count <= 20 { all.contains(&found) } else { all.contains(&found) || found <= 5 },
                "{count}: {found}"
            );
        }
        assert!(numbers(&drawn(40, 1.0), 40) <= 5);
    }

    #[test]
    fn values_of_any_size_are_numbers_of_a_few_digits_in_a_unit_that_is_named() {
        for (limit, named) in [(3e-5, Some("in units of 1e\u{2212}5")), (2e4, Some("in units of 1e4")), (0.5, None)] {
            let (svg, mantissa) = (
                drawn(3, limit).svg(),
                if limit < 0.1 {
                    3.0
                } else if limit > 1.0 {
                    2.0
                } else {
                    limit
                },
            );
            assert!(svg.contains(&format!(">{}</text>", in_cell(mantissa / 3.0))), "{limit}");
            assert_eq!(svg.contains("in units of"), named.is_some(), "{limit}");
            assert!(named.is_none_or(|named| svg.contains(named)), "{limit}");
        }
        let shown = [0.004, -0.004, -0.27, 12.34, -123.4, 123_456.0].map(in_cell);
        assert_eq!(shown, ["0.00", "0.00", "\u{2212}0.27", "12.3", "\u{2212}123", "1e5"]);
    }
}
