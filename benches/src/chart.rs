//! The ratios as a chart: a panel for each row of the table, with a bar for each server, the
//! cheapest first. The length of a bar is the server's CPU time per request divided by that of the
//! bare server, which parses almost nothing and sends the same bytes (`--servers` calls it
//! `limit`). The chart has its own background, so that it is readable on light and dark pages.

use std::fmt::Write as _;

use crate::{
    compare::{Report, RowResult},
    kind::Kind,
    rows::{Row, SMALL, Shape},
    stats::Estimate,
    table::{self, ratio},
};

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 24.0;
const COLUMNS: usize = 2;
/// The gap between columns.
const GUTTER: f64 = 28.0;
const COLUMN: f64 = (WIDTH - 2.0 * MARGIN - GUTTER) / COLUMNS as f64;
/// Where bars begin in a column, to the right of the names, and the length of the longest bar.
const LEFT: f64 = 112.0;
const LONGEST: f64 = COLUMN - LEFT - 44.0;
/// The distance from the top of one bar to the top of the next, and the height of a bar.
const STEP: f64 = 16.0;
const BAR: f64 = 11.0;
/// The width of the number after a bar.
const FIGURE: f64 = 36.0;
/// The heights of a panel's title and of the space below a panel.
const TITLE: f64 = 20.0;
const GAP: f64 = 16.0;
/// The height of a group's heading.
const HEADING: f64 = 34.0;
/// The height of the chart's title and subtitle, below which the groups begin.
const TOP: f64 = 84.0;
/// The height of a line of the footnote, and the maximum number of its characters.
const LINE: f64 = 15.0;
const LINE_CHARS: usize = 140;
/// Bars of larger ratios are cut off here, with their value beside them. Otherwise one slow server
/// would make all other bars too short to compare.
const MAX_RATIO: f64 = 3.0;

/// Classes: `paper` is the background, `t` text, `m` muted text, `b` a bar, `o` Sockeye's bar, `w`
/// a whisker, `l` the line at 1, `g` the grid, `c` the cut through a bar, `h` the line below a
/// heading.
const STYLE: &str = "\
.paper{fill:#fff;stroke:#d1d9e0}.t{fill:#1f2328}.m{fill:#59636e}.b{fill:#b6bfc9}.o{fill:#c9304a}\
.w{stroke:#1f2328;fill:none}.l{stroke:#1f2328;stroke-dasharray:2 2;opacity:.6}.g{stroke:#e4e8ec}\
.c{stroke:#fff;stroke-width:2.5}.h{stroke:#d1d9e0}\
@media(prefers-color-scheme:dark){.paper{fill:#0d1117;stroke:#3d444d}.t{fill:#f0f6fc}\
.m{fill:#9198a1}.b{fill:#4c5560}.o{fill:#e8596f}.w{stroke:#f0f6fc}.l{stroke:#f0f6fc}\
.g{stroke:#21262d}.c{stroke:#0d1117}.h{stroke:#3d444d}}";

/// The groups of panels, in their order.
const GROUPS: [&str; 5] = ["Small responses", "Files", "Echo and messages", "HTTP/2", "WebSocket"];

fn group(row: &Row) -> &'static str {
    match row.load {
        load if load.is_http2() => GROUPS[3],
        load if load.is_websocket() => GROUPS[4],
        Shape::Echo | Shape::Message { .. } => GROUPS[2],
        Shape::Mix => GROUPS[0],
        load if load.file() == Some(SMALL) => GROUPS[0],
        _ => GROUPS[1],
    }
}

/// A row of the table, with what each server costs.
struct Panel<'a> {
    row: &'a Row,
    bars: Vec<(Kind, Estimate)>,
}

impl<'a> Panel<'a> {
    fn of(report: &Report, measured: &'a RowResult) -> Option<Self> {
        let kinds = report.kinds.iter().filter(|kind| **kind != Kind::Limit);
        let bars = kinds.filter_map(|kind| Some((*kind, ratio(measured, *kind)?)));
        let mut bars: Vec<_> = bars.collect();
        bars.sort_by(|(_, one), (_, other)| one.median.total_cmp(&other.median));
        (!bars.is_empty()).then_some(Self { row: measured.row, bars })
    }

