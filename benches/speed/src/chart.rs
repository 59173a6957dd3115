//! A curve as a picture: one SVG, drawn without any font of this machine.

use std::ops::Range;
use std::path::Path;

use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, EmptyElement, Text};
use plotters::series::{LineSeries, PointSeries};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, IntoFont, IntoTextStyle, RGBColor, WHITE};

use crate::SpeedError;
use crate::spread::grouped;

const SIZE: (u32, u32) = (760, 420);
const LINE: RGBColor = RGBColor(0, 92, 175);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// How the axis across is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps add.
    Linear,
    /// Equal steps multiply; 0 has no place on it.
    Logarithmic,
}

impl Scale {
    fn position(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.log10(),
        }
    }
}

/// The axis across: a tick at every measurement and nowhere else.
struct Across {
    scale: Scale,
    /// The positions of its ends.
    ends: Range<f64>,
    ticks: Vec<f64>,
}

impl Across {
    /// The axis for these values, with some room beside them; none for no value.
    fn of(scale: Scale, ticks: Vec<f64>) -> Option<Self> {
        let (first, last) = (scale.position(*ticks.first()?), scale.position(*ticks.last()?));
        let margin = ((last - first) * 0.06).max(0.1);
        Some(Self { scale, ends: first - margin..last + margin, ticks })
    }
}

impl Ranged for Across {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (self.scale.position(*value) - self.ends.start) / (self.ends.end - self.ends.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        let ends = [self.ticks.first(), self.ticks.last()].map(|end| end.copied().unwrap_or_default());
        ends[0]..ends[1]
    }
}

/// What a picture shows.
#[derive(Debug)]
pub struct Chart<'a> {
    /// What is said above it.
    pub title: &'a str,
    /// What is varied, with its unit.
    pub across: &'a str,
    /// How that is divided.
    pub scale: Scale,
    /// What is measured, with its unit.
    pub up: &'a str,
    /// The measurements: where, and how much.
    pub points: &'a [(u64, f64)],
}

impl Chart<'_> {
    /// Draws it into a file.
    ///
    /// # Errors
    /// If the file cannot be written, or there is nothing to show.
    pub fn draw(&self, file: &Path) -> Result<(), SpeedError> {
        self.plot(file).map_err(|error| SpeedError::Picture(error.to_string()))
    }

    fn plot(&self, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let points: Vec<(f64, f64)> = self.points.iter().map(|(across, up)| (*across as f64, *up)).collect();
        let ticks = points.iter().map(|(across, _)| *across).collect();
        let across = Across::of(self.scale, ticks).ok_or("nothing was measured")?;
        let highest = points.iter().map(|(_, up)| *up).fold(0.0, f64::max) * 1.15;
        let area = SVGBackend::new(file, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20).into_font().color(&BLACK))
            .margin(14)
            .x_label_area_size(48)
            .y_label_area_size(82)
            .build_cartesian_2d(across, 0.0..highest.max(1.0))?;
        let label = ("sans-serif", 14).into_font().color(&BLACK);
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .label_style(label.clone())
            .axis_desc_style(("sans-serif", 15).into_font().color(&BLACK))
            .x_desc(self.across)
            .y_desc(self.up)
            .x_label_formatter(&|across| grouped(*across, 0))
            .y_label_formatter(&|up| grouped(*up, 0))
            .draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(2)))?;
        let above = label.into_text_style(&area).pos(Pos::new(HPos::Center, VPos::Bottom));
        chart.draw_series(PointSeries::of_element(points, 4, LINE.filled(), &|point, size, style| {
            EmptyElement::at(point)
                + Circle::new((0, 0), size, style)
                + Text::new(grouped(point.1, 0), (0, -10), above.clone())
        }))?;
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_picture_names_its_axes_and_every_point() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("curve.svg");
        let points = [(1, 9_000.0), (4096, 61_234.0)];
        let (title, across, up) = ("Checkouts", "connections", "checkouts a second");
        Chart { title, across, scale: Scale::Logarithmic, up, points: &points }.draw(&file).unwrap();
        let svg = std::fs::read_to_string(file).unwrap();
        for text in [title, across, up, "4,096", "9,000", "61,234"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
    }

    #[test]
    fn nothing_is_not_drawn() {
        let chart = Chart { title: "", across: "", scale: Scale::Linear, up: "", points: &[] };
        assert!(chart.draw(Path::new("/nonexistent/curve.svg")).is_err());
    }
}
