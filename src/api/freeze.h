// Variables that a model only reads become constants of its graph: what TF-TRT does before it looks for engines (TF-TRT behaviour 1.5).
#pragma once

#include <cstdint>

#include "api/model_state.h"

namespace tenon::api {

struct Freezing {
  int constants = 0;         // variables that became constants
  bool self_contained = false;  // nothing that a kept signature or the initializer needs is a variable any more
  bool too_large = false;    // nothing was frozen because of the limit
};

// Freezes the main graph in place: reads become identities of constants, gathers take their rows from constants. Nodes keep their
// names. What functions read that loops and branches run natively, what a converted engine reads, and what anything assigns stays a
// variable, for all who read it. Nothing is frozen when there would be more than `most_bytes`. Values are read from the checkpoint now;
// throws what that throws.
Freezing freeze_variables(OpenModel& model, std::int64_t most_bytes);

}  // namespace tenon::api
