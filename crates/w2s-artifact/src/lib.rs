//! What steps hand to each other: typed, content-addressed, on disk.
