"""Doors: each script parses, builds and runs one verb of the command `brushwork`."""

import os

# Set before torch is loaded. On a shared machine, threads that spin while they wait for each other make a
# training step ten times slower; threads that sleep cost nothing measurable.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
