//! Tasks, splits, generated worlds and tokenizers.