    fn height(&self) -> f64 {
        TITLE + self.bars.len() as f64 * STEP + GAP
    }
}

/// Draws the chart.
pub(crate) fn chart(report: &Report) -> String {
    let panels: Vec<Panel<'_>> =
        report.rows.iter().filter_map(|row| Panel::of(report, row)).collect();
    let mut body = String::new();
    let mut y = TOP;
    for name in GROUPS {
        let group: Vec<_> = panels.iter().filter(|panel| group(panel.row) == name).collect();
        if !group.is_empty() {
            heading(&mut body, y, name);
            y = columns(&mut body, y + HEADING, &group);
        }
    }
    for line in footnote(report) {
        text(&mut body, (MARGIN, y + LINE), "m", &line);
        y += LINE;
    }
    let height = y + MARGIN;
    let head = "Server CPU time per request, relative to a bare server";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif\" \
         font-size=\"11.5\">\n<title>{head}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        WIDTH - 1.0,
        height - 1.0,
    );
    text(&mut svg, (MARGIN, 34.0), "t\" font-size=\"17\" font-weight=\"600", head);
    let subtitle = "The bare one parses almost nothing and sends the same bytes: 1, the dashed line. Shorter is \
                better. Bars beyond 3 are cut off.";
    text(&mut svg, (MARGIN, 54.0), "m", subtitle);
    svg + &body + "</svg>\n"
}

fn heading(svg: &mut String, y: f64, name: &str) {
    text(svg, (MARGIN, y + 10.0), "t\" font-size=\"14\" font-weight=\"600", name);
    line(svg, "h", (MARGIN, y + 17.0), (WIDTH - MARGIN, y + 17.0));
}

