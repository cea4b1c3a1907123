//! Horizontal bars, of one part or of two.

use std::fmt::Write as _;

use super::escaped;

pub(crate) struct Bars {
    pub(crate) format: fn(f64) -> String,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    /// What belongs to the host, and what belongs to the workers.
    pub(crate) parts: [f64; 2],
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 214.0;
const RIGHT: f64 = 150.0;
const STEP: f64 = 40.0;
const THICKNESS: f64 = 24.0;

impl Bars {
    /// The drawing, if there is anything to draw.
    pub(crate) fn svg(&self) -> Option<String> {
        if self.bars.is_empty() {
            return None;
        }
        let height = STEP * self.bars.len() as f64 + 14.0;
        let longest = self.bars.iter().map(Bar::length).fold(0.0, f64::max);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">");
        for (number, bar) in self.bars.iter().enumerate() {
            let top = STEP * number as f64 + 8.0;
            let width = |value: f64| (value / longest * (WIDTH - LEFT - RIGHT)).max(0.0);
            let [near, far] = bar.parts;
            let middle = top + THICKNESS / 2.0 + 4.5;
            let _ = write!(
                svg,
                "<g class=\"{}\"><text class=\"name\" x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"bar\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{THICKNESS}\" rx=\"3\"/>",
                bar.class,
                LEFT - 12.0,
                escaped(&bar.name),
                width(near).max(1.5),
            );
            if far > 0.0 {
                let _ = write!(
                    svg,
                    "<rect class=\"bar far\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{THICKNESS}\" rx=\"3\"/>",
                    LEFT + width(near) + 1.0,
                    width(far).max(1.5),
                );
            }
            let _ = write!(
                svg,
                "<text class=\"number\" x=\"{:.1}\" y=\"{middle:.1}\">{}</text></g>",
                LEFT + width(near) + width(far) + 12.0,
                (self.format)(bar.length()),
            );
        }
        svg.push_str("</svg>");
        Some(svg)
    }
}

impl Bar {
    fn length(&self) -> f64 {
        self.parts.iter().sum()
    }
}
