//! One optimisation loop: schedule, accumulation, metrics, exact resume.
