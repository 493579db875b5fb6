//! Results for people and for spreadsheets.

use vexfs_cli::Output;
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::size::format_size;

use crate::compare::fastest;
use crate::result::{Bench, Mode, RECALLS};
use crate::statistics::Statistic;

/// Everything, as text.
pub(crate) fn table(bench: &Bench, out: &mut Output) -> anyhow::Result<()> {
    let (about, machine) = (&bench.workload, &bench.machine);
    out.line(format_args!(
        "{}: {} rows x {} {}, {}; {} queries, k = {}",
        about.name, about.rows, about.dim, about.dtype, about.metric, about.queries, about.k
    ))?;
    let made = if bench.is_scratch { " (made for this run)" } else { "" };
    out.line(format_args!("{}, {}; {}{made}", machine.processor, machine.simd, bench.device))?;
    let import = &bench.import;
    out.line(format_args!(
        "import: {} rows/s, durable; {} in {:.4} s, {}",
        interval(&import.rows_per_second),
        format_size(import.bytes),
        import.seconds.mean,
        runs(import.seconds.runs)
    ))?;
    let counted = bench.searches.first().map_or(0, |search| search.qps.runs);
    out.line(format_args!(
        "searches: warm, {} after {} that do not count; mean ± half of the 95 % interval",
        runs(counted),
        bench.warm_ups
    ))?;
    summary(bench, out)?;
    let columns = [
        ("index", Align::Left),
        ("effort", Align::Left),
        ("mode", Align::Left),
        ("threads", Align::Right),
        ("recall", Align::Right),
        ("queries/s", Align::Right),
        ("deviation", Align::Right),
        ("p50 us", Align::Right),
        ("p99 us", Align::Right),
        ("distances", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for search in &bench.searches {
        table.row([
            search.spec.clone(),
            search.effort(),
            search.mode.name().to_owned(),
            search.threads.to_string(),
            format!("{:.4}", search.recall),
            interval(&search.qps),
            format!("{:.0}", search.qps.deviation),
            format!("{:.0}", search.p50_us),
            format!("{:.0}", search.p99_us),
            format!("{:.0}", search.distance_computations),
        ]);
    }
    table.write(out)?;
    Ok(())
}

/// What each index costs, and how fast all queries at once are answered with some recalls.
fn summary(bench: &Bench, out: &mut Output) -> anyhow::Result<()> {
    let columns = [
        ("index", Align::Left),
        ("size", Align::Right),
        ("of the rows", Align::Right),
        ("build s", Align::Right),
        ("memory", Align::Right),
        ("q/s at 0.9", Align::Right),
        ("at 0.95", Align::Right),
        ("at 0.99", Align::Right),
        ("at 0.999", Align::Right),
    ];
    let mut table = Table::new(&columns);
    let none = || "-".to_owned();
    let rates = |spec: &str| {
        RECALLS.map(|recall| {
            let fastest = fastest(&bench.searches, spec, Mode::Batch, recall);
            fastest.map_or_else(none, |rate| format!("{rate:.0}"))
        })
    };
    table.row(["exact".to_owned(), none(), none(), none(), none()].into_iter().chain(rates("exact")));
    for index in &bench.indexes {
        let share = index.bytes as f64 / bench.import.bytes.max(1) as f64;
        let costs = [
            index.spec.clone(),
            format_size(index.bytes),
            format!("{share:.2}"),
            format!("{:.2}", index.seconds),
            format_size(index.memory),
        ];
        table.row(costs.into_iter().chain(rates(&index.spec)));
    }
    table.write(out)?;
    out.line(format_args!(""))?;
    Ok(())
}

/// The searches, a line each.
pub(crate) fn csv(bench: &Bench, out: &mut Output) -> anyhow::Result<()> {
    out.line(format_args!(
        "index,effort_name,effort,rerank,mode,threads,recall,runs,qps,qps_deviation,qps_low,qps_high,p50_us,p99_us,distance_computations"
    ))?;
    for search in &bench.searches {
        let qps = &search.qps;
        out.line(format_args!(
            "\"{}\",{},{},{},{},{},{:.6},{},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3}",
            search.spec,
            search.effort_name,
            search.effort,
            search.rerank,
            search.mode.name(),
            search.threads,
            search.recall,
            qps.runs,
            qps.mean,
            qps.deviation,
            qps.low,
            qps.high,
            search.p50_us,
            search.p99_us,
            search.distance_computations
        ))?;
    }
    Ok(())
}

fn interval(statistic: &Statistic) -> String {
    if statistic.runs < 2 {
        return format!("{:.0}", statistic.mean);
    }
    format!("{:.0} ± {:.0}", statistic.mean, statistic.mean - statistic.low)
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}
