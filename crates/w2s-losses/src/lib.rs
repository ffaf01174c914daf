//! Losses for learning from a weaker teacher: tensors in, tensors out.
