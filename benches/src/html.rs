//! A page with plots that needs nothing beside itself: SVG and CSS, no script, no network.

mod bars;
mod cards;
mod chart;
mod figures;
mod scale;
mod style;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::machine::Machine;
use crate::row::Measured;
use crate::table::Section;
use crate::targets::{self, Reached};

/// Everything that the page shows.
pub(crate) struct Page<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) rows: Vec<Measured>,
    pub(crate) sections: Vec<Section>,
    pub(crate) reached: Vec<Reached>,
}

impl Page<'_> {
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.text()).with_context(|| format!("cannot write {}", file.display()))
    }

    fn text(&self) -> String {
        let mut body = String::new();
        self.header(&mut body);
        body.push_str("<div class=\"plots\">\n");
        for figure in figures::of(&self.rows) {
            let _ = writeln!(
                body,
                "<figure><h2>{}</h2><p>{}</p>{}</figure>",
                escaped(figure.title),
                escaped(figure.how_to_read),
                figure.plot.unwrap_or_default(),
            );
        }
        body.push_str("</div>\n");
        self.targets(&mut body);
        self.tables(&mut body);
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>pyproc: what a call costs</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
             </body>\n</html>\n",
            include_str!("html/page.css"),
        )
    }

    fn header(&self, body: &mut String) {
        let _ = writeln!(
            body,
            "<header><h1>What a call costs</h1><p class=\"lead\">pyproc beside the floors under it and the peers next \
             to it, measured in one run, in interleaved rounds, every reply verified.</p><p class=\"machine\">{}</p>",
            escaped(&self.machine.to_string()),
        );
        let cards = cards::key_numbers(&self.rows);
        if !cards.is_empty() {
            body.push_str("<div class=\"cards\">");
            for card in cards {
                let _ = write!(
                    body,
                    "<div class=\"card\"><div class=\"value\">{}</div><div class=\"what\">{}</div>\
                     <div class=\"beside\">{}</div></div>",
                    escaped(&card.value),
                    escaped(&card.what),
                    escaped(&card.beside),
                );
            }
            body.push_str("</div>");
        }
        body.push_str("</header>\n");
    }

    fn targets(&self, body: &mut String) {
        if self.reached.is_empty() {
            return;
        }
        let _ = write!(
            body,
            "<section><h2>Targets</h2><p>{}</p><div class=\"scroll\"><table><thead><tr><th>what</th>\
             <th class=\"n\">target</th><th class=\"n\">reached</th><th class=\"n\">spread</th><th>holds</th></tr>\
             </thead><tbody>",
            escaped(targets::ABOUT),
        );
        for one in &self.reached {
            let (class, word) = if one.holds {
                ("yes", "yes")
            } else {
                ("no", "no")
            };
            let _ = write!(
                body,
                "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"{class}\">{word}</td></tr>",
                escaped(one.name),
                escaped(&one.limit),
                escaped(&one.median),
                escaped(&one.spread),
            );
        }
        body.push_str("</tbody></table></div></section>\n");
    }

    fn tables(&self, body: &mut String) {
        body.push_str("<section><h2>All rows</h2><p>Every number behind the plots.</p>");
        for section in &self.sections {
            let _ = write!(
                body,
                "<details><summary>{}</summary><p>{}</p><div class=\"scroll\"><table><thead><tr>",
                escaped(&section.name),
                escaped(section.about),
            );
            let class = |column: usize| match section.heads[column].is_number {
                true => " class=\"n\"",
                false => "",
            };
            for (column, head) in section.heads.iter().enumerate() {
                let _ = write!(body, "<th{}>{}</th>", class(column), escaped(head.text));
            }
            body.push_str("</tr></thead><tbody>");
            for row in &section.rows {
                body.push_str("<tr>");
                for (column, cell) in row.iter().enumerate() {
                    let _ = write!(body, "<td{}>{}</td>", class(column), escaped(cell));
                }
                body.push_str("</tr>");
            }
            body.push_str("</tbody></table></div></details>\n");
        }
        body.push_str("</section>\n");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Round;
    use crate::row::Row;
    use crate::scenario::Scenario;
    use crate::spec::{Codec, Placement, Spec, Spin, Subject, Worker};
    use crate::table;

    #[test]
    fn the_page_stands_alone() {
        let pool = Spec::pool(Codec::MsgPack, Worker::Pure, Spin::Auto, Placement::Across);
        let floor = Spec::plain(Subject::FloorPythonEcho, Some(Placement::Across));
        let rows = [pool, floor].map(|spec| {
            let row = Row::closed(Scenario::Sequential, spec, 1);
            let mut measured = Measured::new(row).unwrap();
            measured.add(&Round {
                calls: 3,
                elapsed_ns: 60_000,
                host_cpu_ns: Some(9_000),
                worker_cpu_ns: Some(9_000),
                latencies: vec![(20_000, 2), (40_000, 1)],
            });
            measured
        });
        let machine = Machine::look().unwrap();
        let runs = [rows.into_iter().collect::<Vec<_>>()];
        let sections = table::sections(&runs);
        let [rows] = runs;
        let page = Page {
            machine: &machine,
            rows,
            sections,
            reached: Vec::new(),
        };
        let text = page.text();
        assert!(text.contains("<svg"), "{text}");
        for outside in ["http://", "https://", "<script", "<link", "@import", "url("] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
}
