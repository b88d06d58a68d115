//! Pictures: a [`Scene`] of lines, areas and texts, written as SVG for documents and drawn as PNG
//! for everything else.
//!
//! A scene knows pixels only. What turns data into marks stands above it: [`Axes`] for two numbers,
//! [`contour`] for a function of two numbers, [`heat_map()`] for a matrix. Both forms of a picture
//! are made from the same marks, and a picture of the same data has the same bytes.
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

/// A text without its middle if it is wider than `width_max` pixels.
pub fn shortened(text: &str, size: f64, width_max: f64) -> String {
    without_middle(text, |text| width(text, size) <= width_max)
}

/// A text without its middle if it does not fit. Names that begin alike often differ at their ends.
pub fn without_middle(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    let all: Vec<char> = text.chars().collect();
    let ends = |kept: usize| -> String {
        let (first, last) = (&all[..kept.div_ceil(2)], &all[all.len() - kept / 2..]);
        first.iter().chain(&['…']).chain(last).collect()
    };
    let mut shorter = (0..all.len()).rev().map(ends);
    shorter.find(|short| fits(short)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_loses_its_middle() {
        assert_eq!(shortened("short", 12.0, 200.0), "short");
        let (one, other) = ("attribute_with_a_long_name_1", "attribute_with_a_long_name_2");
        let (short, else_short) = (shortened(one, 12.0, 80.0), shortened(other, 12.0, 80.0));
        assert!(short != else_short && width(&short, 12.0) <= 80.0, "{short}");
        assert!(short.starts_with("attri") && short.contains('…') && short.ends_with("_1"), "{short}");
        assert_eq!(shortened(one, 12.0, 1.0), "");
    }
}
