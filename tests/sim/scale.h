// The figures of a big runtime: 1,000 nodes, 1,000,000 tasks. What one surviving node pays when another dies, and for its catalog.
#pragma once

namespace cloudtask::sim {

// Measures and prints; 0 if the death of a node costs less than a second of CPU.
int run_scale();

}  // namespace cloudtask::sim
