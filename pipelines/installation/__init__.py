"""What a site installs beside the software: configurations of Gadgetron, and packages for a scanner's console."""
