//! A scene as SVG 1.1. Texts stay texts, and a title and a description serve readers that can't see
//! the picture.

use std::fmt::Write;

use super::{
    colour::Colour,
    scene::{Align, Mark, Path, Rect, Scene, Text},
};

impl Scene {
    /// The scene as an SVG document.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        let (width, height) = (short(self.width), short(self.height));
        let clips = self.clips();
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"title description\" font-family=\"Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\" fill-rule=\"evenodd\">\n\
             <title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>",
            escaped(&self.title),
            escaped(&self.description)
        );
        for (number, Rect { x, y, width, height }) in clips.iter().enumerate() {
            let (x, y, width, height) = (short(*x), short(*y), short(*width), short(*height));
            let _ = writeln!(
                out,
                "<clipPath id=\"clip{number}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/></clipPath>"
            );
        }
        let _ = writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>");
        for mark in &self.marks {
            match mark {
                Mark::Path(path) => write_path(&mut out, path, &clips),
                Mark::Text(text) => write_text(&mut out, text),
            }
        }
        out.push_str("</svg>\n");
        out
    }

    fn clips(&self) -> Vec<Rect> {
        let mut clips = Vec::new();
        for mark in &self.marks {
            if let Mark::Path(Path { clip: Some(clip), .. }) = mark
                && !clips.contains(clip)
            {
                clips.push(*clip);
            }
        }
        clips
    }
}

fn write_path(out: &mut String, path: &Path, clips: &[Rect]) {
    out.push_str("<path d=\"");
    for line in &path.lines {
        for (at, [x, y]) in line.iter().enumerate() {
            let _ = write!(out, "{}{} {}", if at == 0 { "M" } else { "L" }, short(*x), short(*y));
        }
        if path.closed {
            out.push('Z');
        }
    }
    let _ = write!(out, "\" fill=\"{}\"", path.fill.map_or_else(|| "none".to_owned(), hex));
    if let Some(stroke) = path.stroke {
        let _ = write!(out, " stroke=\"{}\" stroke-width=\"{}\"", hex(stroke.colour), stroke.width);
        if stroke.opacity < 1.0 {
            let _ = write!(out, " stroke-opacity=\"{}\"", stroke.opacity);
        }
    }
    if let Some(number) = path.clip.and_then(|clip| clips.iter().position(|other| *other == clip)) {
        let _ = write!(out, " clip-path=\"url(#clip{number})\"");
    }
    out.push_str("/>\n");
}

fn write_text(out: &mut String, text: &Text) {
    let (x, y) = (short(text.at[0]), short(text.at[1]));
    let anchor = match text.align {
        Align::Start => "",
        Align::Middle => " text-anchor=\"middle\"",
        Align::End => " text-anchor=\"end\"",
    };
    let turned =
        if text.turned == 0.0 { String::new() } else { format!(" transform=\"rotate({} {x} {y})\"", -text.turned) };
    let (size, colour, words) = (short(text.size), hex(text.colour), escaped(&text.text));
    let _ = writeln!(
        out,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{anchor}{turned}>{words}</text>"
    );
}

/// A number of pixels with at most one decimal.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn hex(Colour(red, green, blue): Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Text between tags. Characters that XML can't hold are left out.
fn escaped(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let mut out = String::with_capacity(text.len());
    for character in text.chars().filter(allowed) {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{BLACK, Stroke};

    #[test]
    fn marks_are_written_in_order_and_texts_are_escaped() {
        let mut scene = Scene::new(100.0, 50.5, "a < b", "a & b");
        let clip = Rect { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
        let stroke = Some(Stroke { colour: BLACK, width: 1.5, opacity: 0.5 });
        scene.path(Path { lines: vec![vec![[0.0, 0.04], [1.26, -0.01]]], stroke, clip: Some(clip), ..Path::default() });
        scene.turned_text("<x>\u{1}", [3.0, 4.0], Align::End, 12.0, BLACK, 90.0);
        let svg = scene.svg();
        let expected = [
            "viewBox=\"0 0 100 50.5\"",
            "<title id=\"title\">a &lt; b</title>",
            "<desc id=\"description\">a &amp; b</desc>",
            "<clipPath id=\"clip0\"><rect x=\"0\" y=\"0\" width=\"10\" height=\"10\"/></clipPath>",
            "<path d=\"M0 0L1.3 0\" fill=\"none\" stroke=\"#222222\" stroke-width=\"1.5\" stroke-opacity=\"0.5\" clip-path=\"url(#clip0)\"/>",
            "<text x=\"3\" y=\"4\" font-size=\"12\" fill=\"#222222\" text-anchor=\"end\" transform=\"rotate(-90 3 4)\">&lt;x&gt;</text>",
            "</svg>",
        ];
        let mut from = 0;
        for part in expected {
            from += svg[from..].find(part).unwrap_or_else(|| panic!("no {part} after {from} in {svg}")) + part.len();
        }
    }
}
