//! stage student
