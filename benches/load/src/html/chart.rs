//! One chart as SVG: axes, lines and areas with their names beside them, events as vertical marks.
//!
//! A chart is drawn once for each width of the page that it can be read at, because the letters of an SVG shrink with
//! it; the style sheet shows the one that fits.

use std::fmt::{self, Write};

use super::escape::Text;
use super::scale::Scale;

/// Height of a line of small text, and the least distance of two names, in pixels.
const LINE: f64 = 15.0;
/// Width of the usual letter of small text and of a capital one, on the safe side; the browser chooses the font.
const LETTER: f64 = 7.0;
const CAPITAL: f64 = 8.8;
/// Room for the words of a mark: half of a phone's width.
const LONGEST_MARK: f64 = 150.0;

/// What a chart shows.
pub(super) struct Chart {
    /// What a screen reader says before the figures.
    pub(super) title: String,
    /// The figures in a sentence, for those who do not see the picture.
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Moments to mark, on the x axis.
    pub(super) marks: Vec<(f64, String)>,
    /// When nobody could reach the server: from here to there on the x axis, and what is said of it.
    pub(super) outages: Vec<(f64, f64, String)>,
    /// What does not count: from the low end of the x axis to here.
    pub(super) warm_up: f64,
    /// What a pointer reads off: from here to there on the x axis.
    pub(super) hints: Vec<(f64, f64, String)>,
}

/// One axis. Ticks are for as many labels as there is room.
pub(super) struct Axis {
    pub(super) scale: Scale,
    pub(super) ticks: fn(Scale, f64) -> Vec<(f64, String)>,
}

/// One line or area.
pub(super) struct Series {
    /// Its name beside it; empty if the chart has but one.
    pub(super) name: String,
    /// The class of the style sheet that colours it.
    pub(super) class: &'static str,
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    /// Figures at places; a missing one leaves a gap.
    Line(Vec<(f64, Option<f64>)>),
    /// From a lower figure to an upper one at each place.
    Area(Vec<(f64, f64, f64)>),
}

/// How much of the page's width a chart takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Full,
    Half,
}

/// The size of a drawing in pixels, and the class that shows it where it fits.
#[derive(Clone, Copy)]
pub(super) struct Size {
    class: &'static str,
    width: f64,
    height: f64,
}

impl Width {
    /// The class of the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Half => "half",
        }
    }

    /// What the chart is drawn as: for a wide page, a small one, a phone.
    pub(super) fn sizes(self) -> &'static [Size] {
        const PHONE: Size = Size { class: "narrow", width: 344.0, height: 240.0 };
        match self {
            Self::Full => &[
                Size { class: "wide", width: 1064.0, height: 290.0 },
                Size { class: "middle", width: 740.0, height: 270.0 },
                PHONE,
            ],
            // Half of a small page is as wide as a phone.
            Self::Half => &[
                Size { class: "wide", width: 512.0, height: 250.0 },
                Size { class: "middle narrow", ..PHONE },
            ],
        }
    }
}

