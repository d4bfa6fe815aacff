"""Token caches: texts tokenised once, read without copies, cut into windows and assembled into batches."""
