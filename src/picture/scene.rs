//! A scene: marks on a plane of pixels, x to the right and y down, in the order in which they are
//! painted.

use super::colour::Colour;

/// A place in pixels, (x, y).
pub type Point = [f64; 2];

/// A picture as a list of marks.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Pixels across.
    pub width: f64,
    /// Pixels down.
    pub height: f64,
    /// The title, one line, for readers that can't see the picture too.
    pub title: String,
    /// What the picture shows, in words.
    pub description: String,
    /// The marks in the order in which they are painted.
    pub marks: Vec<Mark>,
}

/// Something that is painted.
#[derive(Debug, Clone)]
pub enum Mark {
    /// Lines or areas.
    Path(Path),
    /// A text on one line.
    Text(Text),
}

/// Lines through points; closed ones enclose an area (even-odd where they overlap).
#[derive(Debug, Clone, Default)]
pub struct Path {
    /// The lines, each through its points.
    pub lines: Vec<Vec<Point>>,
    /// Whether each line returns to its first point.
    pub closed: bool,
    /// The area's colour; `None` for lines alone.
    pub fill: Option<Colour>,
    /// The line's style; `None` for an area without a line.
    pub stroke: Option<Stroke>,
    /// The rectangle outside which nothing is painted.
    pub clip: Option<Rect>,
}

/// How a line is painted. Ends and joints are round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// The line's colour.
    pub colour: Colour,
    /// The line's width in pixels.
    pub width: f64,
    /// The line's opacity, from 0 (invisible) to 1.
    pub opacity: f64,
}

/// A rectangle with sides along the axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// The left side.
    pub x: f64,
    /// The upper side.
    pub y: f64,
    /// The width in pixels.
    pub width: f64,
    /// The height in pixels.
    pub height: f64,
}

/// The part of a text that stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// The text's beginning.
    Start,
    /// The text's middle.
    Middle,
    /// The text's end.
    End,
}

/// A text.
#[derive(Debug, Clone)]
pub struct Text {
    /// The characters.
    pub text: String,
    /// A place on its base line.
    pub at: Point,
    /// The part of the text that stands at `at`.
    pub align: Align,
    /// The font's size in pixels.
    pub size: f64,
    /// The text's colour.
    pub colour: Colour,
    /// Degrees by which the text is turned around its place, counterclockwise.
    pub turned: f64,
}

impl Stroke {
    /// A line that covers what is below it.
    pub fn solid(colour: Colour, width: f64) -> Stroke {
        Stroke { colour, width, opacity: 1.0 }
    }
}

impl Rect {
    /// The corners in order.
    pub fn corners(&self) -> Vec<Point> {
        let (right, bottom) = (self.x + self.width, self.y + self.height);
        vec![[self.x, self.y], [right, self.y], [right, bottom], [self.x, bottom]]
    }
}

impl Scene {
    /// A scene without marks.
    pub fn new(width: f64, height: f64, title: impl Into<String>, description: impl Into<String>) -> Scene {
        Scene { width, height, title: title.into(), description: description.into(), marks: Vec::new() }
    }

    /// Paints lines or areas.
    pub fn path(&mut self, path: Path) {
        self.marks.push(Mark::Path(path));
    }

    /// Paints a line through points.
    pub fn line(&mut self, points: Vec<Point>, stroke: Stroke) {
        self.path(Path { lines: vec![points], stroke: Some(stroke), ..Path::default() });
    }

    /// Paints a rectangle.
    pub fn rect(&mut self, rect: Rect, fill: Option<Colour>, stroke: Option<Stroke>) {
        self.path(Path { lines: vec![rect.corners()], closed: true, fill, stroke, clip: None });
    }

    /// Paints a star: `corners` points at the radius, and between them as many at `inner` times the
    /// radius.
    pub fn star(&mut self, centre: Point, radius: f64, corners: usize, inner: f64, fill: Colour, stroke: Stroke) {
        let point = |k: usize| {
            let angle = std::f64::consts::PI * (k as f64 / corners as f64 - 0.5);
            let radius = if k.is_multiple_of(2) { radius } else { radius * inner };
            [centre[0] + radius * libm::cos(angle), centre[1] + radius * libm::sin(angle)]
        };
        let points = (0..2 * corners).map(point).collect();
        self.path(Path { lines: vec![points], closed: true, fill: Some(fill), stroke: Some(stroke), clip: None });
    }

    /// Paints a disc.
    pub fn disc(&mut self, centre: Point, radius: f64, fill: Colour, stroke: Stroke) {
        self.star(centre, radius, 16, 1.0, fill, stroke);
    }

    /// Writes a text.
    pub fn text(&mut self, text: impl Into<String>, at: Point, align: Align, size: f64, colour: Colour) {
        self.turned_text(text, at, align, size, colour, 0.0);
    }

    /// Writes a text that is turned counterclockwise by `turned` degrees.
    pub fn turned_text(
        &mut self,
        text: impl Into<String>,
        at: Point,
        align: Align,
        size: f64,
        colour: Colour,
        turned: f64,
    ) {
        self.marks.push(Mark::Text(Text { text: text.into(), at, align, size, colour, turned }));
    }

    /// The rectangle that each text fills, for tests that nothing is cut off or written over.
    #[cfg(test)]
    pub fn text_boxes(&self) -> Vec<(&str, Rect)> {
        let texts = self.marks.iter().filter_map(|mark| match mark {
            Mark::Text(text) => Some(text),
            Mark::Path(_) => None,
        });
        texts.map(|text| (text.text.as_str(), text.bounds())).collect()
    }
}

#[cfg(test)]
impl Text {
    /// The smallest rectangle that the text stands in.
    fn bounds(&self) -> Rect {
        let width = super::width(&self.text, self.size);
        let left = match self.align {
            Align::Start => 0.0,
            Align::Middle => -width / 2.0,
            Align::End => -width,
        };
        let (sine, cosine) = libm::sincos(-self.turned.to_radians());
        let corners = [[left, 0.22], [left + width, 0.22], [left, -0.75], [left + width, -0.75]];
        let places = corners.map(|[x, down]| {
            let y = down * self.size;
            [self.at[0] + cosine * x - sine * y, self.at[1] + sine * x + cosine * y]
        });
        let least = |axis: usize| places.iter().map(|place| place[axis]).fold(f64::INFINITY, f64::min);
        let most = |axis: usize| places.iter().map(|place| place[axis]).fold(f64::NEG_INFINITY, f64::max);
        Rect { x: least(0), y: least(1), width: most(0) - least(0), height: most(1) - least(1) }
    }
}