/// The part of a drawing that figures lie in.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Chart {
    /// The chart in one size.
    pub(super) fn draw(&self, out: &mut String, size: Size) -> fmt::Result {
        let rows = self.mark_rows(size);
        let frame = self.frame(size, rows.iter().flatten().max().map_or(0, |row| row + 1));
        let (width, height) = (size.width, size.height);
        write!(out, r#"<svg class="{}" viewBox="0 0 {width} {height}" role="img">"#, size.class)?;
        write!(out, "<title>{}</title><desc>{}</desc>", Text(&self.title), Text(&self.description))?;
        self.draw_warm_up(out, &frame)?;
        self.draw_outages(out, &frame)?;
        self.draw_axes(out, &frame)?;
        for series in &self.series {
            self.draw_series(out, &frame, series)?;
        }
        self.draw_marks(out, &frame, &rows)?;
        self.draw_names(out, &frame, size)?;
        for (from, to, hint) in &self.hints {
            let (x, end) = (self.x_at(&frame, *from), self.x_at(&frame, *to));
            let (y, w, h) = (frame.top, end - x, frame.bottom - frame.top);
            write!(
                out,
                r#"<rect class="hint" x="{x:.1}" y="{y}" width="{w:.1}" height="{h}"><title>{}</title></rect>"#,
                Text(hint)
            )?;
        }
        out.write_str("</svg>")
    }

    fn frame(&self, size: Size, mark_rows: usize) -> Frame {
        let names = self.series.iter().map(|series| width(&series.name)).fold(0.0, f64::max);
        let room = if names == 0.0 { 22.0 } else { (names + 24.0).min(size.width * 0.34) };
        let labels = (self.y.ticks)(self.y.scale, 4.0).into_iter().map(|(_, label)| width(&label));
        Frame {
            left: labels.fold(0.0, f64::max) + 10.0,
            right: size.width - room,
            top: 10.0 + mark_rows as f64 * LINE,
            bottom: size.height - 26.0,
        }
    }

    fn x_at(&self, frame: &Frame, figure: f64) -> f64 {
        frame.left + self.x.scale.place(figure) * (frame.right - frame.left)
    }

    fn y_at(&self, frame: &Frame, figure: f64) -> f64 {
        frame.bottom - self.y.scale.place(figure) * (frame.bottom - frame.top)
    }

    fn draw_warm_up(&self, out: &mut String, frame: &Frame) -> fmt::Result {
        let (x, y, end) = (frame.left, frame.top, self.x_at(frame, self.warm_up));
        if end - x < 1.0 {
            return Ok(());
        }
        let (width, height) = (end - x, frame.bottom - y);
        write!(
            out,
            r#"<rect class="warm" x="{x}" y="{y}" width="{width:.1}" height="{height}"><title>warm-up, not counted</title></rect>"#
        )
    }

    fn draw_outages(&self, out: &mut String, frame: &Frame) -> fmt::Result {
        for (from, to, text) in &self.outages {
            let (x, y, end) = (self.x_at(frame, *from), frame.top, self.x_at(frame, *to));
            let (width, height) = ((end - x).max(1.0), frame.bottom - y);
            write!(
                out,
                r#"<rect class="out" x="{x:.1}" y="{y}" width="{width:.1}" height="{height}"><title>{}</title></rect>"#,
                Text(text)
            )?;
        }
        Ok(())
    }

    fn draw_axes(&self, out: &mut String, frame: &Frame) -> fmt::Result {
        for (figure, label) in (self.y.ticks)(self.y.scale, (frame.bottom - frame.top) / 40.0) {
            let (y, left, right) = (self.y_at(frame, figure), frame.left, frame.right);
            write!(out, r#"<path class="grid" d="M{left} {y:.1}H{right}"/>"#)?;
            write!(out, r#"<text class="end" x="{}" y="{:.1}">{}</text>"#, left - 7.0, y + 4.0, Text(label))?;
        }
        for (figure, label) in (self.x.ticks)(self.x.scale, (frame.right - frame.left) / 74.0) {
            let (x, bottom) = (self.x_at(frame, figure), frame.bottom);
            write!(out, r#"<path class="tick" d="M{x:.1} {bottom}v5"/>"#)?;
            write!(out, r#"<text class="mid" x="{x:.1}" y="{}">{}</text>"#, bottom + 19.0, Text(label))?;
        }
        write!(out, r#"<path class="axis" d="M{} {}H{}"/>"#, frame.left, frame.bottom, frame.right)
    }

    fn draw_series(&self, out: &mut String, frame: &Frame, series: &Series) -> fmt::Result {
        let path = match &series.shape {
            Shape::Line(points) => {
                write!(out, r#"<path class="line {}" d=""#, series.class)?;
                self.line(out, frame, points)
            }
            Shape::Area(points) => {
                write!(out, r#"<path class="area {}" d=""#, series.class)?;
                self.area(out, frame, points)
            }
        };
        path?;
        out.write_str(r#""/>"#)
    }

    fn line(&self, out: &mut String, frame: &Frame, points: &[(f64, Option<f64>)]) -> fmt::Result {
        for (index, &(x, y)) in points.iter().enumerate() {
            let Some(y) = y else { continue };
            let joined = index > 0 && points[index - 1].1.is_some();
            let (place_x, place_y) = (self.x_at(frame, x), self.y_at(frame, y));
            write!(out, "{}{place_x:.1} {place_y:.1}", if joined { 'L' } else { 'M' })?;
            let alone = !joined && points.get(index + 1).is_none_or(|next| next.1.is_none());
            if alone {
                // A round end makes a line of no length a dot.
                out.write_str("h0")?;
            }
        }
        Ok(())
    }

    fn area(&self, out: &mut String, frame: &Frame, points: &[(f64, f64, f64)]) -> fmt::Result {
        let upper = points.iter().map(|&(x, _, high)| (x, high));
        let lower = points.iter().rev().map(|&(x, low, _)| (x, low));
        for (index, (x, y)) in upper.chain(lower).enumerate() {
            let (x, y) = (self.x_at(frame, x), self.y_at(frame, y));
            write!(out, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })?;
        }
        out.write_str(if points.is_empty() { "" } else { "Z" })
    }

    /// The row above the plot that the words of each mark stand in; `None` where there is no room for them.
    fn mark_rows(&self, size: Size) -> Vec<Option<usize>> {
        let mut ends = [f64::NEG_INFINITY; 3];
        // The rows decide the top of the frame alone, so that its width is known before them.
        let frame = self.frame(size, 0);
        let place = |(at, text): &(f64, String)| {
            let (start, end) = word_span(&frame, self.x_at(&frame, *at), &shortened(text, LONGEST_MARK));
            let row = ends.iter().position(|taken| *taken + LETTER < start)?;
            ends[row] = end;
            Some(row)
        };
        self.marks.iter().map(place).collect()
    }

    fn draw_marks(&self, out: &mut String, frame: &Frame, rows: &[Option<usize>]) -> fmt::Result {
        for ((at, text), row) in self.marks.iter().zip(rows) {
            let x = self.x_at(frame, *at);
            let top = row.map_or(frame.top, |row| 6.0 + row as f64 * LINE);
            write!(
                out,
                r#"<path class="mark" d="M{x:.1} {top}V{}"><title>{}</title></path>"#,
                frame.bottom,
                Text(text)
            )?;
            if row.is_some() {
                let text = shortened(text, LONGEST_MARK);
                let (start, end) = word_span(frame, x, &text);
                let (class, place) = if start < x { ("mark end", end) } else { ("mark", start) };
                write!(
                    out,
                    r#"<text class="{class}" x="{place:.1}" y="{}">{}</text>"#,
                    top + 7.0,
                    Text(text)
                )?;
            }
        }
        Ok(())
    }

    /// The name of each line at its end, moved apart where they would lie on each other.
    fn draw_names(&self, out: &mut String, frame: &Frame, size: Size) -> fmt::Result {
        let named: Vec<&Series> = self.series.iter().filter(|series| !series.name.is_empty()).collect();
        let wanted: Vec<f64> = named.iter().map(|series| self.y_at(frame, series.last())).collect();
        let room = size.width - frame.right - 22.0;
        for (series, y) in named.iter().zip(apart(&wanted, frame)) {
            let x = frame.right + 7.0;
            write!(out, r#"<path class="key {}" d="M{x} {y:.1}h9"/>"#, series.class)?;
            write!(
                out,
                r#"<text x="{}" y="{:.1}">{}</text>"#,
                x + 13.0,
                y + 4.0,
                Text(shortened(&series.name, room))
            )?;
        }
        Ok(())
    }
}

impl Series {
    /// The figure that its name stands beside.
    fn last(&self) -> f64 {
        match &self.shape {
            Shape::Line(points) => points.iter().rev().find_map(|point| point.1).unwrap_or(0.0),
            Shape::Area(points) => points.last().map_or(0.0, |&(_, low, high)| f64::midpoint(low, high)),
        }
    }
}

/// Where the words of a mark at `x` begin and end: after it, or before it where the frame ends.
fn word_span(frame: &Frame, x: f64, text: &str) -> (f64, f64) {
    // Marks are bold.
    let width = width(text) * 1.06;
    if x + 4.0 + width > frame.right { (x - 4.0 - width, x - 4.0) } else { (x + 4.0, x + 4.0 + width) }
}

/// Places as near to `wanted` as they can be while each keeps a line's distance from the next, in the same order.
fn apart(wanted: &[f64], frame: &Frame) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    // Equal places keep the order of the series from the bottom up.
    order.sort_by(|&a, &b| wanted[b].total_cmp(&wanted[a]).then(a.cmp(&b)));
    let mut places = wanted.to_vec();
    let mut limit = frame.bottom - 2.0;
    for &index in &order {
        places[index] = places[index].min(limit);
        limit = places[index] - LINE;
    }
    let mut limit = frame.top + 2.0;
    for &index in order.iter().rev() {
        places[index] = places[index].max(limit);
        limit = places[index] + LINE;
    }
    places
}

/// About how wide small text is drawn.
fn width(text: &str) -> f64 {
    text.chars()
        .map(|letter| if letter.is_uppercase() || "mwMW%—".contains(letter) { CAPITAL } else { LETTER })
        .sum()
}

/// As much of a name as there is room for.
fn shortened(name: &str, room: f64) -> String {
    if width(name) <= room {
        return name.to_owned();
    }
    let mut short = String::new();
    for letter in name.chars() {
        if width(&short) + 2.0 * LETTER > room {
            break;
        }
        short.push(letter);
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame { left: 0.0, right: 100.0, top: 0.0, bottom: 100.0 };

    #[test]
    fn names_do_not_lie_on_each_other() {
        for wanted in [&[50.0, 50.0, 50.0][..], &[99.0, 99.0, 1.0, 2.0], &[10.0], &[]] {
            let mut places = apart(wanted, &FRAME);
            places.sort_by(f64::total_cmp);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LINE - 1e-9), "{places:?}");
        }
        assert_eq!(
            apart(&[98.0, 98.0], &FRAME),
            [98.0, 83.0],
            "the first is the lowest, as areas are stacked"
        );
        assert_eq!(apart(&[20.0, 80.0], &FRAME), [20.0, 80.0], "who has room stays");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("STORM-LAMP", 100.0), "STORM-LAMP");
        assert_eq!(shortened("STÖRM-LAMP", 50.0), "STÖRM…");
    }
}
