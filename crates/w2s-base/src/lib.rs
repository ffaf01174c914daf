//! stage base
