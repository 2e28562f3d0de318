"""The signal of a phantom as a short sum of terms, and gridded images computed from the terms without k-space."""
