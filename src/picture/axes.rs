//! Two axes with ticks and labels around a rectangle of data.

use super::{
    colour::{BLACK, GREY},
    font::width,
    scene::{Align, Point, Rect, Scene, Stroke},
};

/// A rectangle of the picture in which places stand for pairs of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Axes {
    /// The rectangle's place in the picture.
    pub area: Rect,
    /// The numbers at the left and right side.
    pub x: [f64; 2],
    /// The numbers at the lower and upper side.
    pub y: [f64; 2],
}

/// The size of numbers at ticks, pixels.
const TICK: f64 = 12.0;
/// The size of an axis' name, pixels.
const NAME: f64 = 14.0;

impl Axes {
    /// The place of a pair of numbers.
    pub fn place(&self, [x, y]: [f64; 2]) -> Point {
        let across = (x - self.x[0]) / (self.x[1] - self.x[0]);
        let up = (y - self.y[0]) / (self.y[1] - self.y[0]);
        [self.area.x + across * self.area.width, self.area.y + (1.0 - up) * self.area.height]
    }

    /// Draws the frame, ticks with numbers, and the axes' names.
    pub fn draw(&self, scene: &mut Scene, x_name: &str, y_name: &str) {
        let Rect { x, y, width: across, height: down } = self.area;
        let (tick, bottom) = (Stroke::solid(GREY, 1.0), y + down);
        for value in nice_ticks(self.x, 9) {
            let at = self.place([value, self.y[0]])[0];
            scene.line(vec![[at, bottom], [at, bottom + 5.0]], tick);
            scene.text(number(value), [at, bottom + 8.0 + TICK], Align::Middle, TICK, BLACK);
        }
        let mut widest = 0.0f64;
        for value in nice_ticks(self.y, 9) {
            let at = self.place([self.x[0], value])[1];
            scene.line(vec![[x - 5.0, at], [x, at]], tick);
            scene.text(number(value), [x - 9.0, at + 0.35 * TICK], Align::End, TICK, BLACK);
            widest = widest.max(width(&number(value), TICK));
        }
        scene.rect(self.area, None, Some(Stroke::solid(BLACK, 1.0)));
        scene.text(x_name, [x + across / 2.0, bottom + 24.0 + TICK + 0.6 * NAME], Align::Middle, NAME, BLACK);
        let left = x - 9.0 - widest - 12.0;
        scene.turned_text(y_name, [left, y + down / 2.0], Align::Middle, NAME, BLACK, 90.0);
    }
}

/// About `about` round numbers in a range: multiples of 1, 2 or 5 times a power of ten.
pub fn nice_ticks([low, high]: [f64; 2], about: usize) -> Vec<f64> {
    let rough = (high - low) / about as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![low];
    }
    let magnitude = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * magnitude >= 0.999 * rough).unwrap_or(10.0);
    let step = factor * magnitude;
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// A number as a picture writes it: up to three decimals, with a minus sign in place of a hyphen.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let text = if text == "-0" { "0" } else { text };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_in_the_range() {
        assert_eq!(nice_ticks([-10.0, 10.0], 9), [-10.0, -5.0, 0.0, 5.0, 10.0]);
        assert_eq!(nice_ticks([0.0, 1.0], 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(nice_ticks([-0.03, 0.021], 9), [-0.03, -0.02, -0.01, 0.0, 0.01, 0.02]);
        assert_eq!(nice_ticks([3.0, 3.0], 5), [3.0]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(0.6000000000000001), "0.6");
        assert_eq!(number(-12.5), "\u{2212}12.5");
        assert_eq!(number(-0.0001), "0");
    }

    #[test]
    fn places_are_upside_down() {
        let area = Rect { x: 10.0, y: 20.0, width: 100.0, height: 200.0 };
        let axes = Axes { area, x: [-1.0, 1.0], y: [0.0, 4.0] };
        assert_eq!(axes.place([0.0, 1.0]), [60.0, 170.0]);
    }
}
