//! A chart of lines, each named where it ends.

use std::fmt::Write as _;

use super::escaped;
use super::scale::Scale;
use super::style::Style;

pub(crate) struct Chart {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) scale: Scale,
    pub(crate) format: fn(f64) -> String,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) style: Style,
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether each point was measured by itself, and is shown.
    pub(crate) has_dots: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 206.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 54.0;

/// Names stand at least so far apart.
const NAME_HEIGHT: f64 = 17.0;

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        self.grid(&mut svg);
        for line in &self.lines {
            self.line(&mut svg, line);
        }
        self.names(&mut svg);
        svg.push_str("</svg>");
        svg
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.scale.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y.scale.ticks() {
            let y = self.y(tick.value);
            let strong = if tick.is_labelled { " strong" } else { "" };
            let _ = write!(
                svg,
                "<line class=\"grid{strong}\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"
            );
            if tick.is_labelled {
                let label = (self.y.format)(tick.value);
                let _ = write!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                    LEFT - 10.0,
                    y + 4.5
                );
            }
        }
        for tick in self.x.scale.ticks() {
            let x = self.x(tick.value);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>"
            );
            if tick.is_labelled {
                let label = (self.x.format)(tick.value);
                let _ = write!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
                    bottom + 19.0
                );
            }
        }
        let _ = write!(
            svg,
            "<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"axis\" x=\"{LEFT}\" y=\"16\" text-anchor=\"end\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 12.0,
            escaped(self.x.label),
            escaped(self.y.label),
        );
    }

    fn line(&self, svg: &mut String, line: &Line) {
        let points: Vec<_> = line
            .points
            .iter()
            .map(|&(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y)))
            .collect();
        let name = escaped(&line.name);
        let _ = write!(
            svg,
            "<g class=\"{}\"><polyline class=\"line{}\" points=\"{}\"><title>{name}</title></polyline>",
            line.style.class,
            line.style.modifiers(),
            points.join(" "),
        );
        for &(x, y) in line.points.iter().filter(|_| line.has_dots) {
            let _ = write!(
                svg,
                "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"><title>{name}: {} at {}</title></circle>",
                self.x(x),
                self.y(y),
                (self.y.format)(y),
                (self.x.format)(x),
            );
        }
        svg.push_str("</g>");
    }

    /// Each name beside the end of its line, moved as little as keeps them apart.
    fn names(&self, svg: &mut String) {
        let mut ends: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| {
                let &(x, y) = line.points.last()?;
                Some((line, self.x(x), self.y(y)))
            })
            .collect();
        ends.sort_by(|a, b| a.2.total_cmp(&b.2));
        let wanted: Vec<_> = ends.iter().map(|end| end.2).collect();
        let places = apart(&wanted, TOP, HEIGHT - BOTTOM + 10.0);
        let at = WIDTH - RIGHT + 26.0;
        for ((line, x, y), place) in ends.into_iter().zip(places) {
            let _ = write!(
                svg,
                "<g class=\"{}\"><path class=\"lead-line\" d=\"M{:.1} {y:.1} L{:.1} {place:.1} H{:.1}\"/>\
                 <text class=\"label\" x=\"{at:.1}\" y=\"{:.1}\">{}</text></g>",
                line.style.class,
                x + 5.0,
                at - 10.0,
                at - 4.0,
                place + 4.5,
                escaped(&line.name),
            );
        }
    }
}

/// Moves sorted places so that none is nearer to the next than a name is high, and all are within the limits.
fn apart(wanted: &[f64], low: f64, high: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::new();
    for &place in wanted {
        let after = places.last().map_or(low, |last| last + NAME_HEIGHT);
        places.push(place.max(after));
    }
    // What was pushed over the end pushes back.
    let mut limit = high;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - NAME_HEIGHT;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_lie_on_each_other() {
        let places = apart(&[100.0, 101.0, 102.0, 390.0], 0.0, 400.0);
        for pair in places.windows(2) {
            assert!(pair[1] - pair[0] >= NAME_HEIGHT - 1e-9, "{places:?}");
        }
        let pushed = apart(&[395.0, 399.0], 0.0, 400.0);
        assert_eq!(pushed, [400.0 - NAME_HEIGHT, 400.0]);
    }
}
