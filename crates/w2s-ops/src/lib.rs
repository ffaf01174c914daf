//! Fused operations for language models, each with a plain-burn fallback.