/// Draws panels below `top`, each in the column that is shorter so far. Returns where they end.
fn columns(svg: &mut String, top: f64, panels: &[&Panel<'_>]) -> f64 {
    let mut ends = [top; COLUMNS];
    for panel in panels {
        let column = (1..COLUMNS).fold(0, |best, at| if ends[at] < ends[best] { at } else { best });
        let x = MARGIN + column as f64 * (COLUMN + GUTTER);
        draw(svg, x, ends[column], panel);
        ends[column] += panel.height();
    }
    ends.into_iter().fold(top, f64::max)
}

/// Draws a panel: its title, the grid, the bars, and the dashed line at 1.
fn draw(svg: &mut String, x: f64, y: f64, panel: &Panel<'_>) {
    text(svg, (x, y + 11.0), "t\" font-weight=\"600", panel.row.title);
    let (zero, top) = (x + LEFT, y + TITLE);
    let bottom = top + panel.bars.len() as f64 * STEP;
    for tick in 0..=MAX_RATIO as u32 {
        let at = zero + place(f64::from(tick));
        if tick != 1 {
            line(svg, "g", (at, top), (at, bottom));
        }
    }
    for (at, (kind, estimate)) in panel.bars.iter().enumerate() {
        bar(svg, zero, top + at as f64 * STEP, *kind, estimate);
    }
    let limit = zero + place(1.0);
    line(svg, "l", (limit, top), (limit, bottom));
}

fn bar(svg: &mut String, zero: f64, y: f64, kind: Kind, estimate: &Estimate) {
    let Estimate { median, low, high, .. } = *estimate;
    let ours = kind == Kind::Ours;
    let (class, weight) = if ours { ("o", "\" font-weight=\"700") } else { ("b", "") };
    let middle = y + STEP / 2.0;
    let base = middle + 4.0;
    let class_of_name = format!("t{weight}\" text-anchor=\"end");
    text(svg, (zero - 7.0, base), &class_of_name, kind.name());
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{zero:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" \
         rx=\"1.5\"/>",
        middle - BAR / 2.0,
        place(median),
    );
    let mut end = zero + place(median);
    if median > MAX_RATIO {
        // A line across the bar shows that it is cut off.
        let at = end - 14.0;
        line(svg, "c", (at, middle + BAR), (at + 6.0, middle - BAR));
    } else if high > low {
        let (from, to) = (zero + place(low), zero + place(high));
        let (above, below) = (middle - 2.5, middle + 2.5);
        let last =
            if high > MAX_RATIO { String::new() } else { format!("M{to:.1} {above}V{below}") };
        let _ = writeln!(
            svg,
            "<path class=\"w\" d=\"M{from:.1} {above}V{below}M{from:.1} {middle}H{to:.1}{last}\"/>",
        );
        end = end.max(to);
    }
    let digits = if median < 9.995 { 2 } else { 1 };
    let class_of_value = format!("{}{weight}", if ours { "t" } else { "m" });
    // A number that would cover the dashed line at 1 is moved to the right of that line.
    let limit = zero + place(1.0);
    if (limit - FIGURE..limit).contains(&end) {
        end = limit;
    }
    text(svg, (end + 5.0, base), &class_of_value, &format!("{median:.digits$}"));
}

/// The distance between the bars' left end and the place of a ratio.
fn place(value: f64) -> f64 {
    value.clamp(0.0, MAX_RATIO) / MAX_RATIO * LONGEST
}

/// The lines of the footnote: the machine, the servers' versions, and what the whiskers on the bars
/// show.
fn footnote(report: &Report) -> Vec<String> {
    let words = format!(
        "{}, {}. On each bar: {}. One worker on one core, the client on {}.",
        table::date_and_machine(),
        report.versions.join(", "),
        match report.rows.iter().flat_map(|row| ratio(row, Kind::Ours)).all(|r| r.confident) {
            _ if report.rounds == 1 => "nothing, because there was one round".to_owned(),
            true =>
                format!("the 95 % confidence interval of the median of {} rounds", report.rounds),
            false => format!("the minimum and the maximum of {} rounds", report.rounds),
        },
        if report.same_core { "the same" } else { "another" },
    );
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < LINE_CHARS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

fn line(svg: &mut String, class: &str, (x, y): (f64, f64), (to_x, to_y): (f64, f64)) {
    let _ = writeln!(svg, "<path class=\"{class}\" d=\"M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}\"/>");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compare::Run;
    use crate::rows::ROWS;

    fn report() -> Report {
        let run = |kind, round, micros| Run {
            kind,
            round,
            responses: 1,
            seconds: 1.0,
            micros,
            server: 1.0,
            client: 0.5,
            others: 0.0,
        };
        let runs = (0..7)
            .flat_map(|round| {
                [(Kind::Limit, 2.0), (Kind::Nginx, 25.0), (Kind::Ours, 3.0)]
                    .map(|(kind, micros)| run(kind, round, micros))
            })
            .collect();
        Report {
            rounds: 7,
            length: Duration::from_secs(1),
            idle: 0,
            kinds: vec![Kind::Limit, Kind::Ours, Kind::Nginx],
            versions: vec!["nginx 1.22.1".to_owned()],
            same_core: false,
            rows: vec![RowResult { row: &ROWS[0], runs, memory: Vec::new() }],
            failures: Vec::new(),
        }
    }

    #[test]
    fn each_server_of_a_row_has_a_bar_as_long_as_its_ratio() {
        let svg = chart(&report());
        let ours = format!("class=\"o\" x=\"{:.1}\"", MARGIN + LEFT);
        let width = format!("width=\"{:.1}\"", place(1.5));
        let bar = svg.lines().find(|line| line.contains(&ours)).unwrap();
        assert!(bar.contains(&width), "{bar}");
        assert!(svg.contains(">1.50</text>"), "{svg}");
    }

    #[test]
    fn a_bar_that_is_too_long_is_cut_off_and_shows_its_value() {
        let svg = chart(&report());
        let longest = format!("width=\"{LONGEST:.1}\"");
        assert_eq!(svg.lines().filter(|line| line.contains(&longest)).count(), 1);
        assert_eq!(svg.matches("class=\"c\"").count(), 1);
        assert!(svg.contains(">12.5</text>"), "{svg}");
    }

    #[test]
    fn every_row_is_in_a_group() {
        for row in &ROWS {
            assert!(GROUPS.contains(&group(row)), "{}", row.name);
        }
    }

    #[test]
    fn the_footnote_is_broken_into_lines() {
        let lines = footnote(&report());
        assert!(lines.len() > 1 && lines.iter().all(|line| line.chars().count() <= LINE_CHARS));
        assert!(lines.join(" ").contains("nginx 1.22.1. On each bar: the 95 %"));
    }
}
