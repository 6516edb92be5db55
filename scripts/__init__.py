"""Doors: each script parses, builds and runs one verb of the command `brushwork`."""

import os

# Set before torch is loaded. GNU OpenMP lets threads that wait for each other spin without end; where another
# program takes one of the cores, that made a training step twenty times slower. A short spin is as fast on an
# idle machine and sleeps on a busy one.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
