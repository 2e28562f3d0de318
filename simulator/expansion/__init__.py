"""The signal of a phantom as a short sum of terms, and images of it without k-space."""
