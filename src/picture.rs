//! Pictures: a [`Scene`] of lines, areas and texts, written as SVG for documents and drawn as PNG for everything else.
//!
//! A scene knows pixels only. What turns data into marks stands above it: [`Axes`] for two numbers, [`contour`] for a function of two numbers,
//! [`heat_map()`] for a matrix. Both forms of a picture are made from the same marks, and a picture of the same data has the same bytes.
//!
//! Colours are chosen to be told apart with any colour vision, and no meaning is in colour alone.

mod axes;
mod colour;
pub mod contour;
mod files;
mod font;
mod heat_map;
mod png;
mod scene;
mod svg;

pub use axes::{Axes, nice_ticks, number};
pub use colour::{BLACK, Colour, GREY, LINES, WHITE, sequential};
pub use files::Files;
pub use font::width;
pub use heat_map::{HeatMap, heat_map};
pub use scene::{Align, Path, Point, Rect, Scene, Stroke};

/// What cuts off a text that is wider than `width_max`.
pub fn shortened(text: &str, size: f64, width_max: f64) -> String {
    if width(text, size) <= width_max {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let short: String = kept.iter().chain(&['…']).collect();
        if width(&short, size) <= width_max {
            return short;
        }
    }
    String::new()
}
