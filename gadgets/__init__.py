"""What happens to the stream: one gadget a file, its maths in plain functions."""

import simulator as simulator  # settles how threads wait before torch and finufft are loaded
