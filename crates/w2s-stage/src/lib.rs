//! The shell every stage binary shares: flags, cache, progress, exit codes.
