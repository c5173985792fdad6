//! The ratios as a chart: for each row of the table a bar for each server, as long as its cost in
//! limits, with the interval of the median on it. Drawn from the data alone.

use std::fmt::Write as _;

use crate::{
    compare::{Measured, Report},
    servers::Kind,
    stats::Estimate,
    table::ratio,
};

const WIDTH: f64 = 900.0;
/// Where the bars begin, for the titles stand left of them.
const LEFT: f64 = 350.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 13.0;
const GAP: f64 = 14.0;
const TOP: f64 = 64.0;
/// Longer bars are cut here, and say so: one slow server would leave no room for the others.
const MOST: f64 = 3.0;

/// A chart that is read on light and on dark paper.
pub(crate) fn chart(report: &Report) -> String {
    let kinds: Vec<Kind> =
        report.kinds.iter().copied().filter(|kind| *kind != Kind::Limit).collect();
    let rows: Vec<(&Measured, Vec<(Kind, Estimate)>)> = report
        .rows
        .iter()
        .map(|row| (row, kinds.iter().filter_map(|k| Some((*k, ratio(row, *k)?))).collect()))
        .filter(|(_, bars): &(_, Vec<_>)| !bars.is_empty())
        .collect();
    let height =
        TOP + rows.iter().map(|(_, bars)| bars.len() as f64 * BAR + GAP).sum::<f64>() + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\">\n\
         <style>text {{ fill: #222 }} line {{ stroke: #888 }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} }}</style>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">CPU per request, in those of a bare server that \
         sends the same bytes: shorter is better</text>\n"
    );
    legend(&mut svg, &kinds);
    for tick in 0..=(MOST * 2.0) as u32 {
        let value = f64::from(tick) / 2.0;
        let x = place(value);
        let dash = if value == 1.0 { "" } else { " stroke-dasharray=\"2 4\" opacity=\"0.5\"" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"{dash}/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            TOP - 6.0,
            height - GAP,
            TOP - 10.0,
        );
    }
    let mut y = TOP;
    for (row, bars) in &rows {
        let middle = y + bars.len() as f64 * BAR / 2.0 + 4.0;
        let title = escape(row.row.title);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{title}</text>",
            LEFT - 10.0
        );
        for (kind, estimate) in bars {
            bar(&mut svg, y, *kind, estimate);
            y += BAR;
        }
        y += GAP;
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String, kinds: &[Kind]) {
    for (at, kind) in kinds.iter().enumerate() {
        let x = 10.0 + at as f64 * 80.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"39\">{}</text>",
            colour(*kind),
            x + 14.0,
            kind.name(),
        );
    }
}

fn bar(svg: &mut String, y: f64, kind: Kind, estimate: &Estimate) {
    let Estimate { median, low, high, .. } = *estimate;
    let end = place(median);
    let _ = write!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"/>",
        end - LEFT,
        BAR - 2.0,
        colour(kind),
    );
    let middle = y + BAR / 2.0 - 1.0;
    let _ = write!(
        svg,
        "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" style=\"stroke: #000\"/>",
        place(low),
        place(high),
    );
    let more = if median > MOST { " →" } else { "" };
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{}\">{median:.2}{more}</text>",
        end.max(place(high)) + 4.0,
        y + BAR - 3.0,
    );
}

fn place(value: f64) -> f64 {
    LEFT + value.clamp(0.0, MOST) / MOST * (WIDTH - LEFT - RIGHT)
}

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Limit => "#888888",
        Kind::Ours => "#d1495b",
        Kind::Nginx => "#6a994e",
        Kind::Lighttpd => "#5b8e9d",
        Kind::H2o => "#8d7fb5",
        Kind::Hyper => "#c08552",
        Kind::Tokio => "#9a9a6a",
        _ => "#777777",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compare::Run;
    use crate::rows::ROWS;

    #[test]
    fn each_server_of_a_row_has_a_bar_as_long_as_its_ratio() {
        let run = |kind, round, micros| Run {
            kind,
            round,
            replies: 1,
            seconds: 1.0,
            micros,
            server: 1.0,
            client: 0.5,
            others: 0.0,
        };
        let runs = (0..7)
            .flat_map(|round| {
                [(Kind::Limit, 2.0), (Kind::Ours, 3.0), (Kind::Nginx, 20.0)]
                    .map(|(kind, micros)| run(kind, round, micros))
            })
            .collect();
        let report = Report {
            rounds: 7,
            length: Duration::from_secs(1),
            idle: 0,
            kinds: vec![Kind::Limit, Kind::Ours, Kind::Nginx],
            versions: Vec::new(),
            same_core: false,
            rows: vec![Measured { row: &ROWS[0], runs, memory: Vec::new() }],
            failures: Vec::new(),
        };
        let svg = chart(&report);
        let width = place(1.5) - LEFT;
        assert!(svg.contains(&format!("width=\"{width:.1}\"")), "{svg}");
        assert!(svg.contains(">1.50</text>") && svg.contains(">10.00 →</text>"), "{svg}");
        assert_eq!(svg.matches("fill=\"#6a994e\"").count(), 2, "a bar and the legend");
    }
}
