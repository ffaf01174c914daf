//! `cargo xtask bench`: tokens a second of a forward pass and of a training step, beside PyTorch where it is there.
//!
//! Ours and the peer run in turn, round by round, so that a slow moment of the machine hits both; what counts is the median
//! of the rounds' ratios.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::build;
use crate::cli::Bench;
use crate::complaint::{Complaint, OrComplain, Result};
use crate::status;

/// A model shape to measure, as flags that `w2s-bench` and the peer share.
struct Shape {
    name: &'static str,
    flags: &'static [&'static str],
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "6 x 256, vocabulary 4096, 16 x 128 tokens",
        flags: &[],
    },
    Shape {
        name: "SmolLM2-135M, 4 x 128 tokens",
        flags: &[
            "--layers",
            "30",
            "--dim",
            "576",
            "--heads",
            "9",
            "--kv-heads",
            "3",
            "--ffn",
            "1536",
            "--vocab",
            "49152",
            "--batch",
            "4",
            "--seq",
            "128",
            "--tied",
            "--repeat",
            "3",
        ],
    },
];

/// What is read from both programs' JSON line.
const FIGURES: [(&str, &str); 3] = [
    ("forward, tokens/s", "forward_tokens_per_s"),
    ("training step, tokens/s", "train_tokens_per_s"),
    ("peak memory, MiB", "peak_rss_mib"),
];

/// Measures every shape and prints a table.
pub fn bench(arguments: &Bench) -> Result<()> {
    let ours = build::stage("bench", false)?;
    let script = arguments
        .peer_dir
        .as_ref()
        .map(|folder| folder.join("peer_train_step.py"));
    println!(
        "{:<44} {:<24} {:>10} {:>10} {:>22}",
        "work", "figure", "w2s", "peer", "ours / peer (range)"
    );
    for shape in &SHAPES {
        let (mut own, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..arguments.rounds {
            eprintln!(
                "{}: round {} of {}",
                shape.name,
                round + 1,
                arguments.rounds
            );
            let mut bench = Command::new(&ours);
            build::keep_memory(&mut bench);
            own.push(run(bench, &[], shape, arguments.threads)?);
            if let (Some(python), Some(script)) = (&arguments.peer_python, &script) {
                let script = [script.as_os_str().to_string_lossy().into_owned()];
                theirs.push(run(
                    Command::new(python),
                    &script,
                    shape,
                    arguments.threads,
                )?);
            }
        }
        for (title, key) in FIGURES {
            let own: Vec<f64> = own.iter().filter_map(|v| v[key].as_f64()).collect();
            let theirs: Vec<f64> = theirs.iter().filter_map(|v| v[key].as_f64()).collect();
            let ratios: Vec<f64> = own.iter().zip(&theirs).map(|(a, b)| a / b).collect();
            let range = match (
                ratios.iter().copied().reduce(f64::min),
                ratios.iter().copied().reduce(f64::max),
            ) {
                (Some(low), Some(high)) => {
                    format!("{:.2} ({low:.2} to {high:.2})", median(&ratios))
                }
                _ => "no peer".into(),
            };
            let peer = if theirs.is_empty() {
                "-".into()
            } else {
                status::thousands(median(&theirs))
            };
            println!(
                "{:<44} {title:<24} {:>10} {peer:>10} {range:>22}",
                shape.name,
                status::thousands(median(&own))
            );
        }
        for (title, key) in [
            ("forward", "forward_gflops"),
            ("training step", "train_gflops"),
        ] {
            let share: Vec<f64> = own
                .iter()
                .filter_map(|v| Some(v[key].as_f64()? / v["product_gflops"].as_f64()?))
                .collect();
            println!(
                "{:<44} {title}: {:.0} % of the machine's matrix-product rate ({:.0} GFLOP/s)",
                shape.name,
                100.0 * median(&share),
                median(
                    &own.iter()
                        .filter_map(|v| v["product_gflops"].as_f64())
                        .collect::<Vec<_>>()
                )
            );
        }
    }
    Ok(())
}

fn run(mut command: Command, first: &[String], shape: &Shape, threads: u16) -> Result<Value> {
    let output = command
        .args(first)
        .args(shape.flags)
        .args(["--threads", &threads.to_string()])
        .output()
        .or_complain(|| {
            format!(
                "cannot start {}",
                Path::new(command.get_program()).display()
            )
        })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().last().unwrap_or_default().to_owned();
        return Err(Complaint::failed(format!(
            "the benchmark ended with {}: {last}",
            output.status
        )));
    }
    serde_json::from_slice(&output.stdout)
        .or_complain(|| "the benchmark printed no JSON line".to_owned())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
