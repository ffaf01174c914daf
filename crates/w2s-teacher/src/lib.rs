//! stage teacher
