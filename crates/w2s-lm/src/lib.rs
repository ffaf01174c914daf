//! The decoder: configurations, weights, packed batches, log-probabilities.
